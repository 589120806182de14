"""The same fit with and without the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.synthetic_lines import POINTS, background, lines, voigt
from spectroflow import status
from spectroflow.archive import SegmentEntry
from spectroflow.archive.layer import LINES, create_layer
from spectroflow.archive.segment import create_segment, segment_layout
from spectroflow.config import Config
from spectroflow.engine import ExecuteOptions, Group, Plan, execute
from spectroflow.jobs.fit import FitProcessor, layer_layout, read_spectra
from spectroflow.modality import lookup, resolve
from spectroflow.peaks import fit_batch, settings_for
from spectroflow.storage import Location, LocationStore

_SEGMENT = "spectra"
_PATTERNS = 256


@dataclass(frozen=True)
class FitJob:
    """Spectra in an archive, to be fitted again and again into layers of other names."""

    root: Location
    segment: SegmentEntry
    config: Config

    @classmethod
    def prepare(cls, root: Location, rows: int) -> FitJob:
        """Write synthetic Raman spectra: some hundred patterns of lines, each row with noise of its own."""
        config = Config()
        modality = lookup("raman", resolve({}))
        layout = segment_layout(_SEGMENT, rows, modality, config.archive, capacity=POINTS)
        create_segment(root, layout, modality, "simulated")
        rng = np.random.default_rng(0)
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

    def through_engine(self, layer: str, options: ExecuteOptions) -> None:
        """Fit all rows through the engine: plan, workers, markers, verification and figures included."""
        processor = FitProcessor(self.root, {layer: self.segment}, self.config)
        group = Group(name=layer, rows=self.segment.rows, shard_rows=self.segment.shard_rows)
        plan = Plan.of(job="fit", groups=[group])
        result = execute(plan, processor, self.root, options=options, prepare=lambda _: self.create_layer(layer))
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
