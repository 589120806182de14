from __future__ import annotations

import json
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spectroflow
from spectroflow.archive import (
    Archive,
    LayerEntry,
    SegmentEntry,
    Version,
    add_layers,
    add_segments,
    commit,
    latest_version,
    read_version,
    version_numbers,
)
from spectroflow.archive.commit import merge_superseded
from spectroflow.archive.version import encode_version
from spectroflow.errors import ArchiveError, CommitConflict
from spectroflow.storage import Location
from tests.archive.archive_kit import add_lines, add_measured

WRITERS = 4


class Barrier(Protocol):
    """Of threads or of processes."""

    def wait(self) -> int: ...


def _segment(name: str, rows: int = 10) -> SegmentEntry:
    return SegmentEntry(id=name, modality="raman", rows=rows, shard_rows=8, origin="measured", run="r")


def _layer(name: str, segment: str) -> LayerEntry:
    return LayerEntry(id=name, kind="lines", segment=segment, config="c", run="r")


def _add(root: Location, name: str, run: str = "r") -> Version:
    return commit(root, lambda base: add_segments(base, [_segment(name)]), command="convert", run=run)


def _race(url: str, who: int, commits: int, barrier: Barrier) -> None:
    barrier.wait()
    root = Location.parse(url)
    for number in range(commits):
        # Half of the commits are a conversion, half a fit of a segment that was there before.
        if number % 2:
            layer = _layer(f"l{who}-{number}", "base")
            commit(root, lambda base, layer=layer: add_layers(base, [layer]), command="fit", run=f"{who}")  # type: ignore[misc]
        else:
            _add(root, f"s{who}-{number}", f"{who}")


def _require_all(root: Location, commits: int) -> None:
    """Check that nothing of a race is lost, and that each version holds all of the one before it."""
    assert version_numbers(root) == list(range(1, WRITERS * commits + 2))
    segments = {"base"} | {f"s{who}-{n}" for who in range(WRITERS) for n in range(0, commits, 2)}
    layers = {f"l{who}-{n}" for who in range(WRITERS) for n in range(1, commits, 2)}
    newest = latest_version(root)
    assert {entry.id for entry in newest.segments} == segments
    assert {layer.id for layer in newest.layers} == layers
    before = Version()
    for number in version_numbers(root):
        version = read_version(root, number)
        assert (version.number, version.parent) == (number, number - 1)
        assert len(version.segments) + len(version.layers) == number
        assert set(before.segments) <= set(version.segments)
        assert set(before.layers) <= set(version.layers)
        before = version


def test_commits_of_four_racing_processes_all_stay_and_numbers_have_no_gap(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _add(root, "base")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(WRITERS)
    processes = [context.Process(target=_race, args=(root.url, who, 12, barrier)) for who in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    _require_all(root, 12)
    assert not list(tmp_path.rglob("*.partial"))


def test_commits_race_on_s3_too(s3: str) -> None:
    root = Location.parse(f"{s3}/race")
    _add(root, "base")
    barrier = threading.Barrier(WRITERS)
    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(_race, root.url, who, 4, barrier) for who in range(WRITERS)]:
            done.result()
    _require_all(root, 4)


def test_a_run_killed_after_its_commit_finds_it_done(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    first = _add(root, "a", "run-1")
    assert _add(root, "a", "run-1") == first
    _add(root, "b", "run-2")
    assert _add(root, "a", "run-1").number == 2
    layered = commit(root, lambda base: add_layers(base, [_layer("l", "a")]), command="fit", run="f")
    assert commit(root, lambda base: add_layers(base, [_layer("l", "a")]), command="fit", run="f") == layered
    assert version_numbers(root) == [1, 2, 3]


def test_facts_that_json_changes_do_not_make_a_version_each_time(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    for _ in range(3):
        commit(root, lambda base: add_segments(base, [], attributes={"pair": ("raman", "xrd")}), command="t", run="r")
    assert version_numbers(root) == [1]
    assert latest_version(root).attributes == {"pair": ["raman", "xrd"]}


def test_a_commit_whose_segments_were_compacted_since_is_still_done(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)

    def convert(base: Version) -> Version:
        return add_segments(base, [_segment("a")], catalogue="run-1", superseded={})

    commit(root, convert, command="convert", run="run-1")
    commit(root, lambda base: base.model_copy(update={"segments": (_segment("ab"),)}), command="compact", run="c")
    assert [entry.id for entry in commit(root, convert, command="convert", run="run-1").segments] == ["ab"]


def test_conflicts_are_refused_and_nothing_is_committed(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _add(root, "a")
    with pytest.raises(CommitConflict, match="'gone' is no longer part"):
        commit(root, lambda base: add_layers(base, [_layer("l", "gone")]), command="fit", run="f")
    with pytest.raises(CommitConflict, match=r"'gone'.*no longer part"):
        commit(root, lambda base: add_segments(base, [], superseded={"gone": [1]}), command="convert", run="c")
    assert version_numbers(root) == [1]


def test_an_empty_place_is_no_archive(tmp_path: Path) -> None:
    assert latest_version(Location.parse(tmp_path)) == Version()
    with pytest.raises(ArchiveError, match=r"no archive here.*convert"):
        spectroflow.open(str(tmp_path))
    with pytest.raises(ArchiveError, match=r"no version 3.*empty"):
        spectroflow.open(str(tmp_path), 3)


def test_names_that_are_not_versions_do_not_count(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _add(root, "a")
    for name in ("2.json", "000000.json", "0000002.json", "000002.json.bak", "000002.json.x.partial", "x000002.json"):
        (root / "versions" / name).write_bytes(b"{}")
    assert version_numbers(root) == [1]
    (root / "versions/1234567.json").write_bytes(b"{}")
    assert version_numbers(root) == [1, 1234567]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_version_with_any_byte_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = Location.parse(tmp_path_factory.getbasetemp() / "flipped")
    if not version_numbers(root):
        _add(root, "a")
        commit(
            root,
            lambda base: add_segments(base, [_segment("b")], superseded={"a": [1, 2]}, attributes={"x": 1.5}),
            command="convert",
            run="r",
        )
    place = root / "versions/000002.json"
    content = place.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != content[at]))
    place.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    try:
        version = read_version(root, 2)
    except ArchiveError:
        pass
    else:
        # Only white space may differ: what a reader gets is what was written.
        assert encode_version(version) == content
    finally:
        place.write_bytes(content)
    assert read_version(root, 2).number == 2


def test_a_truncated_version_says_so_and_earlier_ones_open(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 9})
    add_lines(root, {"raman-a": 9})
    place = root / "versions/000002.json"
    place.write_bytes(place.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match=r"000002.json: this version is damaged.*earlier version"):
        spectroflow.open(str(tmp_path))
    with pytest.raises(ArchiveError, match="damaged"):
        _add(root, "b")
    assert spectroflow.open(str(tmp_path), 1).version.layers == ()


def test_a_newer_format_is_refused_even_with_fields_nobody_knows_yet(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _add(root, "a")
    place = root / "versions/000001.json"
    tree = json.loads(place.read_bytes())
    place.write_bytes(json.dumps({**tree, "format": 2, "tables": []}).encode())
    with pytest.raises(ArchiveError, match=r"format 2.*Upgrade"):
        latest_version(root)


def test_a_version_under_another_number_is_damaged(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    _add(root, "a")
    (root / "versions/000002.json").write_bytes((root / "versions/000001.json").read_bytes())
    with pytest.raises(ArchiveError, match="says that it is version 1"):
        latest_version(root)


def test_a_reader_keeps_its_version_whatever_others_commit(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 9})
    reader = spectroflow.open(str(tmp_path))
    before = reader.records().to_pylist()
    add_measured(root, {"raman-b": 5})
    commit(root, lambda base: add_segments(base, [], superseded={"raman-a": [0]}), command="convert", run="c")
    assert reader.version.number == 1
    assert reader.records().to_pylist() == before
    assert [entry.id for entry in reader.segments()] == ["raman-a"]
    now = spectroflow.open(str(tmp_path))
    assert now.version.number == 3
    assert now.records().num_rows == 9 - 1 + 5
    assert spectroflow.open(str(tmp_path), 1).records().to_pylist() == before


@given(
    known=st.dictionaries(st.sampled_from("ab"), st.sets(st.integers(0, 30))),
    added=st.dictionaries(st.sampled_from("ab"), st.lists(st.integers(0, 30))),
)
def test_superseded_spans_hold_the_union_and_nothing_else(
    known: dict[str, set[int]], added: dict[str, list[int]]
) -> None:
    spans = merge_superseded(merge_superseded({}, known), added)
    for segment in "ab":
        found = spans.get(segment, ())
        wanted = known.get(segment, set()) | set(added.get(segment, []))
        assert [row for a, b in found for row in range(a, b)] == sorted(wanted)
        assert all(a < b for a, b in found)
        assert all(b < c for (_, b), (c, _) in pairwise(found))
    assert merge_superseded(spans, added) == spans


def test_the_archive_works_on_s3(tmp_path: Path, s3: str) -> None:
    local, remote = Location.parse(tmp_path), Location.parse(f"{s3}/nightly/archive")
    for root in (local, remote):
        add_measured(root, {"raman-a": 19})
        add_lines(root, {"raman-a": 19})
        commit(root, lambda base: add_segments(base, [], superseded={"raman-a": [2]}), command="t", run="t")
    there, here = spectroflow.open(remote.url), spectroflow.open(str(tmp_path))
    assert there.records().equals(here.records())
    assert there.version.segments == here.version.segments
    layer = there.lines_layer("raman-a")
    assert layer is not None
    assert there.layer_array(layer, "lines").tobytes() == here.layer_array(layer, "lines").tobytes()
    assert {info.path: info.size for info in remote.walk() if not info.path.startswith("runs")} == {
        info.path: info.size for info in local.walk() if not info.path.startswith("runs")
    }
    for ours, theirs in zip(here.spectra(), there.spectra(), strict=True):
        assert ours.axis.tobytes() == theirs.axis.tobytes()
        assert ours.intensity.tobytes() == theirs.intensity.tobytes()
    import xarray

    data = xarray.open_zarr(f"{remote.url}/segments/raman-a/spectra.zarr")
    assert data["status"].dtype == "uint8"
    assert data["intensity"].values.tobytes() == here.array("raman-a", "intensity").tobytes()
    assert isinstance(there, Archive)
