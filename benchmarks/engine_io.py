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


def throughput(folder: Path, *, shards: int, rounds: int) -> dict[str, float]:
    """Return the speed of the engine as a share of that of zarr-python, median over rounds, by wall time.

    Both write the same noise in alternation, who goes first in turns, and wait for the disk to be idle before
    each start. The engine also hashes each shard, forces it to disk and keeps its ledger.
    """
    root = Location.parse(folder / "io")
    rows = shards * SHARD_ROWS
    writes, reads = [], []
    for number in range(rounds):
        plain, ours = f"segments/plain{number}/spectra.zarr", f"segments/ours{number}/spectra.zarr"
        for path in (plain, ours):
            layout_of(path, rows).create(root, {})
        place, processor = (root / plain).path, Copy(root, rows, target=ours)
        processor.setup()
        writing = {"plain": lambda p=place: bare_write(p, rows), "ours": lambda p=processor: engine_write(p)}
        reading = {
            "plain": lambda p=place: bare_read(p, rows),
            "ours": lambda p=ours: archive_read(root, p, rows),
        }
        for works, ratios in ((writing, writes), (reading, reads)):
            taken = {}
            for name in sorted(works, reverse=bool(number % 2)):
                os.sync()
                taken[name] = wall_seconds(works[name])
            ratios.append(taken["plain"] / taken["ours"])
        shutil.rmtree(folder / "io")
    return {"io_write_ratio": statistics.median(writes), "io_read_ratio": statistics.median(reads)}


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
