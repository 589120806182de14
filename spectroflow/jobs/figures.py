"""From scores of single spectra to the figures that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow import status
from spectroflow.archive import Archive
from spectroflow.errors import InvalidInput
from spectroflow.jobs.evaluator import Judgement
from spectroflow.jobs.examples import spaced_cases
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.predictors import PROTOCOLS, SPECTRUM, Scheme, confidence_of, model_of
from spectroflow.metrics import MEASURES, Interval, Reliability, bootstrap_interval, material_means, paired_difference
from spectroflow.models.folds import Split, group_materials

HEADLINES = ("r", "r_common", "rmse", "angle", "precision", "recall", "f1")
"""Measures that stand in tables for people."""

CONTESTED = ("r", "f1")
"""Measures in which the generator is compared with the best baseline, spectrum by spectrum."""


@dataclass(frozen=True, slots=True)
class Scored:
    """All scores of one direction.

    Attributes
    ----------
    scheme
        Names the columns.
    scores
        ``(rows, columns)``.
    materials
        ``(rows,)`` material group of each row.
    places
        ``(rows,)`` pairs of segment and row.
    """

    scheme: Scheme
    scores: npt.NDArray[np.float64]
    materials: list[str]
    places: list[tuple[str, int]]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return one column of scores, such as ``model:r``; shape ``(rows,)``."""
        found: npt.NDArray[np.float64] = self.scores[:, self.scheme.columns.index(name)]
        return found

    def take(self, rows: npt.NDArray[np.int64]) -> Scored:
        """Return some of the rows."""
        return Scored(self.scheme, self.scores[rows], [self.materials[i] for i in rows], [self.places[i] for i in rows])


def directions_figures(opened: Archive, judgements: Mapping[str, Judgement], options: JobOptions) -> dict[str, Any]:
    """Return the figures of every direction, ``{"raman to ir": {...}}``."""
    by_direction: dict[tuple[str, str], dict[str, Judgement]] = {}
    for name, judgement in judgements.items():
        by_direction.setdefault((judgement.source, judgement.target), {})[name] = judgement
    return {
        f"{source} to {target}": direction_figures(read_scores(opened, parts), options)
        for (source, target), parts in sorted(by_direction.items())
    }


def read_scores(opened: Archive, judgements: Mapping[str, Judgement]) -> Scored:
    """Return the scores of one direction from its layers, without rows that were not judged."""
    scheme = next(iter(judgements.values())).scheme
    scores, labels, samples, places = [], [], [], []
    for name, judgement in judgements.items():
        layer = next(layer for layer in opened.version.layers if layer.id == name)
        values = opened.layer_array(layer, "score").astype(np.float64)
        judged = opened.layer_array(layer, "status") == status.OK
        table = opened.segment_records(judgement.segment)
        for row, label, sample in zip(
            table["row"].to_pylist(), table["label"].to_pylist(), table["sample_id"].to_pylist(), strict=True
        ):
            if judged[row]:
                scores.append(values[row])
                labels.append(label or "")
                samples.append(sample or "")
                places.append((judgement.segment.id, row))
    materials = group_materials(labels, samples) if labels else []
    return Scored(scheme, np.array(scores).reshape(-1, len(scheme.columns)), materials, places)


def direction_figures(scored: Scored, options: JobOptions) -> dict[str, Any]:
    """Return the figures of one direction.

    Raises
    ------
    InvalidInput
        The protocol is ``species``, and a member was asked for a material that it has learned from.
    """
    everything, scored = scored, _as_protocol(scored)
    predictors = {
        predictor.name: {
            measure: bootstrapped(scored.column(f"{predictor.name}:{measure}"), scored.materials, options)
            for measure in MEASURES
        }
        for predictor in scored.scheme.predictors
    }
    names, means = material_means(scored.column("model:r"), scored.materials)
    order = np.argsort(means)[: options.config.report.worst]
    return {
        "spectra": len(scored.places),
        "materials": len(set(scored.materials)),
        "left_out": len(everything.places) - len(scored.places),
        "sample_seen": _json(float(np.mean(scored.column("sample_seen")))) if scored.places else None,
        "predictors": predictors,
        "over_best_baseline": {track: _over(scored, predictors, track, options) for track in scored.scheme.tracks},
        "calibration": {track: _reliability(scored, track) for track in scored.scheme.tracks},
        "worst_materials": [{"material": names[i], "r": _json(float(means[i]))} for i in order],
        "worst": _worst(scored, options.config.report.worst),
        "examples": spaced_cases(scored.column("model:r"), scored.places, options.config.report.overlays),
    }


def _as_protocol(scored: Scored) -> Scored:
    """Return the rows that a protocol speaks of: in ``sample`` those whose material was in training."""
    protocol = scored.scheme.protocol
    seen = scored.column("material_seen") > 0
    if protocol == "species" and (seen | (scored.column("sample_seen") > 0)).any():
        shared = sorted({material for material, known in zip(scored.materials, seen, strict=True) if known})
        raise InvalidInput(
            f"{len(shared)} material(s) stand in training and test: {', '.join(map(repr, shared[:3]))}",
            remedy="The archive ties samples together that the model's training data kept apart: train again.",
        )
    return scored.take(np.flatnonzero(seen)) if protocol == "sample" else scored


def _over(scored: Scored, predictors: Mapping[str, Any], track: str, options: JobOptions) -> dict[str, Any]:
    """Return the paired differences of the generator and the best baseline of a track, in each contested measure."""
    found = {}
    for measure in CONTESTED:
        known = {name: predictors[name][measure]["mean"] for name in scored.scheme.best_of(track)}
        best = max(known, key=lambda name, known=known: -np.inf if known[name] is None else known[name])  # type: ignore[misc]
        own, theirs = (scored.column(f"{name}:{measure}") for name in (model_of(track), best))
        found[measure] = {"baseline": best, **differing(own, theirs, scored.materials, options)}
    return found


def _reliability(scored: Scored, track: str) -> dict[str, Any]:
    # Confidence predicts r, and no confidence is below 0: an anticorrelated spectrum counts as r = 0.
    outcome = np.clip(scored.column(f"{model_of(track)}:r"), 0.0, 1.0)
    return Reliability.of(scored.column(confidence_of(track)), outcome).to_json()


def bootstrapped(values: npt.ArrayLike, materials: Sequence[str], options: JobOptions) -> dict[str, Any]:
    """Return the mean over materials with its bootstrap interval, as JSON."""
    settings = options.config.evaluate
    return _told(bootstrap_interval(values, materials, samples=settings.bootstrap, seed=settings.seed))


def differing(
    values: npt.ArrayLike, other: npt.ArrayLike, materials: Sequence[str], options: JobOptions
) -> dict[str, Any]:
    """Return the mean paired difference with its bootstrap interval, as JSON."""
    settings = options.config.evaluate
    return _told(paired_difference(values, other, materials, samples=settings.bootstrap, seed=settings.seed))


def _worst(scored: Scored, count: int) -> list[dict[str, Any]]:
    values = scored.column("model:r")
    confidence = scored.column(confidence_of(SPECTRUM))
    order = np.argsort(np.where(np.isfinite(values), values, np.inf))[:count]
    return [
        {
            "segment": scored.places[i][0],
            "row": scored.places[i][1],
            "material": scored.materials[i],
            "r": _json(float(values[i])),
            "confidence": _json(float(confidence[i])),
        }
        for i in order
    ]


def table_lines(directions: Mapping[str, Any], measures: Sequence[str] = ("r", "rmse", "f1")) -> list[str]:
    """Return the figures as lines of a plain table: one line per direction and predictor."""
    width = max((len(name) for figures in directions.values() for name in figures["predictors"]), default=8) + 2
    header = f"{'direction':<16}{'by':<{width}}" + "".join(f"{name:>9}" for name in measures) + f"{'95 % of r':>18}"
    lines = [header + f"{'materials':>11}"]
    for direction, figures in directions.items():
        for predictor, values in figures["predictors"].items():
            cells = "".join(f"{_cell(values[name]['mean']):>9}" for name in measures)
            span = f"{_cell(values['r']['low'])} to {_cell(values['r']['high'])}"
            count = max(values[name]["materials"] for name in measures)
            lines.append(f"{direction:<16}{predictor:<{width}}{cells}{span:>18}{count:>11}")
    return lines


def brief_lines(protocol: Split, directions: Mapping[str, Any]) -> list[str]:
    """Return what is decided as lines of a plain table: the generator beside its best baseline, track by track."""
    columns = [("direction", -14), ("known", -8), ("r", 7), ("95 %", 16), ("best baseline", 19)]
    columns += [("generator above it", 26), ("F1", 7), ("above", 8), ("other sample", 14)]
    lines = [f"{protocol}: {PROTOCOLS[protocol]}", _aligned([title for title, _ in columns], columns)]
    for direction, figures in directions.items():
        found = figures["predictors"]
        for track, over in figures["over_best_baseline"].items():
            model, r, f1 = found[model_of(track)], over["r"], over["f1"]
            cells = [
                direction,
                track,
                _cell(model["r"]["mean"]),
                f"{_cell(model['r']['low'])} to {_cell(model['r']['high'])}",
                f"{r['baseline'].split('/')[-1]} {_cell(found[r['baseline']]['r']['mean'])}",
                f"{_signed(r['mean'])} ({_signed(r['low'])} to {_signed(r['high'])})",
                _cell(model["f1"]["mean"]),
                _signed(f1["mean"]),
                _cell(found["replicate"]["r"]["mean"]),
            ]
            lines.append(_aligned(cells, columns))
    return lines


def _aligned(cells: Sequence[str], columns: Sequence[tuple[str, int]]) -> str:
    return "".join(
        f"{cell:<{-width}}" if width < 0 else f"{cell:>{width}}"
        for cell, (_, width) in zip(cells, columns, strict=True)
    )


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _told(interval: Interval) -> dict[str, Any]:
    """Return an interval for JSON, with the number of materials behind it."""
    span = {name: _json(getattr(interval, name)) for name in ("mean", "low", "high")}
    return {**span, "materials": interval.materials}


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
