"""Columns of text: what is sniffed, what is refused."""

from __future__ import annotations

import pytest

from spectroflow.errors import RecordError
from spectroflow.formats import detect, get

ROWS = [(float(x), float(x * x) / 8) for x in range(1, 12)]


def body(delimiter: str, comma: bool = False) -> str:
    text = "\n".join(f"{x!r}{delimiter}{y!r}" for x, y in ROWS) + "\n"
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    ("delimiter", "comma"),
    [(" ", False), ("\t", False), (",", False), (";", False), (";", True), ("\t", True), (" ", True)],
)
@pytest.mark.parametrize(
    "header", ["", "# made by hand\n", "Wavenumber (cm-1){d}Intensity\n", "Sample: 12\nDate: 2020\n\n"]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_ways_to_write_two_columns(delimiter, comma, header, ending, codec):
    text = header.replace("{d}", delimiter if delimiter != " " else "\t") + body(delimiter, comma)
    data = text.replace("\n", ending).encode(codec)
    assert detect(data, "scan.txt") is get("columns")
    assert len(get("columns").probe(data, "scan.txt").modalities) == 1
    (raw,) = get("columns").read(data, "scan.txt")
    assert list(zip(raw.axis, raw.intensity, strict=True)) == ROWS


@pytest.mark.parametrize(
    ("titles", "axis_unit", "intensity_unit", "modality"),
    [
        ("Raman shift (cm-1),Intensity (counts)", "cm-1", "counts", "raman"),
        ("wavenumber,absorbance", "cm-1", "absorbance", "ir"),
        ("Wavenumbers [1/cm],%T", "cm-1", "%transmittance", "ir"),
        ("2Theta,I", "deg", None, "xrd"),
        ("wavelength (nm),counts", "nm", "counts", None),
        ("cm-1,counts", "cm-1", "counts", None),
    ],
)
def test_titles_tell_units_and_modality(titles, axis_unit, intensity_unit, modality):
    (raw,) = get("columns").read((titles + "\n" + body(",")).encode(), "scan.csv")
    assert (raw.axis_unit, raw.intensity_unit, raw.modality) == (axis_unit, intensity_unit, modality)


def test_axis_column_is_found_by_its_title():
    data = "\n".join([",wavenumber,intensity", *(f"{i},{x},{y}" for i, (x, y) in enumerate(ROWS))])
    (raw,) = get("columns").read(data.encode(), "frame.csv")
    assert raw.axis.tolist() == [x for x, _ in ROWS]
    assert raw.intensity.tolist() == [y for _, y in ROWS]


def test_third_column_of_xye_is_an_uncertainty():
    data = b"1 10 3\n2 20 4\n3 30 5\n"
    assert len(get("columns").read(data, "a.xye")) == 1


def test_third_column_of_counting_errors_is_left_out_and_flagged():
    data = "\n".join(f"{x} {x * x} {float(x)}" for x in range(3, 20)).encode()
    (raw,) = get("columns").read(data, "a.txt")
    assert raw.flags == ("COLUMNS_ASSUMED",)


def test_many_columns_are_many_spectra():
    data = "shift\ta\tb\tc\n" + "\n".join(f"{x}\t{x + 1}\t{x + 2}\t{x + 3}" for x in range(1, 20))
    records = get("columns").read(data.encode(), "map_raman.tsv")
    assert len(records) == len(get("columns").probe(data.encode(), "map_raman.tsv").modalities) == 3
    assert [record.metadata["column"] for record in records] == ["a", "b", "c"]
    assert records[2].intensity[0] == 4
    assert {record.modality for record in records} == {"raman"}


def test_metadata_lines():
    data = b"#Laser=\t785 nm\n#Acq. time (s)=\t10\n#AxisType[1]=\tIntens\n100\t1\n101\t2\n102\t3\n"
    (raw,) = get("columns").read(data, "a.txt")
    assert raw.metadata["laser"] == 785.0
    assert raw.metadata["acq_time_s"] == "10"


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("", "a.xy", "EMPTY_FILE"),
        (" \n\n", "a.txt", "EMPTY_FILE"),
        ("hello\nworld\n", "a.xy", "NOT_A_SPECTRUM"),
        ("1\n2\n3\n", "a.xy", "NOT_A_SPECTRUM"),
        ("1 2\n2 x\n3 4\n4 5\n", "a.xy", "BAD_NUMBER"),
        ("1,5,2,5\n2,5,3,5\n3,5,4,5\n", "a.csv", "UNSUPPORTED_DIALECT"),
    ],
)
def test_refused_with_a_remedy(text, name, code):
    assert detect(text.encode(), name) is get("columns")
    with pytest.raises(RecordError) as caught:
        get("columns").read(text.encode(), name)
    assert caught.value.code == code
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"Dear reader,\nthis is text.\n", "README.txt"),
        (b"path,label\na.txt,Quartz\n", "manifest.csv"),
        (b"1 2\n3 4\n", "structure.cif"),
        (b"\x00\x01\x02" * 20, "blob.dat"),
    ],
)
def test_not_claimed(data, name):
    assert detect(data, name) is None
