from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectroflow import status
from spectroflow.archive import sealed
from spectroflow.archive.arrays import Array, ArraySpec, Layout, choose_shard_rows, fitting_chunk, read_rows
from spectroflow.archive.segment import create_segment, segment_layout
from spectroflow.config import ArchiveConfig
from spectroflow.errors import ArchiveError
from spectroflow.storage import CheckedWriter, Location
from tests.archive.archive_kit import CONFIG, add_lines, add_measured, layer_id, modality, values_of


def _values(layout: Layout, shard: int, seed: int = 0) -> dict[str, Array]:
    start, stop = layout.span(shard)
    random = np.random.default_rng([seed, shard])
    return {a.name: (random.random((stop - start, *a.inner)) * 100).astype(a.dtype) for a in layout.arrays}


def _fill(layout: Layout, shard: int) -> dict[str, Array]:
    start, stop = layout.span(shard)
    return {a.name: np.full((stop - start, *a.inner), a.fill, a.dtype) for a in layout.arrays}


@given(
    rows=st.integers(1, 40),
    shard_rows=st.integers(1, 12),
    chunk_rows=st.integers(1, 12),
    points=st.integers(1, 20),
    chunk_points=st.integers(1, 24),
    generated=st.booleans(),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_unit_writes_exactly_the_keys_it_names_and_reads_back_what_it_wrote(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    shard_rows: int,
    chunk_rows: int,
    points: int,
    chunk_points: int,
    generated: bool,
) -> None:
    root = Location.parse(tmp_path_factory.mktemp("layout"))
    config = ArchiveConfig(chunk_rows=chunk_rows, chunk_points=chunk_points)
    layout = segment_layout(
        "s", rows, modality("raman"), config, generated=generated, shard_rows=shard_rows, capacity=points
    )
    create_segment(root, layout, modality("raman"), "generated" if generated else "measured")
    metadata = {info.path for info in root.walk()}
    named: set[str] = set()
    for shard in range(layout.shards):
        writer = CheckedWriter(root, layout.keys(shard))
        layout.write(writer.zarr_store(layout.path), shard, _values(layout, shard))
        assert writer.written.keys() == layout.keys(shard)
        assert not named & layout.keys(shard)
        named |= layout.keys(shard)
    assert {info.path for info in root.walk()} - metadata == named
    assert sum(stop - start for start, stop in map(layout.span, range(layout.shards))) == rows
    for array in layout.arrays:
        wanted = np.concatenate([_values(layout, shard)[array.name] for shard in range(layout.shards)])
        found = read_rows(root, layout.path, array.name, 0, rows)
        assert found.dtype == np.dtype(array.dtype)
        assert np.array_equal(found, wanted)


def test_a_shard_of_fill_values_only_writes_nothing_and_removes_what_was_there(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    create_segment(root, layout, modality("raman"), "measured")
    for values, present in ((_values(layout, 2), True), (_fill(layout, 2), False)):
        writer = CheckedWriter(root, layout.keys(2))
        layout.write(writer.zarr_store(layout.path), 2, values)
        assert bool(writer.written) is present
        assert {(root / key).exists() for key in layout.keys(2)} == {present}
    assert (read_rows(root, layout.path, "status", 0, 19) == status.NOT_DONE).all()
    assert np.isnan(read_rows(root, layout.path, "intensity", 0, 19)).all()


@pytest.mark.parametrize("leftover", [b"", b"garbage", None])
def test_what_a_killed_attempt_left_has_no_part_in_the_bytes(tmp_path: Path, leftover: bytes | None) -> None:
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    written = []
    for name in ("clean", "dirty"):
        root = Location.parse(tmp_path / name)
        create_segment(root, layout, modality("raman"), "measured")
        for shard in (0, 2):
            if name == "dirty" and leftover is None:
                old = CheckedWriter(root, layout.keys(shard))
                layout.write(old.zarr_store(layout.path), shard, _values(layout, shard, seed=1))
            elif name == "dirty":
                for key in layout.keys(shard):
                    (root / key).write_bytes(leftover or b"")
            writer = CheckedWriter(root, layout.keys(shard))
            layout.write(writer.zarr_store(layout.path), shard, _values(layout, shard))
            written.append(writer.written)
    assert written[:2] == written[2:]


def test_values_of_another_shape_are_refused(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    create_segment(root, layout, modality("raman"), "measured")
    writer = CheckedWriter(root, layout.keys(2))
    with pytest.raises(ArchiveError, match="has shape"):
        layout.write(writer.zarr_store(layout.path), 2, _values(layout, 0))
    assert not writer.written


@given(
    rows=st.integers(0, 10**7),
    row_bytes=st.lists(st.integers(1, 10**8), min_size=1, max_size=5),
    shard_rows=st.integers(1, 5000),
    shard_bytes=st.integers(1, 10**9),
    chunk_rows=st.integers(1, 500),
)
def test_shards_stay_within_what_was_configured(
    rows: int, row_bytes: list[int], shard_rows: int, shard_bytes: int, chunk_rows: int
) -> None:
    config = ArchiveConfig(shard_rows=shard_rows, shard_bytes=shard_bytes, chunk_rows=chunk_rows)
    chosen = choose_shard_rows(rows, row_bytes, config)
    assert 1 <= chosen <= shard_rows
    assert chosen == 1 or chosen * max(row_bytes) <= shard_bytes
    assert chosen <= chunk_rows or chosen % chunk_rows == 0
    assert chosen < rows + chunk_rows + 1
    if rows >= shard_rows and shard_bytes >= shard_rows * max(row_bytes) and shard_rows % chunk_rows == 0:
        assert chosen == shard_rows


@given(st.integers(1, 5000), st.integers(1, 500))
def test_chunks_divide_shards_whatever_the_configuration_asks_for(shard_rows: int, chunk_rows: int) -> None:
    chunk = fitting_chunk(shard_rows, chunk_rows)
    assert shard_rows % chunk == 0
    if shard_rows % chunk_rows == 0:
        assert chunk == chunk_rows


def test_a_layer_of_another_chunk_configuration_aligns_with_its_segment(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    arrays = (ArraySpec("score", (2,), "float32", float("nan"), ("spectrum", "measure")),)
    layout = Layout("layers/l/evaluation.zarr", 100, 53, 32, arrays)
    layout.create(root, {})
    writer = CheckedWriter(root, layout.keys(1))
    layout.write(writer.zarr_store(layout.path), 1, _values(layout, 1))
    assert writer.written.keys() == layout.keys(1)


def test_creating_twice_writes_the_same_once_and_another_group_is_refused(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    create_segment(root, layout, modality("raman"), "measured")
    before = {info.path: (info.modified, info.location.read_bytes()) for info in root.walk()}
    create_segment(root, layout, modality("raman"), "measured")
    assert before == {info.path: (info.modified, info.location.read_bytes()) for info in root.walk()}
    with pytest.raises(ArchiveError, match="other shards or attributes"):
        create_segment(root, layout, modality("raman"), "simulated")
    other = segment_layout("s", 19, modality("raman"), ArchiveConfig(shard_rows=8, chunk_rows=2, chunk_points=16))
    with pytest.raises(ArchiveError, match="other shards or attributes"):
        create_segment(root, other, modality("raman"), "measured")
    assert before == {info.path: (info.modified, info.location.read_bytes()) for info in root.walk()}


def test_a_kill_while_creating_leaves_nothing_that_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    whole = Location.parse(tmp_path / "whole")
    create_segment(whole, layout, modality("raman"), "measured")
    wanted = {info.path: info.location.read_bytes() for info in whole.walk()}
    write = Location.write_bytes
    left = 0

    def killed(self: Location, data: bytes | memoryview, *, durable: bool = False) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        write(self, data, durable=durable)

    for survivors in range(len(wanted)):
        root = Location.parse(tmp_path / str(survivors))
        left = survivors
        monkeypatch.setattr(Location, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            create_segment(root, layout, modality("raman"), "measured")
        monkeypatch.undo()
        with pytest.raises(FileNotFoundError):
            zarr.open_group(str(tmp_path / str(survivors) / layout.path), mode="r")
        create_segment(root, layout, modality("raman"), "measured")
        assert {info.path: info.location.read_bytes() for info in root.walk()} == wanted


_PLAIN = """
import sys, json
import numpy as np, xarray, zarr
segment, layer = sys.argv[1:]
group = zarr.open_group(segment, mode="r")
assert group.metadata.consolidated_metadata is not None
data = xarray.open_zarr(segment)
lines = xarray.open_zarr(layer)
assert not any(name.startswith("spectroflow") for name in sys.modules)
print(json.dumps({
    "attributes": {k: v for k, v in dict(group.attrs).items() if isinstance(v, str)},
    "codes": data.attrs["status_codes"],
    "dims": {name: list(data[name].dims) for name in data.variables},
    "dtypes": {name: str(data[name].dtype) for name in data.variables},
    "line_dims": {name: list(lines[name].dims) for name in lines.variables},
    "parameters": lines.attrs["parameter"],
    "status": [int(v) for v in data["status"].values],
    "same": bool(np.array_equal(data["intensity"].values, group["intensity"][:], equal_nan=True)),
    "sum": float(np.nansum(data["intensity"].values)),
    "chunks": list(group["intensity"].chunks),
    "shards": list(group["intensity"].shards),
}))
"""


def test_segments_and_layers_open_with_plain_zarr_and_xarray(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 19})
    add_lines(root, {"raman-a": 19})
    segment, layer = f"{tmp_path}/segments/raman-a/spectra.zarr", f"{tmp_path}/layers/{layer_id('raman-a')}/lines.zarr"
    done = subprocess.run([sys.executable, "-c", _PLAIN, segment, layer], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["attributes"]["modality"] == "raman"
    assert seen["attributes"]["axis_unit"] == "cm-1"
    assert seen["attributes"]["intensity_unit"] == "counts"
    assert seen["attributes"]["origin"] == "measured"
    assert seen["codes"]["0"] == "OK"
    assert seen["codes"]["255"] == "NOT_DONE"
    assert seen["dims"] == {"intensity": ["spectrum", "point"], "axis": ["spectrum", "point"], "status": ["spectrum"]}
    assert seen["dtypes"] == {"intensity": "float32", "axis": "float64", "status": "uint8"}
    assert seen["line_dims"] == {
        "lines": ["spectrum", "slot", "parameter"],
        "fit": ["spectrum", "quantity"],
        "status": ["spectrum"],
    }
    assert seen["parameters"] == ["center", "height", "fwhm"]
    wanted = [values_of("raman-a", row) for row in range(19)]
    assert seen["status"] == [row["status"] for row in wanted]
    assert seen["same"]
    assert seen["sum"] == pytest.approx(float(np.nansum([row["intensity"] for row in wanted])), rel=1e-6)
    assert (seen["chunks"], seen["shards"]) == ([4, 16], [8, 48])


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_altered_byte_of_metadata_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    root = Location.parse(tmp_path)
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    create_segment(root, layout, modality("raman"), "measured")
    good = (root / layout.path / "zarr.json").read_bytes()

    def is_good(content: bytes) -> bool:
        try:
            tree = sealed.decode(content)
            return bool(tree["attributes"].pop("metadata_digest") == sealed.digest_of(tree))
        except (ValueError, KeyError):
            return False

    assert is_good(good)
    place = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != good[place]))
    assert not is_good(good[:place] + bytes([value]) + good[place + 1 :])
    assert not is_good(good[:place])


def test_a_missing_or_damaged_array_is_one_clear_error(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    layout = segment_layout("s", 19, modality("raman"), CONFIG)
    with pytest.raises(ArchiveError, match="'intensity' is missing"):
        read_rows(root, layout.path, "intensity", 0, 1)
    create_segment(root, layout, modality("raman"), "measured")
    writer = CheckedWriter(root, layout.keys(0))
    layout.write(writer.zarr_store(layout.path), 0, _values(layout, 0))
    (root / layout.path / "intensity/c/0/0").write_bytes(b"garbage")
    with pytest.raises(ArchiveError, match="intensity/c/0/0"):
        read_rows(root, layout.path, "intensity", 0, 1)
    (root / layout.path / "zarr.json").write_bytes(b"{")
    with pytest.raises(ArchiveError, match="metadata"):
        read_rows(root, layout.path, "intensity", 0, 1)
