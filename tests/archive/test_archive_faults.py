"""Archives whose processes are killed around a commit, and archives behind a store that stutters."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from spectroflow.archive import Archive, latest_version, version_numbers
from spectroflow.archive.compact import choose_merges, commit_merges, compaction_plan, merge_processor, prepare_merges
from spectroflow.archive.gc import collect
from spectroflow.archive.restore import restore_version
from spectroflow.archive.verify import verify
from spectroflow.engine import ExecuteOptions, execute
from spectroflow.engine.faults import AROUND_COMMIT, IN_RUN, IN_UNIT, VARIABLE
from spectroflow.errors import ArchiveError, CommitConflict, Unreachable
from spectroflow.storage import Location, digest_bytes
from tests.archive.archive_kit import CONFIG, add_lines, add_measured, values_of
from tests.s3_faults import faulty

ROWS = {"raman-a": 19, "raman-b": 8}


def _nights(root: Location) -> None:
    for name, rows in ROWS.items():
        add_measured(root, {name: rows})
    add_lines(root, ROWS)


def _compact(root: Location) -> None:
    version = latest_version(root)
    merges = choose_merges(root, version, CONFIG)
    if not merges:
        return
    result = execute(
        compaction_plan(version, merges, CONFIG),
        merge_processor(root, merges, CONFIG),
        root,
        prepare=lambda _: prepare_merges(root, merges, CONFIG),
        options=ExecuteOptions(workers=0),
    )
    commit_merges(root, merges, result.run, result.metrics["ok"])


def _restore(root: Location) -> None:
    restore_version(root, 1)


def _objects(root: Location) -> dict[str, str]:
    """Digest of every object that readers get, but for the versions, which hold times."""
    return {
        f"{part}/{info.path}": digest_bytes(info.location.read_bytes())
        for part in ("segments", "layers")
        for info in (root / part).walk()
    }


def _dies_at(fault: str, work: Callable[[Location], None], root: Location) -> None:
    def child() -> None:
        os.environ[VARIABLE] = fault
        work(root)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 3 has two segments with lines."""
    folder = tmp_path_factory.mktemp("pristine")
    _nights(Location.parse(folder))
    return folder


@pytest.fixture(scope="module")
def compacted(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 4 has one segment with lines."""
    folder = tmp_path_factory.mktemp("compacted") / "archive"
    shutil.copytree(pristine, folder)
    _compact(Location.parse(folder))
    return folder


@pytest.mark.parametrize("point", [IN_UNIT[1], *IN_RUN, *AROUND_COMMIT])
def test_a_compaction_killed_at_any_step_is_resumed_and_committed_once(
    pristine: Path, compacted: Path, tmp_path: Path, point: str
) -> None:
    shutil.copytree(pristine, tmp_path / "archive")
    root = Location.parse(tmp_path / "archive")
    _dies_at(f"{point}:*:1", _compact, root)
    assert version_numbers(root) == ([1, 2, 3, 4] if point == "after-commit" else [1, 2, 3])
    assert list(verify(root, latest_version(root))) == []
    _compact(root)
    assert version_numbers(root) == [1, 2, 3, 4]
    wanted = Location.parse(compacted)
    assert latest_version(root).segments == latest_version(wanted).segments
    assert latest_version(root).layers == latest_version(wanted).layers
    assert _objects(root) == _objects(wanted)
    assert list(verify(root, latest_version(root))) == []


@pytest.mark.parametrize("point", AROUND_COMMIT)
def test_a_restoration_killed_around_its_commit_is_done_once(compacted: Path, tmp_path: Path, point: str) -> None:
    shutil.copytree(compacted, tmp_path / "archive")
    root = Location.parse(tmp_path / "archive")
    _dies_at(point, _restore, root)
    _restore(root)
    assert version_numbers(root) == [1, 2, 3, 4, 5]
    assert latest_version(root).segments[0].id == "raman-a"


def test_a_version_that_does_not_fit_is_told_and_committed_by_the_next(compacted: Path, tmp_path: Path) -> None:
    shutil.copytree(compacted, tmp_path / "archive")
    root = Location.parse(tmp_path / "archive")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(Unreachable, match=r"storage refuses.*File too large") as caught:
            _restore(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.exit_code == 6
    assert (root / "versions").list() == [f"{number:06d}.json" for number in (1, 2, 3, 4)]
    _restore(root)
    assert latest_version(root).number == 5


def test_a_store_that_stutters_changes_nothing_of_an_archive_nor_of_what_is_read(compacted: Path, s3: str) -> None:
    """Bodies that are cut, even where they claim to be whole, are read anew; what is copied is checked."""
    root = Location.parse(f"{s3}/stutters")
    with faulty("503", "cut", "short", "lost", every=15) as server:
        _nights(root)
        _compact(root)
        archive = Archive(root)
        (entry,) = archive.segments()
        records = archive.segment_records(entry).to_pylist()
        intensity = archive.array(entry.id, "intensity")
        assert list(verify(root, archive.version)) == []
        assert set(server.seen) == set(server.kinds)
    assert _objects(root) == _objects(Location.parse(compacted))
    assert sorted(record["digest"] for record in records) == sorted(f"{n}:{r}" for n in ROWS for r in range(ROWS[n]))
    for record in records:
        name, row = record["digest"].split(":")
        assert np.array_equal(intensity[record["row"]], values_of(name, int(row))["intensity"], equal_nan=True)


def test_a_chunk_that_is_cut_for_good_is_an_altered_object_and_no_data(compacted: Path, tmp_path: Path) -> None:
    """The index of a shard says how long a chunk is; a reader never gets less, decoded as if it were all."""
    shutil.copytree(compacted, tmp_path / "archive")
    archive = Archive(Location.parse(tmp_path / "archive"))
    (entry,) = archive.segments()
    path = tmp_path / f"archive/segments/{entry.id}/spectra.zarr/intensity/c/1/0"
    data = path.read_bytes()
    path.write_bytes(data[-100:])
    with pytest.raises(ArchiveError, match=r"bytes of a chunk or of an index.*verify"):
        archive.array(entry.id, "intensity", 9, 12)


def _nightly(root: Location, who: int) -> None:
    for night in range(3):
        name = f"raman-{who}n{night}"
        add_measured(root, {name: 9 + who})


def _keeper(root: Location, who: int) -> None:
    """Compact, or collect, again and again; being overtaken is an answer, and no harm."""
    for _ in range(4):
        if who == 2:
            with suppress(CommitConflict):
                _compact(root)
        else:
            list(collect(root, grace=3600.0, keep=1))
        time.sleep(0.05)


def test_four_processes_that_convert_compact_and_collect_at_once_lose_no_record(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-first": 5})
    context = multiprocessing.get_context("fork")
    tasks = [(_nightly, 0), (_nightly, 1), (_keeper, 2), (_keeper, 3)]
    processes = [context.Process(target=work, args=(root, who)) for work, who in tasks]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    _compact(root)
    archive = Archive(root)
    rows = {"raman-first": 5} | {f"raman-{who}n{night}": 9 + who for who in (0, 1) for night in range(3)}
    wanted = sorted(f"{name}:{row}" for name, count in rows.items() for row in range(count))
    assert sorted(archive.records()["digest"].to_pylist()) == wanted
    assert len(archive.segments()) == 1
    numbers = version_numbers(root)
    assert numbers == list(range(1, len(numbers) + 1))
    assert list(verify(root, archive.version)) == []
