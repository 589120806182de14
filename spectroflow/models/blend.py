"""How the experts of a direction are weighed, and how far their blend can be trusted.

Both are fitted on predictions for training materials by experts that never saw them, so neither the
materials of a member's own held-out fold nor any leakage from memory shapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from spectroflow.models.memory import material_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

EVIDENCE = ("similarity", "agreement", "contrast")


@dataclass(frozen=True)
class Blend:
    """Weights of the experts and the calibration of one member in one direction.

    Attributes
    ----------
    weights
        ``{expert: weight >= 0}``.
    evidence_mean, evidence_scale, slopes, intercept
        The expected correlation is ``intercept + slopes . (evidence - mean) / scale``.
    residual
        ``(points,)`` root mean square difference from the measured spectrum, both with maximum 1.
    expected
        Mean expected correlation of the rows it was fitted on.
    least_lines
        Expected number of lines within the tolerance down to which lines are placed; see ``lines.py``.
    """

    weights: dict[str, float]
    evidence_mean: tuple[float, ...]
    evidence_scale: tuple[float, ...]
    slopes: tuple[float, ...]
    intercept: float
    expected: float
    residual: Float
    least_lines: float = 0.3

    def combine(self, predictions: Mapping[str, Float]) -> Float:
        """Return the weighted sum of unit experts, never negative, with a maximum of 1; ``(queries, points)``."""
        return _combined(predictions, self.weights)

    def confidence(self, evidence: Double) -> Double:
        """Return the correlation to expect with a measured spectrum, in [0, 1]; ``(queries,)``."""
        scaled = (evidence - np.asarray(self.evidence_mean)) / np.asarray(self.evidence_scale)
        return np.asarray(np.clip(self.intercept + scaled @ np.asarray(self.slopes), 0.0, 1.0), np.float64)

    def uncertainty(self, confidence: Double, spread: Float) -> Float:
        """Return one standard deviation per point, from held-out materials, the confidence and the networks' spread."""
        factor = np.sqrt((1.0 - confidence + 0.02) / (1.0 - self.expected + 0.02))
        return np.asarray(np.hypot(self.residual * factor[:, None], spread), np.float32)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], residual: Float) -> Blend:
        """Return what :meth:`settings` described."""
        tuples: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
        }
        return cls(**tuples, residual=residual)

    def settings(self) -> dict[str, Any]:
        """Return everything but the residual, for JSON."""
        return {key: value for key, value in vars(self).items() if key != "residual"}


def fit_blend(
    predictions: Mapping[str, Float],
    experts: Sequence[str],
    evidence: Double,
    wanted: Float,
    valid: Bool,
    material: Int,
) -> Blend:
    """Fit weights and calibration on held-out predictions.

    The weights minimise the squared distance to the measured spectra, each centred and of unit length
    over its measured points, every material counting once, none negative.

    Parameters
    ----------
    predictions
        ``{expert: (n, points)}`` by experts that never saw the material of the row.
    experts
        Which of them may take part.
    evidence
        ``(n, 3)``, see :func:`evidence_of`.
    wanted, valid
        ``(n, points)`` measured spectra, prepared, and where they were measured.
    """
    weight = material_weights(material)
    stack = np.stack([centre(unit_rows(predictions[name]), valid) for name in experts], axis=1)
    target = centre(wanted, valid)
    target /= np.maximum(np.linalg.norm(target, axis=1, keepdims=True), 1e-12)
    weighted = stack * weight[:, None, None]
    square = np.einsum("nkp,nlp->kl", weighted, stack, optimize=True)
    mixed = np.einsum("nkp,np->k", weighted, target, optimize=True)
    square[np.diag_indices_from(square)] += 1e-6 * np.trace(square) / len(square) + 1e-12
    factor = np.linalg.cholesky(square)
    found, _ = nnls(factor.T, np.linalg.solve(factor, mixed))
    if not found.any():
        found = np.ones(len(experts))
    weights = {name: float(value) for name, value in zip(experts, found / found.sum(), strict=True)}

    blended = _combined(predictions, weights)
    score = correlation(blended, wanted, valid)
    mean, scale = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-6)
    scaled = (evidence - mean) / scale
    intercept = float(np.average(score, weights=weight))
    normal = (scaled * weight[:, None]).T @ scaled + 0.02 * len(scaled) * np.eye(scaled.shape[1])
    slopes = np.linalg.solve(normal, (scaled * weight[:, None]).T @ (score - intercept))
    share = np.maximum(weight @ valid, 1e-9)
    residual = np.sqrt(weight @ (np.where(valid, blended - wanted, 0.0) ** 2) / share).astype(np.float32)
    return Blend(
        weights, tuple(mean.tolist()), tuple(scale.tolist()), tuple(slopes.tolist()), intercept, intercept, residual
    )


def _combined(predictions: Mapping[str, Float], weights: Mapping[str, float]) -> Float:
    heard = sorted(name for name, weight in weights.items() if weight > 0)  # sums depend on their order
    total = np.sum([weights[name] * unit_rows(predictions[name]) for name in heard], axis=0)
    return scale_to_one(np.clip(total, 0.0, None))


def evidence_of(similarity: Float, predictions: Mapping[str, Float]) -> Double:
    """Return what speaks for a prediction before its target is known.

    Returns
    -------
    ndarray
        ``(queries, 3)``: similarity of the nearest training source; mean correlation among the experts
        that look at the source; how far the kernel regression moved from the mean spectrum.
    """
    opinions = [predictions[name] for name in ("soft", "shape", "vae") if name in predictions]
    everywhere = np.ones(opinions[0].shape, bool)
    agreements = [correlation(a, b, everywhere) for i, a in enumerate(opinions) for b in opinions[i + 1 :]]
    agreement = np.mean(agreements, axis=0) if agreements else np.ones(len(similarity))
    contrast = np.linalg.norm(predictions["ridge"] - predictions["mean"], axis=1)
    return np.stack([similarity.max(axis=1), agreement, contrast], axis=1).astype(np.float64)


def correlation(a: npt.NDArray[Any], b: npt.NDArray[Any], valid: Bool) -> Double:
    """Return Pearson's r of each row over its measured points; 0 where a row is constant."""
    x, y = centre(a, valid), centre(b, valid)
    length = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.asarray(np.divide((x * y).sum(axis=1), length, out=np.zeros(len(x)), where=length > 1e-12), np.float64)


def centre(values: npt.NDArray[Any], valid: Bool) -> Double:
    """Subtract each row's mean over its measured points and set the others to 0."""
    kept = np.where(valid, values, 0.0).astype(np.float64)
    mean = kept.sum(axis=1, keepdims=True) / np.maximum(valid.sum(axis=1, keepdims=True), 1)
    return np.where(valid, kept - mean, 0.0)


def unit_rows(values: npt.NDArray[Any]) -> Float:
    """Scale rows to unit length about their mean: experts differ in how far they shrink towards the mean spectrum."""
    length = np.linalg.norm(values - values.mean(axis=1, keepdims=True), axis=1, keepdims=True)
    return np.asarray(np.divide(values, length, out=np.zeros_like(values), where=length > 1e-9), np.float32)


def scale_to_one(values: Double) -> Float:
    """Divide each row by its maximum; rows of zeros stay."""
    top = values.max(axis=1, keepdims=True)
    return np.asarray(np.divide(values, top, out=np.zeros_like(values), where=top > 0), np.float32)
