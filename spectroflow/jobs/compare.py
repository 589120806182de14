"""Judging a generated archive by spectra that were measured on the same samples."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive import Archive, SegmentEntry
from spectroflow.errors import InvalidInput
from spectroflow.jobs.grids import load_spectra
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.scores import Array, Measured
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.metrics import MEASURES, bootstrap_interval
from spectroflow.modality import Modality, lookup, resolve
from spectroflow.models.data import SpectraOf
from spectroflow.models.folds import group_materials


def compare_archives(generated: str, reference: str, *, options: JobOptions) -> Summary:
    """Score every generated spectrum whose sample was also measured in that modality.

    Parameters
    ----------
    generated
        An archive that ``transfer`` wrote.
    reference
        An archive of measured spectra; samples are matched by ``sample_id``.

    Raises
    ------
    InvalidInput
        The first is not a generated archive, or no sample is in both.
    """
    began = time.perf_counter()
    made, measured = Archive(generated), Archive(reference)
    entries = [entry for entry in made.segments() if entry.origin == "generated"]
    if not entries:
        raise InvalidInput(
            "this archive holds no generated spectra",
            where=generated,
            remedy="Give one that spectroflow transfer wrote.",
        )
    modalities = resolve(options.config.modality)
    targets = {
        name: load_spectra(measured, lookup(name, modalities), options.where)
        for name in sorted({entry.modality for entry in entries})
        if measured.segments(name)
    }
    directions: dict[str, Any] = {}
    rows = Rows()
    for entry in entries:
        if entry.modality not in targets:
            continue
        scores, labels, samples = _segment_scores(made, entry, targets[entry.modality], modalities[entry.modality])
        rows = rows + Rows(entry.rows, len(labels), 0, entry.rows - len(labels))
        if labels:
            source = made.segment_attributes(entry.id).get("source_modality", "?")
            directions[f"{source} to {entry.modality} ({entry.id})"] = _figures(scores, labels, samples, options)
    if not directions:
        raise InvalidInput(
            "no sample of the generated archive was measured in the reference",
            where=reference,
            remedy="Both need the same sample ids; give them with convert --manifest.",
        )
    lines = [f"{'segment':<48}{'r':>9}{'rmse':>9}{'f1':>9}"]
    for name, figures in directions.items():
        lines.append(f"{name:<48}" + "".join(f"{figures[m]['mean']:>9.3f}" for m in ("r", "rmse", "f1")))
    return Summary(
        "evaluate",
        rows=rows,
        seconds=time.perf_counter() - began,
        output=str(made.root),
        details={"reference": str(measured.root), "segments": directions},
        lines=[*lines, "samples may have been part of the model's training; evaluate MODEL ARCHIVE tells them apart"],
    )


def _segment_scores(
    made: Archive, entry: SegmentEntry, targets: SpectraOf, modality: Modality
) -> tuple[Array, list[str], list[str]]:
    """Return scores, labels and samples of the rows of a generated segment that were measured too."""
    first_of = {sample: row for row, sample in reversed(list(enumerate(targets.sample))) if sample}
    table = made.segment_records(entry)
    ok = np.asarray(table["status"]) == status.OK
    samples = [value or "" for value in table["sample_id"].to_pylist()]
    chosen = [i for i, sample in enumerate(samples) if ok[i] and sample in first_of]
    if not chosen:
        return np.zeros((0, len(MEASURES))), [], []
    rows = table["row"].to_numpy()[chosen]
    partner = [first_of[samples[i]] for i in chosen]
    intensity = made.array(entry.id, "intensity")[rows]
    labels = [table["label"][i].as_py() or "" for i in chosen]
    found = Measured(targets.values[partner], targets.valid[partner], modality).score(intensity)
    return found, labels, [samples[i] for i in chosen]


def _figures(scores: Array, labels: list[str], samples: list[str], options: JobOptions) -> dict[str, Any]:
    materials = group_materials(labels, samples)
    settings = options.config.evaluate
    result: dict[str, Any] = {"spectra": len(labels), "materials": len(set(materials))}
    for column, name in enumerate(MEASURES):
        interval = bootstrap_interval(scores[:, column], materials, samples=settings.bootstrap, seed=settings.seed)
        result[name] = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return result
