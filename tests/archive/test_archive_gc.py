from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path

import pytest

from spectroflow.archive import Archive, latest_version, read_version, version_numbers
from spectroflow.archive.compact import (
    choose_merges,
    commit_merges,
    compaction_plan,
    merge_processor,
    prepare_merges,
)
from spectroflow.archive.gc import collect, storage_time
from spectroflow.archive.restore import list_versions, restore_version
from spectroflow.archive.verify import verify
from spectroflow.engine import ExecuteOptions, Ledger, execute, run_folder
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location
from tests.archive.archive_kit import CONFIG, Filler, add_lines, add_measured, run_filler

DAY = 86400.0


def _age(root: Location, days: float) -> None:
    """Make everything that is there so much older."""
    for info in root.walk():
        os.utime(info.location.path, (info.modified - days * DAY,) * 2)


def _compact(root: Location) -> str:
    merges = choose_merges(root, latest_version(root), CONFIG)
    plan = compaction_plan(latest_version(root), merges, CONFIG)
    result = execute(
        plan,
        merge_processor(root, merges, CONFIG),
        root,
        prepare=lambda _: prepare_merges(root, merges, CONFIG),
        options=ExecuteOptions(workers=0),
    )
    commit_merges(root, merges, plan.run, result.metrics["ok"])
    return plan.run


def _tree(root: Location) -> dict[str, bytes]:
    return {info.path: info.location.read_bytes() for info in root.walk()}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2 have two segments, 3 their lines, 4 one segment compacted of both."""
    folder = tmp_path_factory.mktemp("gc")
    root = Location.parse(folder)
    add_measured(root, {"raman-a": 9})
    add_measured(root, {"raman-b": 8})
    add_lines(root, {"raman-a": 9, "raman-b": 8})
    _compact(root)
    return folder


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Location:
    shutil.copytree(pristine, tmp_path / "archive", copy_function=shutil.copy2)
    return Location.parse(tmp_path / "archive")


def test_nothing_is_removed_while_all_versions_are_kept(root: Location) -> None:
    _age(root, 100)
    before = _tree(root)
    assert list(collect(root, grace=0)) == []
    assert _tree(root) == before


def test_what_only_old_versions_name_goes_and_the_newest_stays_whole(root: Location) -> None:
    _age(root, 100)
    wanted = Archive(root).records().to_pylist()
    listed = list(collect(root, grace=DAY, keep=1, dry_run=True))
    before = _tree(root)
    removed = list(collect(root, grace=DAY, keep=1))
    assert removed == listed
    assert {removal.key for removal in removed} == before.keys() - _tree(root).keys()
    assert sum(removal.size for removal in removed) == sum(map(len, before.values())) - sum(
        map(len, _tree(root).values())
    )
    assert version_numbers(root) == [4]
    assert (root / "segments").list() == [latest_version(root).segments[0].id]
    assert len((root / "layers").list()) == 1
    assert Archive(root).records().to_pylist() == wanted
    assert list(verify(root, latest_version(root))) == []
    # The runs whose catalogues count stay, so that the next conversion knows what was seen.
    assert {run.split("-")[0] for run in (root / "runs").list()} == {"convert", "compact"}
    assert list(collect(root, grace=DAY, keep=1)) == []


def test_a_dry_run_touches_nothing(root: Location) -> None:
    _age(root, 100)
    before = {info.path: info.modified for info in root.walk()}
    assert list(collect(root, grace=0, keep=1, dry_run=True))
    assert {info.path: info.modified for info in root.walk()} == before


def test_a_version_stays_for_the_grace_time_after_another_took_its_place(root: Location) -> None:
    """A reader that opened it a moment before may still be reading."""
    for info in (root / "versions").walk():
        assert time.time() - info.modified < DAY
    for place in (root / "versions/000001.json", root / "versions/000002.json"):
        os.utime(place.path, (time.time() - 100 * DAY,) * 2)
    reader = Archive(root, 3)
    removed = list(collect(root, grace=DAY, keep=1))
    # Version 2 took the place of 1 long ago; 3 took that of 2 just now.
    assert [removal.key for removal in removed if removal.reason == "version"] == ["versions/000001.json"]
    assert reader.array("raman-a", "status").shape == (9,)
    assert list(verify(root, read_version(root, 3))) == []


def test_a_run_in_progress_is_never_touched_however_old_its_parts(root: Location) -> None:
    """Not even what its plan does not name, such as a segment that is called after the run."""
    filler = Filler(root, {"raman-new": 20})
    plan = run_filler(root, filler, ["of-raman-new"], "convert")
    (root / f"segments/{plan.run}-raman/spectra.zarr/zarr.json").write_bytes(b"{}")
    _age(root, 100)
    folder = run_folder(root, plan.run)
    os.utime((folder / "done/of-raman-new-000001.json").path)
    before = {key: data for key, data in _tree(root).items() if "raman-new" in key or plan.run in key}
    removed = list(collect(root, grace=DAY, keep=1))
    assert removed
    now = _tree(root)
    assert {key: now.get(key) for key in before} == before


def test_a_run_that_was_given_up_goes_with_all_it_wrote(root: Location) -> None:
    kept = _tree(root)
    plan = run_filler(root, Filler(root, {"raman-new": 20}), ["of-raman-new"], "convert")
    _age(root, 100)
    removed = list(collect(root, grace=DAY))
    assert _tree(root) == kept
    assert not (root / "segments/raman-new").exists()
    assert not run_folder(root, plan.run).exists()
    order = [removal.key for removal in removed]
    markers = [i for i, key in enumerate(order) if "/done/" in key]
    data = [i for i, key in enumerate(order) if key.startswith("segments/")]
    assert max(markers) < min(data)
    assert order[-1] == f"runs/{plan.run}/plan.json"


def test_a_gc_killed_at_any_time_leaves_no_marker_for_data_that_is_gone(pristine: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(pristine, template, copy_function=shutil.copy2)
    given_up = run_filler(
        Location.parse(template), Filler(Location.parse(template), {"raman-new": 9}), ["of-raman-new"], "convert"
    )
    _age(Location.parse(template), 100)
    total = sum(1 for _ in collect(Location.parse(template), grace=DAY, keep=1, dry_run=True))
    for step in range(0, total, 5):
        folder = tmp_path / str(step)
        shutil.copytree(template, folder, copy_function=shutil.copy2)
        root = Location.parse(folder)
        removals = collect(root, grace=DAY, keep=1)
        assert len([*itertools.islice(removals, step)]) == step
        del removals
        for number in version_numbers(root):
            assert list(verify(root, read_version(root, number))) == []
        ledger = Ledger(run_folder(root, given_up.run), given_up.fingerprint)
        for name in ledger.names():
            assert all((root / key).exists() for key in ledger.read(name).keys)
        list(collect(root, grace=DAY, keep=1))
        assert not (root / "segments/raman-new").exists()
        assert list(collect(root, grace=DAY, keep=1)) == []


def test_half_written_files_go_once_they_are_old(root: Location) -> None:
    kept = _tree(root)
    segment = latest_version(root).segments[0].id
    old = root / f"segments/{segment}/spectra.zarr/status/c/0.00.partial"
    young = root / f"segments/{segment}/spectra.zarr/status/c/1.00.partial"
    old.write_bytes(b"half")
    (root / "versions/000009.json.00.partial").write_bytes(b"half")
    _age(root, 100)
    young.write_bytes(b"half")
    assert {removal.reason for removal in collect(root, grace=DAY)} == {"leftover"}
    assert _tree(root).keys() - kept.keys() == {young.path.removeprefix(root.path + "/")}


def test_a_part_of_a_run_that_stays_loses_its_markers_with_its_data(tmp_path: Path) -> None:
    """Else the same conversion, run again, would find markers for data that is gone."""
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 9, "raman-b": 8})
    add_lines(root, {"raman-a": 9})
    add_measured(root, {"raman-c": 4})
    merges = choose_merges(root, latest_version(root), CONFIG)
    assert [[member.entry.id for member in merge.members] for merge in merges] == [["raman-b", "raman-c"]]
    _compact(root)
    _age(root, 100)
    removed = {removal.key for removal in collect(root, grace=DAY, keep=1) if removal.reason == "marker"}
    run = latest_version(root).segments[0].run
    assert f"runs/{run}/done/of-raman-b-000000.json" in removed
    assert (run_folder(root, run) / "done").list() == ["of-raman-a-000000.json", "of-raman-a-000001.json"]
    assert list(verify(root, latest_version(root))) == []
    run_filler(root, Filler(root, {"raman-a": 9, "raman-b": 8}), ["of-raman-a", "of-raman-b"], "convert")
    assert (root / "segments/raman-b/records/part-000000.parquet").exists()


def test_nothing_is_removed_where_a_version_that_is_kept_cannot_be_read(root: Location) -> None:
    run_filler(root, Filler(root, {"raman-new": 9}), ["of-raman-new"], "convert")
    _age(root, 100)
    (root / "versions/000004.json").write_bytes(b"{}")
    before = _tree(root)
    with pytest.raises(ArchiveError, match="damaged"):
        list(collect(root, grace=DAY, keep=1))
    assert _tree(root) == before
    with pytest.raises(ArchiveError, match="no archive"):
        list(collect(root / "elsewhere", grace=DAY))


def test_restore_brings_an_earlier_version_back_as_a_new_one(root: Location) -> None:
    newest = latest_version(root)
    restored = restore_version(root, 2)
    assert (restored.number, restored.parent) == (5, 2)
    assert restored.segments == read_version(root, 2).segments
    assert restored.layers == ()
    assert restore_version(root, 2) == restored
    assert restore_version(root, 4).segments == newest.segments
    assert [version.number for version in list_versions(root) if not isinstance(version, ArchiveError)] == [
        *range(1, 7)
    ]
    with pytest.raises(ArchiveError, match="no version 17"):
        restore_version(root, 17)


def test_a_damaged_newest_version_is_listed_and_can_be_left_behind(root: Location) -> None:
    (root / "versions/000004.json").write_bytes(b"garbage")
    with pytest.raises(ArchiveError, match=r"damaged.*restore"):
        Archive(root)
    assert [isinstance(version, ArchiveError) for version in list_versions(root)] == [False, False, False, True]
    assert restore_version(root, 3).number == 5
    assert len(Archive(root).segments()) == 2


def test_a_version_whose_data_is_gone_is_not_restored(root: Location) -> None:
    (root / "segments/raman-a").delete_tree()
    with pytest.raises(ArchiveError, match="is gone"):
        restore_version(root, 1)
    assert latest_version(root).number == 4


def test_the_storage_tells_the_time_and_keeps_nothing_of_the_question(root: Location) -> None:
    before = _tree(root)
    assert abs(storage_time(root) - time.time()) < 5
    assert _tree(root) == before


def test_a_clock_that_jumped_makes_nothing_old(root: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "segments/raman-of-nobody/part").write_bytes(b"written a moment ago")
    before = _tree(root)
    monkeypatch.setattr(time, "time", lambda: 5e9)
    assert list(collect(root, grace=3600.0, keep=1)) == []
    assert _tree(root) == before


def test_it_works_on_s3(pristine: Path, s3: str) -> None:
    root = Location.parse(f"{s3}/garbage")
    for path in sorted(pristine.rglob("*")):
        if path.is_file():
            (root / str(path.relative_to(pristine))).write_bytes(path.read_bytes())
    assert list(collect(root, grace=DAY, keep=1)) == []
    later = time.time() + 2 * DAY
    listed = list(collect(root, grace=DAY, keep=1, now=later, dry_run=True))
    removed = list(collect(root, grace=DAY, keep=1, now=later))
    assert listed == removed
    assert {removal.reason for removal in removed} >= {"version", "segment", "layer", "run"}
    assert version_numbers(root) == [4]
    assert list(verify(root, latest_version(root))) == []
