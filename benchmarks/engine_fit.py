"""The same fit with and without the engine."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import wall_seconds
from benchmarks.engine_scale import WORKERS, Watch
from benchmarks.synthetic_lines import POINTS, background, lines, voigt
from spectroflow import status
from spectroflow.archive import SegmentEntry
from spectroflow.archive.layer import LINES, create_layer
from spectroflow.archive.segment import create_segment, segment_layout
from spectroflow.config import Config
from spectroflow.engine import ExecuteOptions, Group, Pace, Plan, execute, sized
from spectroflow.engine.ray_cluster import connect
from spectroflow.jobs.fit import FitProcessor, layer_layout, read_spectra
from spectroflow.modality import lookup, resolve
from spectroflow.peaks import fit_batch, settings_for
from spectroflow.storage import Location, LocationStore

SLICE_ROWS = 50 * 1024
SLICES = 4
"""Four slices are 204,800 spectra. What a run costs however long it is (workers, plan, commit) counts in each."""

_SEGMENT = "spectra"
_PATTERNS = 256


def overhead(folder: Path, *, slices: int, rows: int, earlier: Mapping[str, float]) -> dict[str, float]:
    """Compare a fit through the engine with a bare loop in two processes, slice by slice, by wall time.

    Each slice pays for its own workers on both sides; what starting Ray takes is added to the engine's once.

    Parameters
    ----------
    folder
        For archives.
    slices, rows
        How many there are, and spectra of each.
    earlier
        Figures of slices that were done before, which are added to.
    """
    total = {key: earlier.get(key, 0.0) for key in ("fit_slices", "fit_spectra", "fit_engine_s", "fit_bare_s")}
    watch = Watch()
    starting = wall_seconds(lambda: connect(WORKERS))
    if not total["fit_slices"]:
        total["fit_engine_s"] += starting
    for number in range(int(total["fit_slices"]), int(total["fit_slices"]) + slices):
        root = Location.parse(folder / f"slice-{number}")
        job = FitJob.prepare(root, rows, seed=number)
        job.create_layer("bare")
        works: dict[str, Callable[[], None]] = {
            "fit_engine_s": lambda job=job: job.through_engine("engine", watch),  # type: ignore[misc]
            "fit_bare_s": lambda job=job: in_processes(bare_fit, job, "bare"),  # type: ignore[misc]
        }
        for name in sorted(works, reverse=bool(number % 2)):
            total[name] += wall_seconds(works[name])
        total["fit_slices"] += 1
        total["fit_spectra"] += rows
        shutil.rmtree(folder / f"slice-{number}")
    return {
        **total,
        "overhead_ratio": total["fit_engine_s"] / total["fit_bare_s"],
        "fit_ms_per_spectrum": 1e3 * total["fit_bare_s"] * WORKERS / total["fit_spectra"],
        "fit_bytes_per_spectrum": watch.bytes / (slices * rows),
        "object_store_mb": max(watch.object_store_mb, earlier.get("object_store_mb", 0.0)),
    }


def in_processes(work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(*arguments, process, processes)`` in each of two fresh processes."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=work, args=(*arguments, n, WORKERS)) for n in range(WORKERS)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0


@dataclass(frozen=True)
class FitJob:
    """Spectra in an archive, to be fitted again and again into layers of other names."""

    root: Location
    segment: SegmentEntry
    config: Config

    @classmethod
    def prepare(cls, root: Location, rows: int, *, seed: int) -> FitJob:
        """Write synthetic Raman spectra: some hundred patterns of lines, each row with noise of its own."""
        config = Config()
        modality = lookup("raman", resolve({}))
        layout = segment_layout(_SEGMENT, rows, modality, config.archive, capacity=POINTS)
        create_segment(root, layout, modality, "simulated")
        rng = np.random.default_rng(seed)
        x = np.arange(POINTS, dtype=float)
        patterns = [background(rng) + sum(voigt(x, *line) for line in lines(rng)) for _ in range(min(rows, _PATTERNS))]
        store = LocationStore(root / layout.path)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            clean = np.stack([patterns[row % len(patterns)] for row in range(start, stop)])
            values = {
                "intensity": (clean + rng.normal(size=clean.shape)).astype("float32"),
                "axis": np.tile(x + 100.0, (stop - start, 1)),
                "status": np.full(stop - start, status.OK, "uint8"),
            }
            layout.write(store, shard, values)
        segment = SegmentEntry(
            id=_SEGMENT,
            modality="raman",
            rows=rows,
            shard_rows=layout.shard_rows,
            origin="simulated",
            run="benchmark",
            ok=rows,
        )
        return cls(root, segment, config)

    def create_layer(self, layer: str) -> None:
        """Write the metadata of a layer."""
        layout = layer_layout(layer, self.segment, self.config)
        create_layer(self.root, layout, _SEGMENT, {"kind": [LINES]})

    def through_engine(self, layer: str, watch: Watch) -> None:
        """Fit all rows through the engine: plan, workers, markers, verification and figures included."""
        processor = FitProcessor(self.root, {layer: self.segment}, self.config)
        group = Group(name=layer, rows=self.segment.rows, shard_rows=self.segment.shard_rows)
        plan = sized(Plan.of(job="fit", groups=[group]), Pace(0.0015, "this benchmark"), workers=WORKERS)
        result = execute(
            plan,
            processor,
            self.root,
            options=ExecuteOptions(backend="ray", workers=WORKERS),
            prepare=lambda _: self.create_layer(layer),
            listener=watch,
        )
        assert result.rows["total"] == self.segment.rows


def bare_fit(job: FitJob, layer: str, process: int, processes: int) -> None:
    """Fit every second shard, or so, in a plain loop: read, fit, write."""
    layout = layer_layout(layer, job.segment, job.config)
    settings = settings_for(lookup("raman", resolve({})), job.config.fit)
    store = LocationStore(job.root / layout.path)
    for shard in range(process, layout.shards, processes):
        start, stop = layout.span(shard)
        axis, intensity, _ = read_spectra(job.root, job.segment.id, start, stop)
        fitted = fit_batch(axis, intensity, settings)
        layout.write(store, shard, {"lines": fitted.lines, "fit": fitted.fit, "status": fitted.status})
