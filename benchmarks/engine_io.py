"""Writing and reading through the engine beside plain zarr-python with the same chunks."""

from __future__ import annotations

import os
import shutil
import statistics
from pathlib import Path

import numpy as np

from benchmarks.common import wall_seconds
from benchmarks.engine_work import POINTS, SHARD_ROWS, Copy, layout_of
from spectroflow.archive.arrays import read_rows
from spectroflow.engine import ExecuteOptions, execute, unit_shards_for
from spectroflow.storage import Location, whole_shards

PATH = "segments/noise/spectra.zarr"


def throughput(folder: Path, *, shards: int, rounds: int) -> dict[str, float]:
    """Return the speed of the engine as a share of that of zarr-python, median over rounds, by wall time.

    Both write the same noise in alternation, who goes first in turns, and wait for the disk to be idle before
    each start. The engine also hashes each shard, forces it to disk and keeps its ledger; zarr-python is done when
    the system's memory has the bytes. ``io_write_ratio_both_durable`` adds to its time what forcing them to disk takes.

    Each deletes what it wrote in the round before just before it writes again, so that both find as much memory
    that the system had in use already; memory that it takes anew costs a virtual machine a quarter of the time. A
    round that nobody takes the time of comes first.
    """
    rows = shards * SHARD_ROWS
    writes, durable, reads = [], [], []
    for number in range(-1, rounds):
        names = sorted(("ours", "plain"), reverse=bool(number % 2))
        written = {name: timed_write(folder / name, name, rows) for name in names}
        read = {name: timed_read(folder / name, name, rows) for name in names}
        if number >= 0:
            writes.append(written["plain"][0] / written["ours"][0])
            durable.append(written["plain"][1] / written["ours"][1])
            reads.append(read["plain"] / read["ours"])
    return {
        "io_write_ratio": statistics.median(writes),
        "io_write_ratio_both_durable": statistics.median(durable),
        "io_read_ratio": statistics.median(reads),
    }


def timed_write(folder: Path, name: str, rows: int) -> tuple[float, float]:
    """Return what writing takes, and what it takes until the disk has everything, in seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    root = Location.parse(folder)
    layout_of(PATH, rows).create(root, {})
    processor = Copy(root, rows, target=PATH)
    os.sync()
    taken = wall_seconds(lambda: engine_write(processor) if name == "ours" else bare_write(str(folder / PATH), rows))
    return taken, taken + wall_seconds(os.sync)


def timed_read(folder: Path, name: str, rows: int) -> float:
    """Return what reading takes, in seconds."""
    root = Location.parse(folder)
    return wall_seconds(
        lambda: archive_read(root, PATH, rows) if name == "ours" else bare_read(str(folder / PATH), rows)
    )


def bare_write(folder: str, rows: int) -> None:
    """Write noise with zarr-python alone."""
    import zarr

    noise = np.random.default_rng(0).normal(size=(SHARD_ROWS, POINTS)).astype("float32")
    array = zarr.open_group(folder, mode="r+")["intensity"]
    for start in range(0, rows, SHARD_ROWS):
        array[start : start + SHARD_ROWS] = noise[: rows - start]


def engine_write(processor: Copy) -> None:
    """Write the same noise through an inline run, in units of the size that the engine chooses."""
    plan = processor.plan(unit_shards_for(processor.plan().groups, 1e-5, workers=1))
    execute(plan, processor, processor.root, options=ExecuteOptions(backend="inline", verify_fraction=0.0))


def bare_read(folder: str, rows: int) -> float:
    """Read all shards with zarr-python alone."""
    import zarr

    array = zarr.open_group(folder, mode="r")["intensity"]
    return float(sum(array[start : start + SHARD_ROWS][0, 0] for start in range(0, rows, SHARD_ROWS)))


def archive_read(root: Location, path: str, rows: int) -> float:
    """Read all shards as processors do."""
    starts = range(0, rows, SHARD_ROWS)
    with whole_shards():
        return float(sum(read_rows(root, path, "intensity", s, min(rows, s + SHARD_ROWS))[0, 0] for s in starts))
