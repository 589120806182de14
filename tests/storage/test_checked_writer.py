from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import zarr

from spectroflow.errors import ArchiveError
from spectroflow.storage import CheckedWriter, Location, LocationStore, UnitAlreadyDone, digest_bytes, whole_shards


def _group(root: Location) -> None:
    group = zarr.create_group(LocationStore(root / "segment/spectra.zarr"))
    group.create_array("intensity", shape=(20, 6), shards=(8, 6), chunks=(4, 3), dtype="f4", fill_value=np.nan)


def test_a_unit_cannot_write_into_the_shard_of_another(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _group(root)
    prefix = "segment/spectra.zarr"
    writer = CheckedWriter(root, frozenset({f"{prefix}/intensity/c/0/0"}))
    array = zarr.open_group(writer.zarr_store(prefix), mode="r+")["intensity"]
    assert isinstance(array, zarr.Array)
    array[0:8] = np.ones((8, 6), np.float32)
    with pytest.raises(ArchiveError, match="does not own"):
        array[8:16] = np.ones((8, 6), np.float32)
    with pytest.raises(ArchiveError, match="does not own"):
        array[4:12] = np.zeros((8, 6), np.float32)
    plain = zarr.open_group(LocationStore(root / prefix), mode="r")["intensity"]
    assert isinstance(plain, zarr.Array)
    assert np.isnan(plain[8:16]).all()  # type: ignore[arg-type]


def test_every_written_byte_is_hashed(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    writer = CheckedWriter(root, frozenset({"a", "b/c"}))
    writer.put("a", b"one")
    writer.put("b/c", b"two two")
    assert {key: (w.size, w.digest) for key, w in writer.written.items()} == {
        "a": (3, digest_bytes(b"one")),
        "b/c": (7, digest_bytes(b"two two")),
    }
    assert digest_bytes((root / "b/c").read_bytes()) == writer.written["b/c"].digest


def test_nothing_is_written_once_the_unit_is_done(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    marker = root / "done.json"
    zombie = CheckedWriter(root, frozenset({"a"}), is_done=marker.exists)
    zombie.put("a", b"same")
    marker.write_bytes(b"{}")
    with pytest.raises(UnitAlreadyDone):
        zombie.put("a", b"late")
    with pytest.raises(UnitAlreadyDone):
        zombie.discard("a")
    assert (root / "a").read_bytes() == b"same"


def test_zarr_reads_through_a_location_what_zarr_wrote_by_itself(tmp_path: Path) -> None:
    data = np.arange(120, dtype=np.float32).reshape(20, 6)
    own = zarr.create_array(
        store=str(tmp_path / "own.zarr"), shape=data.shape, shards=(8, 6), chunks=(4, 3), dtype="f4"
    )
    own[:] = data
    read = zarr.open_array(LocationStore(Location.parse(tmp_path / "own.zarr")), mode="r")
    assert np.array_equal(read[:], data)  # type: ignore[arg-type]
    assert np.array_equal(read[5:11, 2:4], data[5:11, 2:4])  # type: ignore[arg-type]


def test_writes_that_go_on_behind_are_all_there_in_the_end(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _group(root)
    prefix = "segment/spectra.zarr"
    keys = frozenset(f"{prefix}/intensity/c/{shard}/0" for shard in range(3))
    data = np.arange(120, dtype=np.float32).reshape(20, 6)
    with CheckedWriter(root, keys, behind=2) as writer:
        array = zarr.open_group(writer.zarr_store(prefix), mode="r+")["intensity"]
        assert isinstance(array, zarr.Array)
        for start, stop in ((0, 8), (8, 12), (12, 16), (16, 20)):  # The second shard in two halves.
            array[start:stop] = data[start:stop]
        writer.put(f"{prefix}/intensity/c/0/0", (root / f"{prefix}/intensity/c/0/0").read_bytes())
    plain = zarr.open_group(LocationStore(root / prefix), mode="r")["intensity"]
    assert isinstance(plain, zarr.Array)
    assert np.array_equal(plain[:], data)  # type: ignore[arg-type]
    assert writer.written.keys() == keys
    for key, entry in writer.written.items():
        assert digest_bytes((root / key).read_bytes()) == entry.digest


def test_asking_for_a_shard_waits_for_its_own_write_only(tmp_path: Path) -> None:
    go_on = threading.Event()
    root = Location.parse(tmp_path)
    asked = []

    def is_done() -> bool:
        # The writer asks once as it takes the object and once more, in its thread, before the object gets its name.
        asked.append(threading.current_thread().name)
        if asked[-1].startswith("write-behind"):
            assert go_on.wait(20)
        return False

    with CheckedWriter(root, frozenset({"a", "b"}), is_done, behind=2) as writer:
        writer.put("a", b"slow")
        assert not writer.has("b")
        assert "a" not in writer.written
        go_on.set()
        assert writer.has("a")
        assert writer.written.keys() == {"a"}
        assert (root / "a").read_bytes() == b"slow"


def test_shards_are_the_same_whether_their_chunks_are_coded_together_or_one_by_one(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    found = []
    for name, context in (("alone", nullcontext()), ("together", whole_shards())):
        root = Location.parse(tmp_path / name)
        _group(root)
        array = LocationStore(root / "segment/spectra.zarr").group()["intensity"]
        assert isinstance(array, zarr.Array)
        with context:
            array[:] = data
            assert np.array_equal(array[:], data)  # type: ignore[arg-type]
        found.append({info.path: info.location.read_bytes() for info in root.walk()})
    assert found[0] == found[1]
    assert len(found[0]) == 5
    assert zarr.config.get("codec_pipeline.batch_size") == 1


def test_what_a_write_behind_raises_is_raised_before_the_unit_can_end(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    (tmp_path / "folder").write_bytes(b"a file where a folder should be")
    with pytest.raises(NotADirectoryError), CheckedWriter(root, frozenset({"folder/a"}), behind=2) as writer:
        writer.put("folder/a", b"lost")
    assert writer.written == {}
    writer = CheckedWriter(root, frozenset({"a", "folder/a"}), behind=2)
    with pytest.raises(ValueError, match="the unit's own"):
        _fail_while_writing(writer)
    assert writer.written.keys() == {"a"}


def _fail_while_writing(writer: CheckedWriter) -> None:
    with writer:
        writer.put("a", b"kept")
        writer.put("folder/a", b"lost")
        raise ValueError("the unit's own")
