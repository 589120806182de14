"""A run of very many units that do nothing, and what a worker's memory does when an archive grows."""

from __future__ import annotations

import math
import resource
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.engine_work import Copy, Nothing, layout_of
from spectroflow.engine import Event, ExecuteOptions, execute, run_folder
from spectroflow.engine.events import Progress, UnitDone
from spectroflow.storage import Location

WORKERS = 2


def ray_options(**changes: Any) -> ExecuteOptions:
    """Return options for two workers on Ray."""
    return ExecuteOptions(backend="ray", workers=WORKERS, verify_fraction=0.0, **changes)


class Watch:
    """A listener that takes the time from the first finished unit to the last, and looks at Ray's object store."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.units = self.bytes = 0
        self.object_store_mb = 0.0

    def __call__(self, event: Event) -> None:
        """Take the time of a finished unit."""
        if isinstance(event, UnitDone):
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.units += 1
            self.bytes += event.bytes
        elif isinstance(event, Progress):
            self.object_store_mb = max(self.object_store_mb, object_store_mb())

    @property
    def rate(self) -> float:
        """Units per second after the first."""
        return (self.units - 1) / (self.last - self.first) if self.units > 1 else math.nan


def object_store_mb() -> float:
    """Return what Ray's object stores hold now."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    reply = get_memory_info_reply(get_state_from_address(ray.get_runtime_context().gcs_address))
    return float(reply.store_stats.object_store_bytes_used) / (1 << 20)


def scale(folder: Path, units: int) -> dict[str, float]:
    """Run units that do nothing, then find them all done."""
    root = Location.parse(folder / "scale")
    plan, watch = Nothing.plan(units), Watch()
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
        "object_store_mb": watch.object_store_mb,
    }


def worker_memory(folder: Path, small: int, large: int) -> dict[str, float]:
    """Compare a worker's peak while it copies few and many spectra."""
    peaks = []
    for rows in (small, large):
        root = Location.parse(folder / f"memory-{rows}")
        source = "segments/source/spectra.zarr"
        noise, copy = Copy(root, rows, target=source), Copy(root, rows, source=source)
        for processor in (noise, copy):
            layout_of(processor.target, rows).create(root, {})
            peak = execute(processor.plan(4), processor, root, options=ray_options()).worker_memory
        peaks.append(peak)
        shutil.rmtree(folder / f"memory-{rows}")
    return {"worker_rss_mb": peaks[1] / (1 << 20), "worker_rss_ratio_large_to_small": peaks[1] / peaks[0]}
