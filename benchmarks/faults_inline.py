"""Kills of a whole process that works inline: at each step, and at random moments."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.faults_work import ROWS, Sines, Tally, content, convert
from spectroflow.config import load
from spectroflow.engine import faults
from spectroflow.jobs import JobOptions
from spectroflow.jobs import convert as real
from spectroflow.jobs.fit import fit
from spectroflow.jobs.maintain import verify
from spectroflow.jobs.simulate import simulate
from spectroflow.storage import Location, digest_bytes

SMALL = (
    "archive.shard_rows=8",
    "archive.chunk_rows=4",
    "simulate.materials=8",
    "simulate.samples=2",
    'simulate.modalities=["raman"]',
)


def at_each_step(folder: Path, tally: Tally) -> None:
    """Kill at every point: of a unit three times, of the rest once."""
    digests, _ = _undisturbed(folder)
    units = [unit.id for unit in Sines(ROWS).plan().units()]
    for point in faults.POINTS:
        root = Location.parse(folder / point)
        for name in (units[0], units[len(units) // 2], units[-1]) if point in faults.IN_UNIT else ("*",):
            tally.kills[f"process, {point}"] += _killed(lambda r=root: convert(r, Sines(ROWS)), f"{point}:{name}")
        tally.judge(f"process, {point}", root, ROWS, convert(root, Sines(ROWS)), digests)


def at_random(folder: Path, tally: Tally, kills: int, rng: random.Random) -> None:
    """Kill, resume, kill again, until each run is done."""
    digests, duration = _undisturbed(folder)
    kind, number = "process, at random", 0
    while tally.kills[kind] < kills:
        root = Location.parse(folder / f"random-{number}")
        number += 1
        while tally.kills[kind] < kills and _killed(
            lambda r=root: convert(r, Sines(ROWS)), "", rng.uniform(0.0, duration)
        ):
            tally.kills[kind] += 1
        tally.judge(kind, root, ROWS, convert(root, Sines(ROWS)), digests)
        shutil.rmtree(root.path)


def real_jobs_at_random(folder: Path, tally: Tally, kills: int, rng: random.Random) -> None:
    """Kill a conversion of files followed by a fit, and compare each object with an undisturbed archive."""
    options = JobOptions(config=load(None, SMALL), workers=0)
    simulate(str(folder / "files"), form="files", options=options)

    def night(archive: Path) -> None:
        files = folder / "files"
        real.convert([str(files)], str(archive), manifest=str(files / "manifest.csv"), options=options)
        fit(str(archive), options=options)

    night(folder / "warm")
    began = time.monotonic()
    night(folder / "quiet")
    duration = time.monotonic() - began
    wanted = _digests(folder / "quiet")
    kind, number = "convert and fit, at random", 0
    while tally.kills[kind] < kills:
        archive = folder / f"night-{number}"
        number += 1
        while tally.kills[kind] < kills and _killed(lambda a=archive: night(a), "", rng.uniform(0.0, duration)):
            tally.kills[kind] += 1
        night(archive)
        tally.runs[kind] += 1
        found = _digests(archive)
        sound = verify(str(archive), options=replace(options)).status == "done"
        tally.failures[kind] += found != wanted or not sound
        tally.lost_rows[kind] += sum(wanted.get(key) != found.get(key) for key in wanted | found if "/records/" in key)
        shutil.rmtree(archive)


def _undisturbed(folder: Path) -> tuple[dict[str, str], float]:
    """Return the digests of an undisturbed run, and its seconds."""
    place = folder / "undisturbed"
    shutil.rmtree(place, ignore_errors=True)
    began = time.monotonic()
    convert(Location.parse(place), Sines(ROWS))
    return content(Location.parse(place)), time.monotonic() - began


def _digests(archive: Path) -> dict[str, str]:
    return {
        str(path.relative_to(archive)): digest_bytes(path.read_bytes())
        for part in ("segments", "layers")
        for path in (archive / part).rglob("*")
        if path.is_file()
    }


def _killed(work: Callable[[], object], fault: str, moment: float | None = None) -> bool:
    """Do work in a forked process, killed at a fault or after some seconds; say whether it was."""

    def child() -> None:
        os.environ[faults.VARIABLE] = fault
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    if moment is not None:
        process.join(moment)
        process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL
