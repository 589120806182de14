"""What the engine costs: units per second, memory, resuming, and the work itself with and without it.

    python -m benchmarks.engine [--quick] [--json]

- 250,000 units that do nothing, on Ray with two workers: durable units per second, the driver's memory, and
  how long a resume takes that finds all of them done.
- A fit of 200,000 spectra through the engine on Ray with two workers, beside a bare loop in two processes
  over the same arrays; both in alternation, median of the ratios.
- Writing and reading 1,024-point spectra through the engine beside plain zarr-python with the same chunks.
- A worker's peak memory over 10^4 and 10^6 rows.
- What 10^5 to 10^9 spectra would cost, from the coefficients measured here.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import presenting
from benchmarks.engine_work import POINTS, SHARD_ROWS, Copy, Nothing, layout_of
from spectroflow.engine import Event, ExecuteOptions, execute, run_folder
from spectroflow.storage import Location

GOALS = {
    "driver_rss_mb": ("<", 1000.0),
    "units_per_s": (">=", 100.0),
    "resume_250k_s": ("<", 60.0),
    "overhead_ratio": ("<=", 1.05),
    "io_read_ratio": (">=", 0.85),
    "io_write_ratio": (">=", 0.85),
    "worker_rss_ratio_large_to_small": ("<=", 1.1),
    "object_store_mb": ("<", 50.0),
}
SCALED = frozenset(GOALS) - {"driver_rss_mb", "object_store_mb"}
"""Figures that less work changes."""

WORKERS = 2


def ray_options(**changes: Any) -> ExecuteOptions:
    """Return options for two workers on Ray."""
    return ExecuteOptions(backend="ray", workers=WORKERS, verify_fraction=0.0, **changes)


class Stopwatch:
    """A listener that takes the time from the first finished unit to the last."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.units = 0

    def __call__(self, event: Event) -> None:
        """Take the time of a finished unit."""
        if event.name() == "unit_done":
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.units += 1

    @property
    def rate(self) -> float:
        """Units per second after the first."""
        return (self.units - 1) / (self.last - self.first) if self.units > 1 else math.nan


def scale(folder: Path, units: int) -> dict[str, float]:
    """Run units that do nothing, then find them all done."""
    root = Location.parse(folder / "scale")
    plan, watch = Nothing.plan(units), Stopwatch()
    result = execute(plan, Nothing(), root, options=ray_options(), listener=watch)
    assert result.rows["ok"] == units * 1000
    began = time.monotonic()
    again = execute(plan, Nothing(), root, options=ray_options())
    resume = time.monotonic() - began
    assert again.resumed_units == units
    markers = [info.size for info in (run_folder(root, plan.run) / "done").walk()]
    assert len(markers) == units
    return {
        "units": float(units),
        "units_per_s": watch.rate,
        "resume_s": resume,
        "resume_250k_s": resume * 250_000 / units,
        "marker_bytes": statistics.mean(markers),
        "driver_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def object_store_mb() -> float:
    """Return what Ray's object stores hold now."""
    import ray

    total = ray.cluster_resources().get("object_store_memory", 0.0)
    return float(total - ray.available_resources().get("object_store_memory", total)) / (1 << 20)


def bare_write(folder: str, rows: int) -> None:
    """Write noise with zarr-python alone."""
    import zarr

    noise = np.random.default_rng(0).normal(size=(SHARD_ROWS, POINTS)).astype("float32")
    array = zarr.open_group(folder, mode="r+")["intensity"]
    for start in range(0, rows, SHARD_ROWS):
        array[start : start + SHARD_ROWS] = noise[: rows - start]


def bare_read(folder: str, rows: int) -> float:
    """Read all shards with zarr-python alone."""
    import zarr

    array = zarr.open_group(folder, mode="r")["intensity"]
    return float(sum(array[start : start + SHARD_ROWS][0, 0] for start in range(0, rows, SHARD_ROWS)))


def read_through_archive(root: Location, path: str, rows: int) -> float:
    """Read all shards as processors do."""
    from spectroflow.archive.arrays import read_rows

    starts = range(0, rows, SHARD_ROWS)
    return float(sum(read_rows(root, path, "intensity", s, min(rows, s + SHARD_ROWS))[0, 0] for s in starts))


def throughput(folder: Path, rows: int, rounds: int) -> dict[str, float]:
    """Compare writing and reading with plain zarr-python, in alternation, by wall time."""
    root = Location.parse(folder / "io")
    writes, reads = [], []
    for number in range(rounds):
        plain, ours = f"segments/plain{number}/spectra.zarr", f"segments/ours{number}/spectra.zarr"
        layout_of(plain, rows).create(root, {})
        layout_of(ours, rows).create(root, {})
        processor = Copy(root, rows, target=ours)

        def engine(processor: Copy = processor) -> None:
            options = ExecuteOptions(backend="inline", verify_fraction=0.0)
            execute(processor.plan(), processor, root, options=options)

        place = (root / plain).path
        writes.append(timed(lambda place=place: bare_write(place, rows)) / timed(engine))
        reads.append(
            timed(lambda place=place: bare_read(place, rows))
            / timed(lambda ours=ours: read_through_archive(root, ours, rows))
        )
        shutil.rmtree(folder / "io")
    return {"io_write_ratio": statistics.median(writes), "io_read_ratio": statistics.median(reads)}


def timed(work: Callable[[], Any]) -> float:
    """Return the wall time of some work."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def worker_memory(folder: Path, small: int, large: int) -> dict[str, float]:
    """Compare a worker's peak over few and many rows."""
    peaks = []
    for rows in (small, large):
        root = Location.parse(folder / f"memory-{rows}")
        processor = Copy(root, rows)
        layout_of(processor.target, rows).create(root, {})
        peaks.append(execute(processor.plan(), processor, root, options=ray_options()).worker_memory)
        shutil.rmtree(folder / f"memory-{rows}")
    return {"worker_rss_mb": peaks[1] / (1 << 20), "worker_rss_ratio_large_to_small": peaks[1] / peaks[0]}


def overhead(folder: Path, rows: int, rounds: int) -> dict[str, float]:
    """Compare a fit through the engine with a bare loop in two processes, in alternation."""
    from benchmarks.engine_fit import FitJob, bare_fit

    root = Location.parse(folder / "fit")
    job = FitJob.prepare(root, rows)
    ratios, per_spectrum = [], []
    for number in range(rounds):
        engine = timed(lambda number=number: job.through_engine(f"engine{number}", ray_options()))
        job.create_layer(f"bare{number}")
        bare = timed(lambda number=number: in_processes(bare_fit, job, f"bare{number}"))
        ratios.append(engine / bare)
        per_spectrum.append(bare * WORKERS / rows)
    return {"overhead_ratio": statistics.median(ratios), "fit_ms_per_spectrum": 1e3 * statistics.median(per_spectrum)}


def in_processes(work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(*arguments, process, processes)`` in each of two fresh processes."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=work, args=(*arguments, n, WORKERS)) for n in range(WORKERS)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0


def costs(figures: dict[str, float]) -> str:
    """Return a table of what archives of 10^5 to 10^9 spectra cost, from the measured coefficients.

    A unit is one shard of 1,024 spectra; a fit writes three arrays, so three shards and one marker a unit.
    """
    lines = ["", "spectra      units    objects   markers     engine      fit on 64 cores   resume"]
    for power in range(5, 10):
        spectra = 10**power
        units = math.ceil(spectra / SHARD_ROWS)
        marker_mb = units * figures["marker_bytes"] / 1e6
        dispatch = units / figures["units_per_s"]
        fit = spectra * figures["fit_ms_per_spectrum"] / 1e3 / 64
        resume = units * figures["resume_250k_s"] / 250_000
        lines.append(
            f"10^{power}   {units:>10,} {4 * units:>10,} {marker_mb:>7,.1f} MB {hours(dispatch):>10} "
            f"{hours(fit):>16} {hours(resume):>10}"
        )
    return "\n".join(lines)


def hours(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def measure(quick: bool) -> tuple[dict[str, float], str]:
    """Return all figures and the table of costs."""
    # Ray's processes inherit this environment: workers find this package where the driver did.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="engine-benchmark-"))
    try:
        figures = scale(folder, 1_000 if quick else 250_000)
        figures |= throughput(folder, 4 * SHARD_ROWS if quick else 64 * SHARD_ROWS, 1 if quick else 5)
        figures |= worker_memory(folder, 4_000 if quick else 10_000, 16_000 if quick else 1_000_000)
        figures |= overhead(folder, 512 if quick else 200_000, 1 if quick else 3)
        figures["object_store_mb"] = object_store_mb()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures, costs(figures)


if __name__ == "__main__":
    presenting.main("engine", measure, GOALS, SCALED)
