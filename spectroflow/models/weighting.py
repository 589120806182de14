"""Weights of experts that depend on the evidence: a mixture of experts with a linear gate.

One weight for all cannot be right where some queries have their own material in memory and some do not.
So the logarithm of each weight is linear in the evidence (Jordan and Jacobs, *Neural Computation* 6, 1994),
pulled towards the weight that is best for all, and fitted for the mean correlation itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

PULL = 0.01  # of the slopes towards 0
BASE_PULL = 1e-4  # of the weights towards those that are best for all
LEAST = 1e-3  # weight that every expert has at first, so that evidence can speak for it
REACH = 3.0  # standard deviations beyond which evidence says no more
ITERATIONS = 100


def gated_weights(evidence: Double, base: Double, slopes: Double) -> Double:
    """Return ``(queries, experts)`` weights, none negative, of sum 1.

    Parameters
    ----------
    evidence
        ``(queries, kinds)``, of mean 0 and standard deviation 1 where it was fitted.
    base
        ``(experts,)`` logarithms of the weights at mean evidence.
    slopes
        ``(kinds, experts)``
    """
    logarithms = base + np.clip(evidence, -REACH, REACH) @ slopes
    powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def fit_gate(gram: Float, met: Float, weight: Double, evidence: Double, start: Double) -> tuple[Double, Double]:
    """Fit base and slopes of :func:`gated_weights` for the mean correlation.

    Parameters
    ----------
    gram
        ``(n, experts, experts)`` inner products of the experts' predictions, centred over measured points.
    met
        ``(n, experts)`` their inner products with the target, which is of unit length.
    weight
        ``(n,)`` of each in the mean.
    evidence
        ``(n, kinds)``, as above.
    start
        ``(experts,)`` weights that are best for all.
    """
    kinds, experts = evidence.shape[1], len(start)
    first, share = np.log((start + LEAST) / (start + LEAST).sum()), weight / weight.sum()
    seen = np.clip(evidence, -REACH, REACH)

    def loss(flat: Double) -> tuple[float, Double]:
        base, slopes = flat[:experts], flat[experts:].reshape(kinds, experts)
        weights = gated_weights(evidence, base, slopes)
        mixed = np.einsum("nkl,nl->nk", gram, weights)
        length = np.sqrt(np.maximum((mixed * weights).sum(axis=1), 1e-9))
        hit = (weights * met).sum(axis=1)
        rise = (met / length[:, None] - mixed * (hit / length**3)[:, None]) * share[:, None]
        rise = weights * (rise - (weights * rise).sum(axis=1, keepdims=True))
        away = base - first
        value = -float(share @ (hit / length)) + PULL * float((slopes**2).sum()) + BASE_PULL * float(away @ away)
        slope = np.concatenate([2 * BASE_PULL * away - rise.sum(axis=0), (2 * PULL * slopes - seen.T @ rise).ravel()])
        return value, slope

    begin = np.concatenate([first, np.zeros(kinds * experts)])
    found: Any = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return found.x[:experts], found.x[experts:].reshape(kinds, experts)
