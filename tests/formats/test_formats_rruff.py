"""RRUFF text: header, modality, numbers."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from spectroflow.errors import RecordError
from spectroflow.formats import detect, get, to_record
from spectroflow.formats.rruff import plain_formula
from spectroflow.modality import builtin

HEADER = b"##NAMES=Quartz\n##RRUFFID=R040031\n##IDEAL CHEMISTRY=SiO_2_\n##LOCALITY=Spruce\n"
RAMAN_NAME = "Quartz__R040031__Raman__532__0__unoriented__Raman_Data_Processed__123.txt"


def test_reads_header_and_numbers():
    data = HEADER + b"100.5, 0.000\n101.5, 1.25\n102.5, 3\n##END=\n\n"
    entry = detect(data, RAMAN_NAME)
    assert entry is get("rruff")
    (raw,) = entry.read(data, RAMAN_NAME)
    assert raw.axis.tolist() == [100.5, 101.5, 102.5]
    assert raw.intensity.tolist() == [0.0, 1.25, 3.0]
    assert (raw.sample_id, raw.label, raw.formula, raw.modality) == ("R040031", "Quartz", "SiO2", "raman")
    assert raw.metadata["laser"] == 532
    assert raw.metadata["orientation"] == "0 unoriented"
    assert raw.metadata["processing"] == "processed"


@pytest.mark.parametrize(
    ("name", "extra", "modality"),
    [
        (RAMAN_NAME, b"", "raman"),
        ("Quartz__R040031__Broad_Scan__532__0__unoriented__Raman_Data_RAW__1.txt", b"", "raman"),
        ("Quartz__R040031-1__Infrared__Infrared_Data_Processed__1.txt", b"", "ir"),
        ("Quartz__R040031-9__Powder__Xray_Data_XY_RAW__1.txt", b"", "xrd"),
        ("download.txt", b"##CELL PARAMETERS=a: 4.9\n", "xrd"),
        ("download.txt", b"##ORIENTATION=laser parallel to c\n", "raman"),
        ("download.txt", b"", None),
        ("Iridium_ir.txt", b"", None),
        # The header describes the measurement; a name is only what somebody called it.
        ("raman.txt", b"##DIFFRACTION SAMPLE DESCRIPTION=Powder\n", "xrd"),
    ],
)
def test_modality_from_header_then_name(name, extra, modality):
    data = HEADER + extra + b"1, 2\n2, 3\n"
    assert get("rruff").probe(data, f"folder/raman/{name}").modalities == (modality,)


def test_header_lines_without_marks():
    data = b"NAMES=Quartz\n##RRUFFID=R040031\n##DESCRIPTION=Clear\nwith 3 inclusions\n100, 1\n101, 2\n"
    assert detect(data, "a.txt") is get("rruff")
    (raw,) = get("rruff").read(data, "a.txt")
    assert raw.label == "Quartz"
    assert raw.metadata["description"] == "Clear with 3 inclusions"
    assert raw.axis.tolist() == [100, 101]


def test_content_starts_at_the_numbers():
    first = HEADER + b"100, 1\n101, 2\n"
    second = HEADER.replace(b"Quartz", b"Citrine") + b"100, 1\n101, 2\n"
    reader = get("rruff")
    payloads = {data[reader.probe(data, "x.txt").payload_start :] for data in (first, second)}
    assert payloads == {b"100, 1\n101, 2\n"}


@pytest.mark.parametrize(
    ("body", "code"), [(b"", "NO_DATA"), (b"100, abc\n", "NO_DATA"), (b"100, 1\n101, abc\n102, 3\n", "BAD_NUMBER")]
)
def test_broken_bodies(body, code):
    with pytest.raises(RecordError) as caught:
        get("rruff").read(HEADER + body, RAMAN_NAME)
    assert caught.value.code == code
    assert caught.value.remedy


def test_plain_formula():
    assert plain_formula("Ca_2_Fe^2+^Si_8_O_22_(OH)_2_&#183;[box]") == "Ca2FeSi8O22(OH)2·□"


def test_jcamp_is_not_rruff():
    assert not get("rruff").claims(b"##TITLE=x\n##JCAMP-DX=4.24\n##NAMES=Quartz\n", "a.jdx")


@pytest.mark.real
def test_every_rruff_spectrum(real_data):
    """All 2,356 spectra of the pack: modality, sample and points agree with its manifest."""
    folder = real_data / "rruff"
    modalities = builtin()
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2356
    for index, row in enumerate(rows):
        data = (folder / row["path"]).read_bytes()
        entry = detect(data[: 64 << 10], row["path"])
        assert entry is not None, row["path"]
        probe = entry.probe(data, row["path"])
        (raw,) = entry.read(data, row["path"])
        assert probe.modalities == (raw.modality,)
        assert len(raw.axis) == int(row["n"])
        if entry.name == "rruff":
            assert (raw.modality, raw.sample_id) == (row["modality"], row["rruff_id"])
        record = to_record(raw, modalities[row["modality"]], where=row["path"])
        assert (np.diff(record.axis) > 0).all()
        assert {record.axis[0], record.axis[-1]} == {float(row["x0"]), float(row["x1"])}
        if index % 40 == 0:
            delimiter = "," if b"," in data[-400:] else None
            oracle = np.loadtxt(folder / row["path"], delimiter=delimiter, comments="##", encoding="utf-8")
            np.testing.assert_array_equal(np.column_stack([raw.axis, raw.intensity]), oracle)
