"""Examples for reports: input, generated and measured spectra from the best case to the worst."""

from __future__ import annotations

from typing import Any

import numpy as np

from spectroflow.archive import Archive
from spectroflow.jobs.grids import grid_rows, load_spectra, pad_lines
from spectroflow.jobs.model_files import load_generator
from spectroflow.jobs.options import JobOptions
from spectroflow.modality import Modality, resolve
from spectroflow.models.data import SpectraOf
from spectroflow.models.generator import Generator
from spectroflow.models.preprocess import prepare
from spectroflow.report.page import Column, Overlay, Overlays, Series, Table, Value
from spectroflow.storage import Location


def write_examples(model: Location, opened: Archive, told: dict[str, Any], options: JobOptions) -> Overlays:
    """Return overlays of the cases that an evaluation chose, for every direction."""
    generator = load_generator(model)
    modalities = resolve(options.config.modality)
    targets = {
        name: load_spectra(opened, modalities[name], None)
        for name in sorted({direction.split(" to ")[1] for direction in told["directions"]})
    }
    examples = []
    for direction, figures in told["directions"].items():
        source, target = direction.split(" to ")
        cases = figures["examples"][: options.config.report.overlays]
        examples += _examples(generator, opened, (modalities[source], modalities[target]), cases, targets[target])
    text = "From the best case to the worst, evenly spaced in rank. Generated spectra are dashed."
    return Overlays(examples, source=f"{opened.root} version {opened.version.number}", text=text)


def _examples(
    generator: Generator,
    opened: Archive,
    direction: tuple[Modality, Modality],
    cases: list[dict[str, Any]],
    targets: SpectraOf,
) -> list[Overlay]:
    source, target = direction
    known = {entry.id: entry for entry in opened.segments(source.name)}
    cases = [case for case in cases if case["segment"] in known]
    if not cases:
        return []
    rows = [
        grid_rows(opened.root, known[c["segment"]], opened.lines_layer(c["segment"]), source, c["row"], c["row"] + 1)
        for c in cases
    ]
    records = [opened.spectrum(case["segment"], case["row"]).record for case in cases]
    values, valid = np.concatenate([row.values for row in rows]), np.concatenate([row.valid for row in rows])
    labels, samples, digests = ([r[name] or "" for r in records] for name in ("label", "sample_id", "digest"))
    slots = max(row.lines.shape[1] for row in rows)
    lines = np.concatenate([pad_lines(row.lines, slots) for row in rows])
    made = generator.generate_held_out(values, valid, lines, source.name, target.name, labels, samples, digests=digests)
    seen = prepare(values, valid, source)
    return [
        Overlay(
            title=f"{labels[i] or samples[i]}: {source.name} to {target.name}",
            modality=target,
            generated=Series(target.grid.axis(), made.intensity[i]),
            measured=_measured(target, targets, samples[i]),
            uncertainty=made.uncertainty[i],
            source_modality=source,
            source=Series(source.grid.axis(), np.where(valid[i], seen[i], np.nan)),
            figures={"r": Value(case["r"]), "confidence": Value(float(made.confidence[i]))},
            text=f"sample {samples[i]}, {case['segment']} row {case['row']}",
        )
        for i, case in enumerate(cases)
    ]


def _measured(modality: Modality, targets: SpectraOf, sample: str) -> Series | None:
    if not sample or sample not in targets.sample:
        return None
    row = targets.sample.index(sample)
    return Series(modality.grid.axis(), np.where(targets.valid[row], targets.values[row], np.nan))


def worst_table(told: dict[str, Any]) -> Table:
    """Return the worst cases of every direction."""
    rows = [
        [
            direction,
            case["material"],
            f"{case['segment']} row {case['row']}",
            Value(case["r"]),
            Value(case["confidence"]),
        ]
        for direction, figures in told["directions"].items()
        for case in figures["worst"]
    ]
    columns = [
        Column("Direction"),
        Column("Material"),
        Column("Input"),
        Column("Pearson r", numeric=True),
        Column("Confidence", numeric=True),
    ]
    return Table("Worst cases", columns, rows, source=f"{told['archive']} version {told['archive_version']}")


def spaced_cases(values: Any, places: list[tuple[str, int]], count: int) -> list[dict[str, Any]]:
    """Return cases from the best to the worst score, evenly spaced in rank."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")]
    if not len(order) or not count:
        return []
    chosen = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
    return [{"segment": places[i][0], "row": places[i][1], "r": float(values[i])} for i in chosen]
