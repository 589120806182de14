"""Law 5: while a run goes on, a reader sees what was committed and nothing of the run."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import spectroflow
from spectroflow.archive import Archive
from spectroflow.config import load
from spectroflow.engine.events import Event, UnitDone
from spectroflow.errors import ArchiveError
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.maintain import compact, gc
from spectroflow.jobs.simulate import simulate


def _seen(archive: Path) -> tuple[int, int, int]:
    """Return version, rows and layers that a reader finds, after looking at every row."""
    try:
        opened = spectroflow.open(str(archive))
    except ArchiveError:
        return 0, 0, 0
    return _looked_at(opened)


def _looked_at(opened: Archive) -> tuple[int, int, int]:
    for entry in opened.segments():
        assert not (opened.array(entry.id, "status") == 255).any()
        assert np.array_equal(np.sort(opened.segment_records(entry)["row"].to_numpy()), np.arange(entry.rows))
    for layer in opened.version.layers:
        assert not (opened.layer_array(layer, "status") == 255).any()
    return opened.version.number, sum(entry.rows for entry in opened.segments()), len(opened.version.layers)


CONFIG = load(None, ["archive.shard_rows=4", "archive.chunk_rows=2", "simulate.materials=3", "simulate.samples=2"])


def _files(folder: Path, inline: JobOptions) -> None:
    """Write the files of two nights."""
    for name, seed in (("first", 0), ("second", 1)):
        seeded = CONFIG.model_copy(update={"simulate": CONFIG.simulate.model_copy(update={"seed": seed})})
        simulate(str(folder / name), form="files", options=replace(inline, config=seeded))


def test_a_reader_never_sees_half_a_run(tmp_path: Path, inline: JobOptions) -> None:
    _files(tmp_path, inline)
    archive = tmp_path / "archive"
    seen: list[tuple[int, int, int]] = []

    def look(event: Event) -> None:
        if isinstance(event, UnitDone):
            seen.append(_seen(archive))

    options = replace(inline, config=CONFIG, listener=look)
    for name in ("first", "second"):
        convert([str(tmp_path / name)], str(archive), manifest=str(tmp_path / name / "manifest.csv"), options=options)
        fit(str(archive), options=options)
    assert len(seen) > 15
    assert sorted(set(seen)) == [(0, 0, 0), (1, 18, 0), (2, 18, 3), (3, 36, 3)]
    assert seen == sorted(seen)
    assert _seen(archive) == (4, 36, 6)


def _poll(archive: Path, told: Connection, told_to_stop: Connection) -> None:
    """Look at the newest version again and again, and at each one that was ever seen, which must not change."""
    held: dict[int, tuple[Archive, tuple[int, int, int]]] = {}
    stop = False
    while not stop:
        # Asked before the last look, so that there is one after everything.
        stop = told_to_stop.poll()
        try:
            opened = spectroflow.open(str(archive))
        except ArchiveError:
            continue
        held.setdefault(opened.version.number, (opened, _looked_at(opened)))
        for kept, seen in held.values():
            assert _looked_at(kept) == seen
        told.send(opened.version.number)
    told.send({number: seen for number, (_, seen) in held.items()})


def test_a_reader_that_polls_through_it_all_loses_no_version_that_it_holds(tmp_path: Path, inline: JobOptions) -> None:
    """Two nights, a compaction, and a collection that removes what a run left that was given up long ago."""
    _files(tmp_path, inline)
    archive, options = tmp_path / "archive", replace(inline, config=CONFIG)
    context = multiprocessing.get_context("spawn")
    heard, told = context.Pipe(duplex=False)
    told_to_stop, stop = context.Pipe(duplex=False)
    reader = context.Process(target=_poll, args=(archive, told, told_to_stop))
    reader.start()
    told.close()
    looks: list[int] = []
    arrived = threading.Condition()

    def listen() -> None:
        while isinstance(number := heard.recv(), int):
            with arrived:
                looks.append(number)
                arrived.notify()
        result.append(number)

    result: list[dict[int, tuple[int, int, int]]] = []
    ear = threading.Thread(target=listen)
    ear.start()

    def seen_by_reader(version: int) -> None:
        with arrived:
            assert arrived.wait_for(lambda: version in looks, 120)

    for night in ("first", "second"):
        convert([str(tmp_path / night)], str(archive), manifest=str(tmp_path / night / "manifest.csv"), options=options)
        fit(str(archive), options=options)
    seen_by_reader(4)
    rubbish = archive / "segments/raman-given-up/spectra.zarr/zarr.json"
    rubbish.parent.mkdir(parents=True)
    rubbish.write_bytes(b"{}")
    for path in archive.rglob("*"):
        os.utime(path, (path.stat().st_mtime - 8 * 86400,) * 2)
    assert compact(str(archive), options=options).details["version"] == 5
    seen_by_reader(5)
    removed = gc(str(archive), grace="7d", keep=1, options=options).details["objects"]
    assert removed["version"] == 3
    assert removed["segment"] == 1
    stop.send(True)
    reader.join(120)
    ear.join(120)
    assert reader.exitcode == 0
    assert looks == sorted(looks)
    assert result[0][4] == (4, 36, 6)
    assert result[0][5] == (5, 36, 3)
    assert not rubbish.exists()
