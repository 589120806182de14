"""Examples for reports: input, generated and measured spectra from the best case to the worst."""

from __future__ import annotations

from typing import Any

import numpy as np

from spectroflow.archive import Archive
from spectroflow.jobs.grids import grid_rows, load_spectra
from spectroflow.jobs.model_files import load_generator
from spectroflow.jobs.options import JobOptions
from spectroflow.modality import Modality, resolve
from spectroflow.models.generator import Generator
from spectroflow.models.preprocess import prepare
from spectroflow.report.page import Column, Overlay, Overlays, Series, Table, Value
from spectroflow.storage import Location


def write_examples(model: Location, opened: Archive, told: dict[str, Any], options: JobOptions) -> Overlays:
    """Return overlays of the cases that an evaluation chose, for every direction."""
    generator = load_generator(model)
    examples = []
    for direction, figures in told["directions"].items():
        source, target = direction.split(" to ")
        for case in figures["examples"][: options.config.report.overlays]:
            example = _example(generator, opened, source, target, case, options)
            if example is not None:
                examples.append(example)
    text = "From the best case to the worst, evenly spaced in rank. Generated spectra are dashed."
    return Overlays(examples, source=f"{opened.root} version {opened.version.number}", text=text)


def _example(
    generator: Generator, opened: Archive, source: str, target: str, case: dict[str, Any], options: JobOptions
) -> Overlay | None:
    modalities = resolve(options.config.modality)
    segment = next((entry for entry in opened.segments(source) if entry.id == case["segment"]), None)
    if segment is None:
        return None
    record = opened.spectrum(segment.id, case["row"]).record
    gridded = grid_rows(
        opened.root, segment, opened.lines_layer(segment.id), modalities[source], case["row"], case["row"] + 1
    )
    made = generator.generate_held_out(
        gridded.values,
        gridded.valid,
        gridded.lines,
        source,
        target,
        [record["label"] or ""],
        [record["sample_id"] or ""],
    )
    measured = _measured(opened, modalities[target], record["sample_id"])
    grid = modalities[target].grid.axis()
    seen = prepare(gridded.values, gridded.valid, modalities[source])[0]
    return Overlay(
        title=f"{record['label'] or record['sample_id']}: {source} to {target}",
        modality=modalities[target],
        generated=Series(grid, made.intensity[0]),
        measured=measured,
        uncertainty=made.uncertainty[0],
        source_modality=modalities[source],
        source=Series(modalities[source].grid.axis(), np.where(gridded.valid[0], seen, np.nan)),
        figures={"r": Value(case["r"]), "confidence": Value(float(made.confidence[0]))},
        text=f"sample {record['sample_id']}, {segment.id} row {case['row']}",
    )


def _measured(opened: Archive, modality: Modality, sample: str | None) -> Series | None:
    found = load_spectra(opened, modality, f"sample_id == {sample!r}") if sample else None
    if found is None or not len(found):
        return None
    return Series(modality.grid.axis(), np.where(found.valid[0], found.values[0], np.nan))


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
