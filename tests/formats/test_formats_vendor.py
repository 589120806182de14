"""Vendor and exchange files against what their makers' exports and other readers say they hold."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pytest

from spectroflow.errors import RecordError
from spectroflow.formats import detect, to_record
from spectroflow.modality import builtin

pytestmark = pytest.mark.real

REFUSED = {
    # A table of 298 points into which an editor pasted lines of another file.
    "xyinc2.jdx": "BAD_NUMBER",
    # A chemical structure, no spectrum.
    "ISAS_CDX.DX": "NO_DATA",
    # Neutron powder files with ten counts per line and their own headers.
    "D1A5.dat": "UNSUPPORTED_DIALECT",
    "PSI_DMC.dat": "UNSUPPORTED_DIALECT",
    # Four columns that become five, in decimal commas and blanks.
    "with_commas.txt": "UNSUPPORTED_DIALECT",
}
NOT_SPECTRA = {".cif", ".zip", ".json", ".rds", ".mca", ".spe", ".cnf", ".xsyg", ".vms", ".1"}
UNCLAIMED = {"SOURCE.txt", "test2.csv"}


@pytest.fixture(scope="module")
def pack(real_data):
    return real_data / "formats"


def read(path):
    data = path.read_bytes()
    entry = detect(data[: 64 << 10], path.name)
    assert entry is not None, path
    probe = entry.probe(data, path.name)
    with np.errstate(all="ignore"):
        records = entry.read(data, path.name)
    assert tuple(record.modality for record in records) == probe.modalities
    return records


def one(path):
    (record,) = read(path)
    return record


def test_every_file_of_the_pack_is_accounted_for(pack):
    seen = set()
    for path in sorted(path for path in pack.rglob("*") if path.is_file()):
        data = path.read_bytes()
        entry = detect(data[: 64 << 10], path.name)
        if entry is None:
            assert path.suffix.lower() in NOT_SPECTRA or path.name in UNCLAIMED, path
            continue
        seen.add(entry.name)
        if path.name in REFUSED:
            with pytest.raises(RecordError) as caught:
                entry.read(data, path.name)
            assert caught.value.code == REFUSED[path.name], path
            continue
        for record in read(path):
            assert record.axis.shape == record.intensity.shape
            assert record.axis.dtype == record.intensity.dtype == np.float64
            assert record.axis.size > 1
    assert seen == {
        "asp", "brml", "bruker-raw", "columns", "jcamp", "openspecy", "opus", "rasx", "rod", "spa", "spc", "uxd",
        "wdf", "xrdml",
    }  # fmt: skip


def test_spectra_of_known_modality_become_records(pack):
    modalities = builtin()
    failures = {}
    count = 0
    for path in sorted(path for path in pack.rglob("*") if path.is_file() and path.name not in REFUSED):
        data = path.read_bytes()
        entry = detect(data[: 64 << 10], path.name)
        for record in read(path) if entry else []:
            if record.modality not in modalities:
                continue
            count += 1
            try:
                to_record(record, modalities[record.modality])
            except RecordError as error:
                failures.setdefault(error.code, set()).add(path.name)
    assert count > 300
    assert failures == {
        "TOO_LONG": {"sqzdupd1.jdx", "sulphur hexafluoride.jdx"},
    }


# SPC ----------------------------------------------------------------------------------------------


def spc_names(pack):
    return sorted(path.name for path in (pack / "spc_rohanisaac/test_data").iterdir() if path.suffix.lower() == ".spc")


def test_spc_agrees_with_the_text_exports(pack):
    folder = pack / "spc_rohanisaac/test_data"
    compared = shifted = 0
    for name in spc_names(pack):
        export = folder / "txt" / f"{name}.txt"
        if not export.exists() or name == "m_xyxy.spc":
            continue
        titled = not export.read_text()[0].isdigit()
        told = np.loadtxt(export, skiprows=int(titled))
        records = read(folder / name)
        # The exports carry 12 significant digits. In the mass spectrum they took the bits of the abscissas,
        # which are floats, for whole numbers.
        if name != "ms.spc":
            np.testing.assert_allclose(records[0].axis, told[:, 0], rtol=1e-11, atol=1e-12, err_msg=name)
        for column in range(1, told.shape[1]):
            # The program that made the exports left out the subfiles' own exponents, which shows as steps in
            # its maps where neighbours differ by powers of two; spc_io and this reader apply them.
            values = records[column - 1].intensity
            shift = round(float(np.log2(np.abs(told[:, column]).max() / np.abs(values).max())))
            assert shift in {0, 1, 2, 3}, (name, column)
            np.testing.assert_allclose(np.ldexp(values, shift), told[:, column], rtol=1e-11, atol=1e-12, err_msg=name)
            compared += 1
            shifted += shift > 0
    assert compared > 200
    assert shifted < compared / 3


def test_spc_agrees_with_spc_io(pack, capsys):
    spc_io = pytest.importorskip("spc_io")
    compared = 0
    for name in spc_names(pack):
        path = pack / "spc_rohanisaac/test_data" / name
        try:
            other = spc_io.SPC.from_bytes_io(io.BytesIO(path.read_bytes()))
        except Exception:  # old headers, which that package does not read
            continue
        records = read(path)
        assert len(records) == len(other), name
        for record, sub in zip(records, other, strict=True):
            np.testing.assert_allclose(record.axis, sub.xarray, rtol=1e-12, err_msg=name)
            np.testing.assert_array_equal(record.intensity, np.asarray(sub.yarray, dtype=np.float64), err_msg=name)
            compared += 1
    capsys.readouterr()
    assert compared > 600


# JCAMP-DX -----------------------------------------------------------------------------------------

OFFICIAL = "jcamp_nzhagen/data/jcamp-dx.org_official_test_data"
JAMAICA = "jcamp_nzhagen/data/Robert_J_Lancashire_test_data"


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        (OFFICIAL, ("BRUKAFFN.DX", "BRUKPAC.DX", "BRUKSQZ.DX", "TEST32.DX")),
        (JAMAICA, ("o01.jdx", "o02.jdx", "o03.jdx", "o04.jdx", "o05.jdx")),
        (JAMAICA, ("o06.jdx", "o07.jdx", "o08.jdx", "o09.jdx", "o10.jdx")),
        (JAMAICA, ("ofid1.jdx", "ofid2.jdx", "ofid3.jdx", "ofid4.jdx")),
    ],
)
def test_one_spectrum_in_several_encodings(pack, folder, names):
    first, *others = (read(pack / folder / name) for name in names)
    for records in others:
        assert len(records) == len(first)
        for record, reference in zip(records, first, strict=True):
            np.testing.assert_array_equal(record.intensity, reference.intensity)
            np.testing.assert_array_equal(record.axis, reference.axis)


def test_jcamp_agrees_with_the_jcamp_package(pack, capsys):
    """Where that package reads a file whole, both find the same numbers."""
    jcamp = pytest.importorskip("jcamp")
    compared = 0
    for path in sorted((pack / "jcamp_nzhagen/data/infrared_spectra").glob("*.jdx")):
        records = read(path)
        try:
            other = jcamp.readfile(str(path))
        except Exception:
            continue
        if len(records) != 1 or len(other["x"]) != len(other["y"]) or other["npoints"] != len(other["y"]):
            continue
        np.testing.assert_allclose(records[0].intensity, other["y"], rtol=1e-15, err_msg=path.name)
        np.testing.assert_allclose(records[0].axis, other["x"], rtol=1e-9, err_msg=path.name)
        compared += 1
    capsys.readouterr()
    assert compared > 50


def test_compound_jcamp_keeps_its_blocks(pack):
    records = read(pack / JAMAICA / "compound.jdx")
    assert len(records) == 5
    assert [record.metadata["spectrum"] for record in records] == list(range(5))
    assert len({record.label for record in records}) == 5


# Diffraction --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 6))
def test_raw_beside_xy(pack, number):
    folder = pack / "xrd_powdR/inst/extdata/D5000"
    raw = one(folder / "RAW" / f"D5000_{number}.RAW")
    told = np.loadtxt(folder / "xy" / f"D5000_{number}.xy")
    np.testing.assert_array_equal(raw.intensity, told[:, 1])
    np.testing.assert_array_equal(np.round(raw.axis, 5), told[:, 0])
    assert raw.metadata["wavelength"] == 1.78897


def test_raw_beside_its_uxd(pack):
    raw, uxd = one(pack / "xrd_xylib/samples/BT86.raw"), one(pack / "xrd_xylib/samples/BT86_.UXD")
    np.testing.assert_array_equal(raw.intensity, uxd.intensity)
    # The text has four significant digits.
    np.testing.assert_allclose(raw.axis, uxd.axis, atol=5.1e-3)
    assert raw.metadata["wavelength"] == uxd.metadata["wavelength"] == 1.5406


def test_raw_4_fills_its_file(pack):
    record = one(pack / "datalab/pydatalab/example_data/XRD/TiO2.raw")
    assert record.axis[[0, 1]].tolist() == [10.0, 10.036477]
    # Rutile 110 lies at 27.45 degrees for copper.
    assert record.axis[record.intensity.argmax()] == pytest.approx(27.45, abs=0.04)


def test_xrdml_agrees_with_its_xml(pack):
    count = 0
    for path in sorted(pack.rglob("*.xrdml")):
        record = one(path)
        root = ET.fromstring(path.read_bytes())
        names = {"intensities", "counts"}
        element = next(each for each in root.iter() if each.tag.rsplit("}", 1)[-1] in names)
        told = [float(word) for word in element.text.split()]
        factors = [each.text for each in root.iter() if each.tag.endswith("beamAttenuationFactors")]
        if element.tag.endswith("counts") and factors:
            told = [a * float(b) for a, b in zip(told, factors[0].split(), strict=True)]
        assert record.intensity.tolist() == told
        assert record.modality == "xrd"
        assert 1.5 < record.metadata["wavelength"] < 1.6
        count += 1
    assert count > 60


def test_brml_and_rasx_agree_with_their_members(pack):
    folder = pack / "datalab/pydatalab/example_data/XRD"
    brml = one(folder / "TiOF.brml")
    with zipfile.ZipFile(folder / "TiOF.brml") as packed:
        root = ET.fromstring(packed.read("Experiment0/RawData0.xml"))
    rows = [[float(word) for word in datum.text.split(",")] for datum in root.iter("Datum")]
    assert brml.axis.tolist() == [row[2] for row in rows]
    assert brml.intensity.tolist() == [row[4] for row in rows]
    path = next(folder.glob("*.rasx"))
    rasx = one(path)
    with zipfile.ZipFile(path) as packed:
        told = np.loadtxt(io.StringIO(packed.read("Data0/Profile0.txt").decode("utf-8-sig")))
    np.testing.assert_array_equal(rasx.axis, told[:, 0])
    np.testing.assert_array_equal(rasx.intensity, told[:, 1] * told[:, 2])
    assert rasx.metadata["wavelength"] == 1.540593


# Vibrational --------------------------------------------------------------------------------------


def test_opus_agrees_with_brukeropus(pack):
    brukeropus = pytest.importorskip("brukeropus")
    for path in (pack / "opus_brukeropus/examples/file.0", pack / "openspecy/inst/extdata/ftir_ps.0"):
        record, other = one(path), brukeropus.read_opus(str(path))
        np.testing.assert_array_equal(record.intensity, other.a.y.astype(np.float64))
        np.testing.assert_array_equal(record.axis, other.a.x)
        assert record.intensity_unit == "absorbance"
        assert record.label == other.params.snm


def test_wdf_agrees_with_renishaw_wire(pack):
    wire = pytest.importorskip("renishawWiRE")
    path = pack / "datalab/pydatalab/example_data/raman/raman_example.wdf"
    record, other = one(path), wire.WDFReader(str(path))
    np.testing.assert_array_equal(record.intensity, other.spectra.astype(np.float64))
    np.testing.assert_array_equal(record.axis, other.xdata.astype(np.float64))
    assert record.metadata["laser"] == pytest.approx(other.laser_length, rel=1e-6)
    text = np.loadtxt(path.with_suffix(".txt"))
    np.testing.assert_allclose(record.intensity, text[:, 1], atol=1e-6)
    np.testing.assert_allclose(record.axis, text[:, 0], atol=1e-6)


def test_rod_has_its_sample_and_laser(pack):
    record = one(pack / "raman_pynxtools/examples/database/rod/rod_file_1000679.rod")
    assert (record.label, record.sample_id) == ("K-cymrite", "1000679")
    assert record.metadata["laser"] == 488.0
    assert (record.axis[0], record.intensity[0]) == (50.0, 429.0)


def test_open_specy_agrees_with_its_long_form(pack):
    folder = pack / "openspecy/inst/extdata"
    wide, long = one(folder / "raman_hdpe_os.csv"), one(folder / "raman_hdpe.csv")
    np.testing.assert_array_equal(wide.intensity, long.intensity)
    assert (wide.modality, wide.label) == ("raman", "HDPE")


def test_labspec_and_jasco_text_name_their_units(pack):
    labspec = one(pack / "datalab/pydatalab/example_data/raman/labspec_raman_example.txt")
    assert (labspec.modality, labspec.axis_unit, labspec.intensity_unit) == ("raman", "1/cm", "Cnt")
    jasco = one(pack / "datalab/pydatalab/example_data/FTIR/[FTIRText]020.txt")
    assert (jasco.modality, jasco.axis_unit, jasco.intensity_unit) == ("ir", "1/CM", "%T")


def test_versions_nobody_reads_are_named():
    for data, name, word in (
        (b"\x00\x4c" + bytes(600), "a.spc", "most significant byte first"),
        (b"\x00\xcf" + bytes(600), "a.spc", "version 0xcf"),
        (b"RAW5.00" + bytes(600), "a.raw", "version '5.00'"),
    ):
        entry = detect(data, name)
        with pytest.raises(RecordError, match=word) as caught:
            entry.read(data, name)
        assert caught.value.code == "UNSUPPORTED_DIALECT"
