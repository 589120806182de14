"""The fit job: lines for every spectrum that has none of this configuration yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive import Archive, LayerEntry, SegmentEntry, add_layers, commit
from spectroflow.archive.arrays import Array, Layout, read_rows
from spectroflow.archive.layer import LINES, create_layer, lines_layout
from spectroflow.archive.segment import spectra_path
from spectroflow.config import Config, digest
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.unit import Group, Unit
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import AdditiveMetrics, additive, finished, nothing_to_do, planned, run_plan
from spectroflow.jobs.summary import Summary
from spectroflow.modality import Modality, lookup, resolve
from spectroflow.peaks import FIT_QUANTITIES, LINE_PARAMETERS, BatchFit, fit_batch, settings_for, warm_up
from spectroflow.storage import CheckedWriter, Location


@dataclass(slots=True)
class FitProcessor(AdditiveMetrics):
    """Fits the rows of units and writes their lines.

    Attributes
    ----------
    root
        The archive.
    segments
        The segment that each group's layer describes.
    config
        The whole configuration, for the fit and for modalities.
    """

    root: Location
    segments: dict[str, SegmentEntry]
    config: Config
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Load the compiled kernels before the first unit's clock starts."""
        warm_up()

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the layer's arrays that hold the unit's rows."""
        layout = layer_layout(unit.group, self.segments[unit.group], self.config)
        return frozenset().union(*(layout.keys(shard) for shard in range(unit.shard_start, unit.shard_stop)))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Fit and write the unit shard by shard."""
        layout = layer_layout(unit.group, self.segments[unit.group], self.config)
        store = writer.zarr_store(layout.path)
        codes: Counter[str] = Counter()
        failures: list[Failure] = []
        metrics: dict[str, Any] = {}
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = layout.span(shard)
            fitted = self._fit(unit.group, start, stop, skip)
            layout.write(store, shard, {"lines": fitted.lines, "fit": fitted.fit, "status": fitted.status})
            names = [status.NAMES[int(code)] for code in fitted.status]
            codes.update(names)
            failures += [
                Failure(
                    start + i,
                    name,
                    unit.group,
                    "the fit did not give usable lines",
                    "Look at it with spectroflow plot.",
                )
                for i, name in enumerate(names)
                if status.outcome_of(status.code_of(name)) == "failed"
            ]
            metrics = additive(metrics, self._metrics(unit.group, fitted))
        return UnitResult(dict(codes), failures, metrics)

    def probe(self, unit: Unit, rows: range) -> None:
        """Fit rows without writing."""
        self._fit(unit.group, rows.start, rows.stop, {})

    def _fit(self, group: str, start: int, stop: int, skip: Mapping[int, str]) -> BatchFit:
        segment = self.segments[group]
        axis, intensity, state = read_spectra(self.root, segment.id, start, stop)
        touched = state == status.OK
        for row, code in skip.items():
            if start <= row < stop:
                touched[row - start] = False
                state[row - start] = status.code_of(code)
        intensity[~touched] = np.nan
        result = fit_batch(axis, intensity, settings_for(self._modality(segment), self.config.fit))
        result.lines[~touched] = np.nan
        result.fit[~touched] = np.nan
        result.status[~touched] = np.where(
            np.isin(state[~touched], [status.code_of(code) for code in skip.values()]),
            state[~touched],
            status.code_of("INPUT_NOT_OK"),
        )
        return result

    def _metrics(self, group: str, fitted: BatchFit) -> dict[str, Any]:
        ok = fitted.status == status.OK
        found = fitted.fit[ok, FIT_QUANTITIES.index("lines")]
        counts, edges = np.histogram(found, bins=[0, 1, 2, 4, 8, 16, 32, 64, 128, 1 << 20])
        histogram = {f"{int(edge)}+": int(count) for edge, count in zip(edges, counts, strict=False)}
        return {
            self.segments[group].modality: {
                "spectra": int(ok.sum()),
                "lines": int(found.sum()),
                "lines_per_spectrum": histogram,
            }
        }

    def _modality(self, segment: SegmentEntry) -> Modality:
        return lookup(segment.modality, resolve(self.config.modality))


def read_spectra(root: Location, segment: str, start: int, stop: int) -> tuple[Array, Array, Array]:
    """Return axis, intensity and status of rows, without the columns that none of the rows uses.

    Returns
    -------
    axis
        float64, shape ``(rows, points)``, NaN after the last point of each row.
    intensity
        float32, the same shape.
    status
        uint8, shape ``(rows,)``.
    """
    path = spectra_path(segment)
    axis = read_rows(root, path, "axis", start, stop)
    used = int(np.isfinite(axis).sum(axis=1).max(initial=0))
    intensity = read_rows(root, path, "intensity", start, stop)
    return axis[:, :used].copy(), intensity[:, :used].copy(), read_rows(root, path, "status", start, stop)


def layer_layout(layer: str, segment: SegmentEntry, config: Config) -> Layout:
    """Return the arrays of the lines layer of a segment."""
    modality = lookup(segment.modality, resolve(config.modality))
    return lines_layout(
        layer,
        segment.rows,
        segment.shard_rows,
        modality.line_slots,
        len(LINE_PARAMETERS),
        len(FIT_QUANTITIES),
        config.archive,
    )


def fit_digest(config: Config, modality: Modality) -> str:
    """Return the digest of what decides the lines of a modality."""
    return digest(
        {
            "fit": config.fit.model_dump(mode="json"),
            "modality": modality.model_dump(mode="json"),
            "parameters": LINE_PARAMETERS,
            "quantities": FIT_QUANTITIES,
        },
        length=12,
    )


def fit(archive: str, *, options: JobOptions) -> Summary:
    """Fit every spectrum of an archive that has no lines of this configuration.

    Parameters
    ----------
    archive
        Path or URL.
    options
        ``modalities`` limits what is fitted.

    Returns
    -------
    Summary
        Rows are those of the segments that were fitted now.
    """
    options.refuse_where("fit", "A layer describes whole segments; choose with --modality, and filter when reading.")
    opened = Archive(archive)
    modalities = resolve(options.config.modality)
    for name in options.modalities:
        lookup(name, modalities)
    wanted = [
        segment
        for segment in opened.segments()
        if segment.modality in modalities and (not options.modalities or segment.modality in options.modalities)
    ]
    digests = {name: fit_digest(options.config, modality) for name, modality in modalities.items()}
    layers = {
        f"{segment.id}-{LINES}-{digests[segment.modality]}": segment
        for segment in wanted
        if not any(layer.config == digests[segment.modality] for layer in opened.version.layers_of(segment.id, LINES))
    }
    if not layers:
        return nothing_to_do("fit", opened.root, "every segment has lines of this configuration")
    plan = _plan(opened, layers, digests, options)
    processor = FitProcessor(opened.root, layers, options.config)
    if options.dry_run:
        return planned("fit", plan, processor, opened.root, options)
    result = run_plan(
        plan, processor, opened.root, options, lambda: _create_layers(opened.root, layers, options.config, modalities)
    )
    entries = [
        LayerEntry(id=layer, kind=LINES, segment=segment.id, config=digests[segment.modality], run=plan.run)
        for layer, segment in layers.items()
    ]
    version = commit(opened.root, lambda base: add_layers(base, entries), command="fit", run=plan.run)
    return finished("fit", result, opened.root, options, version=version.number, modalities=result.metrics)


def _plan(opened: Archive, layers: dict[str, SegmentEntry], digests: dict[str, str], options: JobOptions) -> Plan:
    groups = [Group(name=name, rows=seg.rows, shard_rows=seg.shard_rows) for name, seg in layers.items()]
    layouts = [layer_layout(name, segment, options.config) for name, segment in layers.items()]
    written = sum(layout.total_bytes for layout in layouts)
    return Plan.of(
        job="fit",
        command={"archive": str(opened.root), "modalities": list(options.modalities)},
        base_version=opened.version.number,
        config={"fit": options.config.fit.model_dump(mode="json"), "modality": options.config.modality},
        groups=groups,
        payload={"segments": {name: segment.id for name, segment in layers.items()}},
        digests={"code": code_digest(), "modalities": digest(digests)},
        estimate=Estimate(
            bytes=written,
            memory_bytes=(400 << 20) + 8 * options.config.archive.shard_bytes,
        ),
    )


def _create_layers(
    root: Location, layers: dict[str, SegmentEntry], config: Config, modalities: dict[str, Modality]
) -> None:
    for name, segment in layers.items():
        modality = modalities[segment.modality]
        create_layer(
            root,
            layer_layout(name, segment, config),
            segment.id,
            {"parameter": LINE_PARAMETERS, "quantity": FIT_QUANTITIES},
            modality=modality.name,
            axis_unit=modality.axis_unit,
            intensity_unit=modality.intensity_unit,
            line_shape=settings_for(modality, config.fit).rendered_shape,
            config=config.fit.model_dump(mode="json"),
        )
