"""How the experts of a direction are weighed, and how far their blend can be trusted.

Both are fitted on predictions for training materials by experts that never saw them, so neither the
materials of a member's own held-out fold nor any leakage from memory shapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from spectroflow.models.lines import LineRule
from spectroflow.models.memory import material_weights
from spectroflow.models.posterior import Posterior
from spectroflow.models.weighting import fit_gate, gated_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

EVIDENCE = ("similarity", "edges", "likeness", "certainty", "margin", "agreement", "accord", "contrast")


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
    base, gate
        How the weights follow the evidence, see ``weighting.py``; experts in alphabetical order. Empty where
        they do not: then, and where no evidence is given, ``weights`` are those of all.
    sharpness
        Of the clues by which the materials of the memory are weighed, see ``posterior.py``.
    lines
        How densities of lines are mixed and lines placed.
    """

    weights: dict[str, float]
    evidence_mean: tuple[float, ...]
    evidence_scale: tuple[float, ...]
    slopes: tuple[float, ...]
    intercept: float
    expected: float
    residual: Float
    base: tuple[float, ...] = ()
    gate: tuple[tuple[float, ...], ...] = ()
    sharpness: dict[str, float] = field(default_factory=dict)
    lines: LineRule = field(default_factory=LineRule)

    @property
    def posterior(self) -> Posterior:
        """What weighs the materials of the memory."""
        return Posterior(self.sharpness)

    def combine(self, predictions: Mapping[str, Float], evidence: Double | None = None) -> Float:
        """Return the weighted sum of unit experts, never negative, with a maximum of 1; ``(queries, points)``."""
        if evidence is None or not self.base:
            return _combined(predictions, self.weights)
        weights = gated_weights(self._scaled(evidence), np.asarray(self.base), np.asarray(self.gate))
        return _combined(predictions, dict(zip(sorted(self.weights), weights.T[:, :, None], strict=True)))

    def confidence(self, evidence: Double) -> Double:
        """Return the correlation to expect with a measured spectrum, in [0, 1]; ``(queries,)``."""
        scaled = self._scaled(evidence)
        return np.asarray(np.clip(self.intercept + scaled @ np.asarray(self.slopes), 0.0, 1.0), np.float64)

    def _scaled(self, evidence: Double) -> Double:
        scaled = (evidence - np.asarray(self.evidence_mean)) / np.asarray(self.evidence_scale)
        return np.asarray(scaled, np.float64)

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
        return cls(**{**tuples, "lines": LineRule(**settings["lines"])}, residual=residual)

    def settings(self) -> dict[str, Any]:
        """Return everything but the residual, for JSON."""
        plain = {key: value for key, value in vars(self).items() if key != "residual"}
        return {**plain, "lines": vars(self.lines)}


def fit_blend(
    predictions: Mapping[str, Float],
    experts: Sequence[str],
    evidence: Double,
    wanted: Float,
    valid: Bool,
    material: Int,
    *,
    gated: bool = False,
) -> Blend:
    """Fit weights and calibration on held-out predictions.

    The weights minimise the squared distance to the measured spectra, each centred and of unit length
    over its measured points, every material counting once, none negative. Where they are gated, they
    follow the evidence from there.

    Parameters
    ----------
    predictions
        ``{expert: (n, points)}`` by experts that never saw the material of the row.
    experts
        Which of them may take part.
    evidence
        ``(n, kinds)``, see :func:`evidence_of`.
    wanted, valid
        ``(n, points)`` measured spectra, prepared, and where they were measured.
    gated
        Whether the weights depend on the evidence.
    """
    weight, experts = material_weights(material), sorted(experts)
    stack = np.stack([centre(unit_rows(predictions[name]), valid).astype(np.float32) for name in experts], axis=1)
    target = centre(wanted, valid)
    target /= np.maximum(np.linalg.norm(target, axis=1, keepdims=True), 1e-12)
    gram = stack @ stack.transpose(0, 2, 1)
    met = (stack @ target.astype(np.float32)[:, :, None])[:, :, 0]
    found = non_negative(np.einsum("n,nkl->kl", weight, gram), weight @ met)
    if not found.any():
        found = np.ones(len(experts))
    found /= found.sum()
    mean, scale = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-6)
    scaled = (evidence - mean) / scale
    base: tuple[float, ...] = ()
    gate: tuple[tuple[float, ...], ...] = ()
    weighed: dict[str, Any] = dict(zip(experts, found.tolist(), strict=True))
    if gated:
        logarithms, slopes_of = fit_gate(gram, met, weight, scaled, found)
        base, gate = tuple(logarithms.tolist()), tuple(map(tuple, slopes_of.tolist()))
        weights = gated_weights(scaled, logarithms, slopes_of)
        weighed = dict(zip(experts, weights.T[:, :, None], strict=True))
        found = np.average(weights, axis=0, weights=weight)

    blended = _combined(predictions, weighed)
    score = correlation(blended, wanted, valid)
    intercept = float(np.average(score, weights=weight))
    normal = (scaled * weight[:, None]).T @ scaled + 0.02 * len(scaled) * np.eye(scaled.shape[1])
    slopes = np.linalg.solve(normal, (scaled * weight[:, None]).T @ (score - intercept))
    share = np.maximum(weight @ valid, 1e-9)
    residual = np.sqrt(weight @ (np.where(valid, blended - wanted, 0.0) ** 2) / share).astype(np.float32)
    return Blend(
        dict(zip(experts, found.tolist(), strict=True)),
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(slopes.tolist()),
        intercept,
        intercept,
        residual,
        base,
        gate,
    )


def non_negative(square: Double, mixed: Double) -> Double:
    """Return the ``x >= 0`` that minimises ``x . square x - 2 x . mixed``; a trace of ridge makes it one."""
    regular = np.asarray(square, np.float64).copy()
    regular[np.diag_indices_from(regular)] += 1e-6 * np.trace(regular) / len(regular) + 1e-12
    factor = np.linalg.cholesky(regular)
    found, _ = nnls(factor.T, np.linalg.solve(factor, mixed))
    return np.asarray(found, np.float64)


def _combined(predictions: Mapping[str, Float], weights: Mapping[str, Any]) -> Float:
    """Blend with one weight of each expert, or one ``(queries, 1)`` column of them."""
    heard = sorted(name for name, weight in weights.items() if np.any(weight > 0))  # sums depend on their order
    total = np.sum([weights[name] * unit_rows(predictions[name]) for name in heard], axis=0)
    return scale_to_one(np.clip(total, 0.0, None))


def evidence_of(clues: Mapping[str, Float], probability: Double, predictions: Mapping[str, Float]) -> Double:
    """Return what speaks for a prediction before its target is known.

    Parameters
    ----------
    clues, probability
        ``(queries, materials)`` each; see ``posterior.py``.
    predictions
        ``{expert: (queries, points)}``

    Returns
    -------
    ndarray
        ``(queries, kinds)`` in the order of :data:`EVIDENCE`: similarity of the nearest material in shape, in
        slope and in the learned metric; probability of the likeliest material, and its lead over the next;
        mean correlation among the experts that look at the source, and of the likely materials with the
        kernel regression; how far the latter moved from the mean spectrum.
    """
    opinions = [predictions[name] for name in ("soft", "shape", "vae") if name in predictions]
    everywhere = np.ones(opinions[0].shape, bool)
    agreements = [correlation(a, b, everywhere) for i, a in enumerate(opinions) for b in opinions[i + 1 :]]
    agreement = np.mean(agreements, axis=0) if agreements else np.ones(len(probability))
    first = probability.max(axis=1)
    second = np.partition(probability, -2, axis=1)[:, -2] if probability.shape[1] > 1 else np.zeros(len(first))
    return np.stack(
        [
            *(clues[name].max(axis=1) for name in ("shape", "slope", "kernel")),
            first,
            first - second,
            agreement,
            correlation(predictions["material"], predictions["learned"], everywhere),
            np.linalg.norm(predictions["ridge"] - predictions["mean"], axis=1),
        ],
        axis=1,
    ).astype(np.float64)


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
