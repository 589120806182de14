"""Formats of which no file may be shipped, with files made here as their descriptions say."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from benchmarks import made_files
from benchmarks.fuzzing import made_seeds
from spectroflow.errors import RecordError
from spectroflow.formats import detect, get, to_record
from spectroflow.formats.quality import names_of
from spectroflow.formats.registry import is_isolated
from spectroflow.modality import builtin

DIF = b"""
      Halite
      Wyckoff R W G
      Crystal Structures 1 (1963) 85-237

      CELL PARAMETERS:   5.6402   5.6402   5.6402   90.000   90.000   90.000
      SPACE GROUP: Fm3m
      X-RAY WAVELENGTH:     1.541838
      MAX. ABS. INTENSITY / VOLUME**2:      18.95
                    2-THETA      INTENSITY    D-SPACING   H   K   L   Multiplicity
                     27.39          8.54         3.2564   1   1   1         8
                     31.73        100.00         2.8201   2   0   0         6
                     45.49         61.39         1.9941   2   2   0        12
                     53.91          1.73         1.7007   3   1   1        24
================================================================================
XPOW Copyright 1993 Bob Downs, Ranjini Swaminathan and Kurt Bartelmehs
"""


def test_dif():
    assert detect(DIF, "Halite__R070534__Powder__DIF_File__1234.txt") is get("dif")
    assert get("dif").probe(DIF, "a.txt").modalities == ("xrd",)
    (raw,) = get("dif").read(DIF, "a.txt")
    assert raw.axis.tolist() == [27.39, 31.73, 45.49, 53.91]
    assert raw.intensity.tolist() == [8.54, 100.0, 61.39, 1.73]
    assert (raw.label, raw.metadata["wavelength"], raw.metadata["space_group"]) == ("Halite", 1.541838, "Fm3m")
    # Bragg's law ties the positions to the d-spacings beside them.
    d = np.array([3.2564, 2.8201, 1.9941, 1.7007])
    np.testing.assert_allclose(2 * np.rad2deg(np.arcsin(1.541838 / 2 / d)), raw.axis, atol=0.006)
    record = to_record(raw, builtin()["xrd"], min_points=2)
    assert "STICKS" in names_of(record.flags)


def nexus(definition="NXraman", shape=(30,), axes=("shift",), points=30):
    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        entry = root.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = definition
        entry["title"] = "Silicon"
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": list(axes)})
        data["shift"] = np.linspace(100.0, 1000.0, points)
        data["shift"].attrs["units"] = "1/cm"
        for name, length in zip(axes[:-1], shape[:-1], strict=True):
            data[name] = 5.0 * np.arange(length)
        data["counts"] = 1.0 + np.arange(float(np.prod(shape))).reshape(shape)
        data["counts"].attrs["units"] = "counts"
    return file.getvalue()


def test_nexus_point_and_map():
    data = nexus()
    assert detect(data, "a.nxs") is get("nexus")
    (raw,) = get("nexus").read(data, "a.nxs")
    assert (raw.modality, raw.axis_unit, raw.intensity_unit) == ("raman", "1/cm", "counts")
    np.testing.assert_array_equal(raw.axis, np.linspace(100, 1000, 30))
    assert to_record(raw, builtin()["raman"]).flags == 0
    data = nexus("NXother", shape=(2, 3, 30), axes=("y", "x", "shift"))
    records = get("nexus").read(data, "a.nxs")
    assert get("nexus").probe(data, "a.nxs").modalities == (None,) * 6
    np.testing.assert_array_equal(records[5].intensity, np.arange(151.0, 181.0))
    assert [(r.metadata["y"], r.metadata["x"]) for r in records[1:4]] == [(0, 5), (0, 10), (5, 0)]


def test_nexus_without_an_axis_that_fits_is_refused():
    data = nexus(shape=(31,))
    with pytest.raises(RecordError) as caught:
        get("nexus").read(data, "a.nxs")
    assert caught.value.code == "NO_DATA"


@pytest.mark.parametrize("cut", [600, 1200, 3000])
def test_truncated_nexus(cut):
    with pytest.raises(RecordError):
        get("nexus").read(nexus()[:cut], "a.nxs")


def test_who_runs_in_a_child_process():
    assert {entry.name for entry in map(get, ("rod", "nexus", "jcamp", "spc")) if is_isolated(entry)} == {
        "rod",
        "nexus",
    }


RANGES = [(5.0, 0.02, [float(i % 9) for i in range(4000)]), (90.0, 0.1, [3.0, 4.5, 6.0])]


@pytest.mark.parametrize(
    "data",
    [
        made_files.raw_version_1(RANGES),
        made_files.raw_version_1(RANGES, marked=False),
        made_files.raw_version_2(RANGES),
    ],
)
def test_diffrac_at(data):
    """The steps were set in decimals: after 4,000 of them a rounded step would be off by more than the tenth."""
    assert detect(data, "renamed.bin") is get("bruker-raw")
    assert get("bruker-raw").probe(data, "a.raw").modalities == ("xrd", "xrd")
    for record, (start, step, counts) in zip(get("bruker-raw").read(data, "a.raw"), RANGES, strict=True):
        np.testing.assert_allclose(record.axis, start + step * np.arange(len(counts)), rtol=1e-14)
        assert record.intensity.tolist() == counts
        assert record.metadata["wavelength"] == 1.54056
        to_record(record, builtin()["xrd"], min_points=3)
    for cut in (6, 100, 170, 300, len(data) - 1):
        with pytest.raises(RecordError) as caught:
            get("bruker-raw").read(data[:cut], "a.raw")
        assert caught.value.code == "TRUNCATED"


def test_a_text_about_raw_data_is_no_diffrac_file():
    assert detect(b"RAW spectrum of quartz\n100 1\n101 2\n102 3\n", "a_raman.txt") is get("columns")


def test_diffrac_at_names_its_sample_and_anode():
    first, second = get("bruker-raw").read(made_files.raw_version_1(RANGES), "a.raw")
    assert (first.label, second.label, first.metadata["seconds_per_step"]) == ("sample 0", "sample 1", 1.5)
    first, _ = get("bruker-raw").read(made_files.raw_version_2(RANGES), "a.raw")
    assert (first.metadata["anode"], first.metadata["date"]) == ("Cu", "12-Mar-1995 10:11:12")


def test_wdf_map_keeps_its_positions_and_agrees_with_renishaw_wire(tmp_path):
    shift, spectra = np.linspace(100.0, 900.0, 40), np.arange(240.0).reshape(6, 40)
    places = {"x": np.array([0.0, 1.5, 3.0] * 2), "y": np.repeat([10.0, 12.5], 3)}
    data = made_files.wdf(shift, spectra, places)
    records = get("wdf").read(data, "map.wdf")
    assert get("wdf").probe(data, "map.wdf").modalities == ("raman",) * 6
    np.testing.assert_array_equal([record.intensity for record in records], spectra)
    assert [(r.metadata["x"], r.metadata["y"]) for r in records] == list(zip(places["x"], places["y"], strict=True))
    assert records[5].metadata["laser"] == pytest.approx(532.0, rel=1e-6)
    wire = pytest.importorskip("renishawWiRE")
    (tmp_path / "map.wdf").write_bytes(data)
    other = wire.WDFReader(str(tmp_path / "map.wdf"))
    np.testing.assert_array_equal(np.reshape(other.spectra, (6, 40)), spectra)
    np.testing.assert_allclose(other.xdata, records[0].axis)


def test_ragged_spc():
    axes = [np.array([1.0, 2.5, 4.0, 8.0]), np.array([2.0, 3.0, 7.0])]
    values = [np.array([5.0, 6.0, 5.5, 4.0]), np.array([1.0, 9.0, 2.0])]
    header = struct.pack("<BBBbIddIBB", 0x04 | 0x40 | 0x80, 0x4B, 0, -128, 0, 1.0, 8.0, 2, 13, 4).ljust(512, b"\0")
    body = b"".join(
        struct.pack("<BbHfffIIf4x", 0, -128, i, float(i), 0, 0, len(x), 1, 0) + np.r_[x, y].astype("<f4").tobytes()
        for i, (x, y) in enumerate(zip(axes, values, strict=True))
    )
    records = get("spc").read(header + body, "ragged.spc")
    for record, x, y in zip(records, axes, values, strict=True):
        assert (record.axis.tolist(), record.intensity.tolist()) == (x.tolist(), y.tolist())
        assert record.modality == "raman"
    assert [record.metadata["z"] for record in records] == [0.0, 1.0]


def test_content_counts_before_the_name():
    """A file that was renamed is still what it is; plain columns alone are known by their extension."""
    for seed in made_seeds():
        if seed.format not in {"columns", "asp", "rasx"}:
            assert detect(seed.data, "renamed.bin") is get(seed.format), seed.name
            assert detect(seed.data, "renamed.txt") is get(seed.format), seed.name
    members = made_files.zipped({"Data0/Profile0.txt": b"3.0 5 1\n" * 20})
    assert detect(members, "renamed.bin") is get("rasx")


def test_asp():
    data = b"3\n4000\n3000\n1\n2\n4\n0.1\n0.2\n0.3\n"
    (raw,) = get("asp").read(data, "a.asp")
    assert (raw.axis.tolist(), raw.intensity.tolist()) == ([4000, 3500, 3000], [0.1, 0.2, 0.3])
    with pytest.raises(RecordError, match="2 of 3 points"):
        get("asp").read(data[:-4], "a.asp")


def test_uxd_with_regular_steps_and_two_ranges():
    data = (
        b"_FILEVERSION=2\n_SAMPLE='Halite'\n_WL1=1.5406\n"
        b"_STEPSIZE=0.5\n_STEPCOUNT=3\n_START=10\n_COUNTS\n1 2\n3\n"
        b"_STEPSIZE=1\n_STEPCOUNT=2\n_START=20\n_CPS\n4 5\n"
    )
    assert detect(data, "a.uxd") is get("uxd")
    assert len(get("uxd").probe(data, "a.uxd").modalities) == 2
    first, second = get("uxd").read(data, "a.uxd")
    assert (first.axis.tolist(), first.intensity.tolist()) == ([10, 10.5, 11], [1, 2, 3])
    assert (second.axis.tolist(), second.intensity_unit, second.label) == ([20, 21], "cps", "Halite")
