"""How a generator does on what it was trained on, each record judged by the member that never saw its fold.

Figures are means over materials, not over spectra: a mineral with thirty spectra counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models.blend import correlation
from spectroflow.models.generator import Generated, Generator

Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HeldOut:
    """Held-out predictions of one direction against what was measured.

    Attributes
    ----------
    source, target
        Names of the modalities.
    pairs
        ``(pairs, 2)`` rows of source and target in the training data, measured on the same sample.
    material
        ``(pairs,)``
    scores
        ``{predictor: (pairs,)}`` Pearson's r over the measured points; ``"blend"`` is the generator.
    confidence
        ``(pairs,)`` as the generator gave it.
    """

    source: str
    target: str
    pairs: Int
    material: Int
    scores: dict[str, Double]
    confidence: Double

    def macro(self, predictor: str = "blend") -> float:
        """Return the mean over materials of the mean r of each."""
        return macro_mean(self.scores[predictor], self.material)


def held_out(generator: Generator, source: str, target: str, *, track: str = "spectrum", batch: int = 64) -> HeldOut:
    """Predict every paired source spectrum as if its fold (of materials, unless the split is another) was unknown."""
    data = generator.data
    pairs = data.pairs(source, target)
    rows, position = np.unique(pairs[:, 0], return_inverse=True)
    wanted = data.spectra[target]
    found = generate_rows(generator, rows, source, target, track=track, batch=batch)
    measured, valid = wanted.values[pairs[:, 1]], wanted.valid[pairs[:, 1]]
    predictions = {"blend": found.intensity, **found.experts}
    scores = {name: correlation(values[position], measured, valid) for name, values in predictions.items()}
    confidence = found.confidence[position].astype(np.float64)
    return HeldOut(source, target, pairs, data.material[source][pairs[:, 0]], scores, confidence)


def generate_rows(
    generator: Generator, rows: Int, source: str, target: str, *, track: str = "spectrum", batch: int = 64
) -> Generated:
    """Generate from rows of the training data by the members that never saw their folds, every expert beside."""
    table = generator.data.spectra[source]
    return generator.generate_held_out(
        table.values[rows],
        table.valid[rows],
        table.lines[rows],
        source,
        target,
        [table.label[i] for i in rows],
        [table.sample[i] for i in rows],
        digests=[table.digest[i] for i in rows],
        composition=generator.data.composition[source][rows],
        track=track,
        prepared=True,
        batch=batch,
        parts=True,
    )


def evaluate_species(
    generator: Generator, *, tracks: Sequence[str] | None = None, batch: int = 64
) -> dict[str, dict[str, float]]:
    """Return mean r over materials per direction and track, each expert alone beside the blend.

    Parameters
    ----------
    tracks
        All that the model knows if None.
    batch
        Rows that are computed at a time.

    Returns
    -------
    dict
        ``{"raman to ir": {"materials": ..., "pairs": ..., "blend": r, "mean": r, ..., "calibration": error}}``,
        and ``"raman to ir, elements"`` and so on where the model knows these tracks (there ``composition``
        is the row without the spectrum). ``calibration`` is the mean distance between confidence and r.
    """
    result = {}
    for source, target in generator.directions:
        for track in generator.tracks if tracks is None else tracks:
            held = held_out(generator, source, target, track=track, batch=batch)
            name = f"{source} to {target}" + ("" if track == "spectrum" else f", {track}")
            result[name] = {
                "materials": float(len(np.unique(held.material))),
                "pairs": float(len(held.pairs)),
                **{expert: round(held.macro(expert), 4) for expert in held.scores},
                "calibration": round(calibration_error(held.confidence, held.scores["blend"]), 4),
            }
        generator.forget_kernels()
    return result


def macro_mean(values: Double, groups: Int) -> float:
    """Return the mean of the means of each group."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return float((np.bincount(index, weights=values) / counts).mean())


def calibration_error(confidence: Double, score: Double, groups: int = 10) -> float:
    """Return the mean distance between confidence and score over groups of like confidence, weighted by their size."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), groups)
    return float(sum(abs(confidence[p].mean() - score[p].mean()) * len(p) for p in parts if len(p)) / len(score))
