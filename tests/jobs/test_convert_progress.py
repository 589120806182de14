"""Progress of a conversion: files, bytes, rate, remaining time and failures, while files are looked at and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spectroflow.config import load
from spectroflow.engine.events import Event, Progress, UnitDone
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.convert_progress import SourcesMeter, SourcesProgress
from spectroflow.sources.look import Looked
from spectroflow_cli.progress import describe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty files of one spectrum, one of three, one that is broken."""
    place = tmp_path / "in"
    place.mkdir()
    for i in range(20):
        (place / f"{i:02d}_raman.xy").write_text("".join(f"{100 + k} {(k * i) % 23 + 1}\n" for k in range(30)))
    (place / "three_raman.tsv").write_text("".join(f"{k}\t{k % 5}\t{k % 3}\t{k % 4}\n" for k in range(100, 140)))
    (place / "broken_raman.xy").write_text("1 2\n3 x\n5 6\n7 8\n")
    return place


def test_what_is_told_adds_up(folder: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    config = load(None, ["archive.shard_rows=8", "archive.chunk_rows=4"])
    convert([str(folder)], str(tmp_path / "a"), options=JobOptions(config=config, workers=0, listener=heard.append))
    told = [event for event in heard if isinstance(event, SourcesProgress)]
    size = sum(path.stat().st_size for path in folder.iterdir())
    looked, read = ([each for each in told if each.stage == stage][-1] for stage in ("looking", "reading"))
    assert (looked.files_done, looked.files, looked.bytes_done, looked.bytes) == (22, 22, size, size)
    assert (read.files_done, read.files, read.failed) == (22, 22, 1)
    assert read.bytes_done == read.bytes
    assert size - 3 < read.bytes <= size, "three records share their file's bytes"
    assert isinstance(heard[heard.index(read) + 1], Progress)


def test_a_resumed_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    config = load(None, ["archive.shard_rows=8", "archive.chunk_rows=4"])
    heard: list[Event] = []

    class Killed(BaseException):
        pass

    def die(event: Event) -> None:
        if isinstance(event, UnitDone):
            raise Killed

    options = JobOptions(config=config, workers=0, listener=die)
    with pytest.raises(Killed):
        convert([str(folder)], str(tmp_path / "a"), options=options)
    convert([str(folder)], str(tmp_path / "a"), options=replace(options, listener=heard.append))
    read = [event for event in heard if isinstance(event, SourcesProgress) and event.stage == "reading"]
    assert read[0].files_done == 8
    assert read[-1].files_done == read[-1].files == 22


def test_rate_and_remaining_time() -> None:
    told: list[Event] = []
    moments = iter([0.0, 1.0, 4.0, 5.0, 6.0])
    meter = SourcesMeter(told.append, "looking", every=3.0, clock=lambda: next(moments))
    for done in (0, 4, 5):
        meter(Looked(files_done=done, files=10, bytes_done=done * 1_000_000, bytes=10_000_000, failed=done // 4))
    meter(Looked(10, 10, 10_000_000, 10_000_000, 2))
    first, last = told
    assert isinstance(first, SourcesProgress)
    assert first.bytes_per_second == 1_000_000
    assert first.eta_seconds == 6.0
    assert describe(first.to_json()) == "  looking: 4 of 10 files, 4.0 of 10.0 MB, 1.0 MB/s, 6 s left, 1 failed"
    assert describe(last.to_json()) == "  looking: 10 of 10 files, 10.0 of 10.0 MB, 1.7 MB/s, 0 s left, 2 failed"
