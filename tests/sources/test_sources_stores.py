"""Zarr stores are sources: folders, zips and objects of a bucket, read alike and taken once."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest
import zarr
from sources_kit import outcomes, plan, put, rruff

from spectroflow.errors import RecordError
from spectroflow.formats import detect, get, to_record
from spectroflow.formats.registry import is_isolated
from spectroflow.modality import builtin
from spectroflow.sources import SourceReader, digest_of
from spectroflow.sources.reading import has_digest
from spectroflow.sources.stores import is_store, store_of

xarray = pytest.importorskip("xarray")
pytestmark = pytest.mark.filterwarnings("ignore")

SHIFT = np.linspace(100.0, 1000.0, 30)
MAP = 1.0 + np.arange(180.0).reshape(2, 3, 30)


def dataset():
    """A Raman map of two rows of three places, one sample each."""
    names = np.array([["a", "b", "c"], ["d", "e", "f"]])
    return xarray.Dataset(
        {"intensity": (("y", "x", "raman_shift"), MAP, {"units": "counts"}), "dark": ((), 3.0)},
        coords={
            "raman_shift": ("raman_shift", SHIFT, {"units": "cm-1"}),
            "x": ("x", [0.0, 1.5, 3.0], {"units": "um"}),
            "y": ("y", [10.0, 20.0], {"units": "um"}),
            "sample_id": (("y", "x"), names),
        },
        attrs={"laser": 532.0, "label": "Quartz"},
    )


def write(folder, data=None, version=3):
    (dataset() if data is None else data).to_zarr(folder, zarr_format=version)
    return folder


def records(found):
    """Yield the raw records of all planned sources, read here: that readers are isolated is tested elsewhere."""
    with SourceReader() as reader:
        for table in found.rows.values():
            for row in (row for row in table.to_pylist() if row["record"] == 0):
                data = reader.read(row["source"])
                assert has_digest(data, row["digest"])
                yield from get(row["format"]).read(data, row["name"])


@pytest.mark.parametrize("version", [2, 3])
def test_a_map_keeps_its_positions(tmp_path, version):
    write(tmp_path / "in" / "map.zarr", version=version)
    found = plan(tmp_path / "in")
    assert outcomes(found) == {f"map.zarr#{i}": "OK" for i in range(6)}
    assert found.counts.objects == 1
    raws = list(records(found))
    np.testing.assert_array_equal([raw.intensity for raw in raws], MAP.reshape(6, 30))
    assert [(raw.metadata["y"], raw.metadata["x"]) for raw in raws[:4]] == [(10, 0), (10, 1.5), (10, 3), (20, 0)]
    assert "".join(raw.sample_id for raw in raws) == "abcdef"
    assert {raw.label for raw in raws} == {"Quartz"}
    for raw in raws:
        assert to_record(raw, builtin()["raman"]).flags == 0
        assert (raw.modality, raw.metadata["laser"]) == ("raman", 532.0)
        np.testing.assert_array_equal(raw.axis, SHIFT)


def test_folder_zip_and_zip_member_are_the_same_spectra(tmp_path):
    store = write(tmp_path / "map.zarr")
    for name in ("whole.zarr.zip", "renamed.zip", "night.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(store.rglob("*")):
                below = "day/map.zarr/" if name == "night.zip" else ""
                if path.is_file():
                    packed.write(path, below + str(path.relative_to(store)))
    found = plan(tmp_path)
    sources = sorted({row["source"].removeprefix(str(tmp_path)) for row in found.rows["raman"].to_pylist()})
    assert sources == ["/map.zarr", "/night.zip!/day/map.zarr", "/renamed.zip", "/whole.zarr.zip"]
    # A member's zip is made as the folder's is, and the two zips of one making are equal: each pair is one content.
    statuses = [row["status"] for row in found.rows["raman"].to_pylist()]
    assert sorted(statuses) == ["DUPLICATE"] * 12 + ["OK"] * 12
    read = [raw.intensity for raw in records(found)]
    np.testing.assert_array_equal(read, np.tile(MAP.reshape(6, 30), (4, 1)))
    assert plan(tmp_path, previous=found).rows == {}


def test_one_changed_chunk_is_a_changed_source(tmp_path):
    store = write(tmp_path / "in" / "map.zarr")
    put(tmp_path / "in" / "a_raman.txt", rruff(1))
    first = plan(tmp_path / "in")
    again = plan(tmp_path / "in", previous=first)
    assert (again.rows, again.counts.bytes_read) == ({}, 0)
    zarr.open_group(str(store), mode="r+")["intensity"][0, 0, 0] = 77.0
    second = plan(tmp_path / "in", previous=first)
    assert second.replaced == (str(store),)
    assert next(records(second)).intensity[0] == 77.0
    shutil.rmtree(store)
    assert plan(tmp_path / "in", previous=second).vanished == (str(store),)


def test_a_store_in_a_bucket(tmp_path):
    pytest.importorskip("moto")
    from spectroflow.storage import Location
    from tests.s3 import s3_server

    store = write(tmp_path / "map.zarr")
    with s3_server("stores") as url:
        for path in store.rglob("*"):
            if path.is_file():
                (Location.parse(f"{url}/in/map.zarr") / str(path.relative_to(store))).write_bytes(path.read_bytes())
        found = plan(f"{url}/in")
        assert outcomes(found) == {f"map.zarr#{i}": "OK" for i in range(6)}
        assert len(list(records(found))) == 6
        local = plan(tmp_path)
        digests = [each.rows["raman"]["digest"][0].as_py() for each in (found, local)]
        assert digests[0] == digests[1], "where a store lies does not change its content"


def test_axes_of_their_own_missing_values_and_packed_numbers(tmp_path):
    axis = np.array([[1.0, 2, 3, np.nan], [2.0, 3, 4, 5]])
    values = xarray.Dataset(
        {
            "axis": (("spectrum", "point"), axis, {"units": "deg"}),
            "counts": (("spectrum", "point"), np.array([[10.0, 20, np.nan, np.nan], [1, 2, 3, 4]])),
        }
    )
    values["counts"].encoding = {"dtype": "int16", "scale_factor": 0.5, "add_offset": 1.0, "_FillValue": -1}
    write(tmp_path / "in" / "two_xrd.zarr", values)
    first, second = records(plan(tmp_path / "in"))
    assert first.axis.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(first.intensity, [10, 20, np.nan])
    assert (second.axis.tolist(), second.intensity.tolist()) == ([2, 3, 4, 5], [1, 2, 3, 4])
    assert (second.modality, second.axis_unit) == ("xrd", "deg")


def test_what_is_no_spectrum_is_refused_with_a_remedy(tmp_path):
    write(tmp_path / "in" / "a.zarr", xarray.Dataset({"depth": (("y", "x"), np.ones((3, 4)))}))
    put(tmp_path / "in" / "c.zarr" / "notes_raman.txt", rruff(1))
    put(tmp_path / "in" / "d.zarr" / "zarr.json", "{")
    found = plan(tmp_path / "in")
    assert outcomes(found) == {"a.zarr": "NO_DATA", "notes_raman.txt": "OK", "d.zarr": "TRUNCATED"}
    reasons = {row["source"][-6:]: row["reason"] + row["remedy"] for row in found.rows["unknown"].to_pylist()}
    assert "units" in reasons["a.zarr"]


def test_generated_spectra_are_not_taken_for_measured_ones(tmp_path):
    write(tmp_path / "in" / "b.zarr", dataset().assign_attrs(origin="generated"))
    for raw in records(plan(tmp_path / "in")):
        with pytest.raises(RecordError, match="generated, not measured"):
            to_record(raw, builtin()["raman"])


def metadata(**changes):
    """Return the metadata of an array of version 2, harmless but for the changes."""
    return {"zarr_format": 2, "shape": [30], "chunks": [30], "dtype": "<f8", "compressor": None, "filters": None,
            "fill_value": 1.0, "order": "C", **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"filters": [{"id": "pickle"}]}, "UNSUPPORTED_DIALECT"),
        ({"shape": [10**6, 10**6, 30], "chunks": [1, 1, 30]}, "HOSTILE_FILE"),
        ({"chunks": [10**12]}, "HOSTILE_FILE"),
        ({"shape": [-5]}, "TRUNCATED"),
        ({"dtype": "<q9"}, "TRUNCATED"),
    ],
)
def test_hostile_stores(tmp_path, changes, code):
    store = tmp_path / "in" / "s_raman.zarr"
    dims = ["y", "x", "shift"] if len(changes.get("shape", [0])) == 3 else ["shift"]
    put(store / ".zgroup", '{"zarr_format": 2}')
    put(store / "shift" / ".zarray", json.dumps(metadata()))
    put(store / "shift" / ".zattrs", '{"_ARRAY_DIMENSIONS": ["shift"], "units": "cm-1"}')
    put(store / "counts" / ".zarray", json.dumps(metadata(**changes)))
    put(store / "counts" / ".zattrs", json.dumps({"_ARRAY_DIMENSIONS": dims}))
    found = plan(tmp_path / "in")
    assert outcomes(found) == {"s_raman.zarr": code}
    assert found.rows["unknown"].to_pylist()[0]["remedy"]


def test_the_size_of_a_store_is_bounded_and_readers_are_isolated(tmp_path):
    store = write(tmp_path / "in" / "map.zarr")
    assert outcomes(plan(tmp_path / "in", max_file_bytes=100)) == {"map.zarr": "TOO_LARGE"}
    assert is_isolated(get("zarr"))
    with SourceReader() as reader:
        digest = digest_of(reader.read(str(store)))
        raws = reader.records(str(store), "map.zarr", digest=digest, format_name="zarr")
        assert reader.sandbox.starts == 1
    np.testing.assert_array_equal([raw.intensity for raw in raws], MAP.reshape(6, 30))


def test_half_a_store(tmp_path):
    store = write(tmp_path / "map.zarr")
    with SourceReader() as reader:
        data = reader.read(str(store))
        assert detect(data[: 64 << 10], "renamed") is get("zarr")
        assert reader.head(str(store))[:64] == data[:64]
    for cut in (10, len(data) // 2, len(data) - 5):
        with pytest.raises(RecordError) as caught:
            get("zarr").read(data[:cut], "map.zarr")
        assert caught.value.code == "TRUNCATED"


def test_names():
    assert store_of("/d/a.ome.ZARR/0/c/1") == "/d/a.ome.ZARR"
    assert store_of("s3://b/night.zip!/x/a.zarr/zarr.json") == "s3://b/night.zip!/x/a.zarr"
    assert store_of("/d/a.zarr.zip") is None
    assert is_store("/d/a.zarr")
    assert not is_store("/d/a.zarr/zarr.json")
