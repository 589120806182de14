"""Whether the library holds the right structure at all: a logistic regression on how well the best ones fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_SHRINKAGE = 1e-3


@dataclass(frozen=True)
class Gate:
    """``p = 1 / (1 + exp(-(intercept + slopes . (evidence - mean) / scale)))``."""

    mean: Double
    scale: Double
    slopes: Double
    intercept: float

    def __call__(self, evidence: Double) -> Double:
        """Return the probability that the right structure is there, ``(n,)``, for ``(n, k)`` evidence."""
        return np.asarray(expit(self.intercept + ((evidence - self.mean) / self.scale) @ self.slopes))


def fit_gate(evidence: Double, here: Bool, weight: Double, prior: float) -> Gate:
    """Fit on cases with and without the right structure.

    Parameters
    ----------
    evidence
        ``(n, k)``
    here
        ``(n,)`` whether the right structure was there.
    weight
        ``(n,)`` how much each case counts among those of its kind.
    prior
        Probability that the right structure is there, before anything is known.
    """
    share = np.where(here, prior * weight / weight[here].sum(), (1 - prior) * weight / weight[~here].sum())
    mean, scale = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-9)
    scaled = np.hstack([np.ones((len(evidence), 1)), (evidence - mean) / scale])
    sign = np.where(here, 1.0, -1.0)

    def loss(candidate: Double) -> tuple[float, Double]:
        margin = sign * (scaled @ candidate)
        value = float(share @ np.logaddexp(0.0, -margin)) + _SHRINKAGE * float(candidate[1:] @ candidate[1:])
        slope = -(share * sign * expit(-margin)) @ scaled
        slope[1:] += 2 * _SHRINKAGE * candidate[1:]
        return value, slope

    found = minimize(loss, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B").x
    return Gate(mean, scale, found[1:], float(found[0]))
