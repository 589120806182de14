"""Predictors that every learned model has to beat, and that the final blend uses.

Each sees a :class:`Memory` of training materials only. ``similarity`` is the inner product of unit
feature vectors of the queries and of the memory, ``(queries, n)``; predictions are ``(queries, points)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models.memory import Memory

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]


def mean_spectrum(memory: Memory, queries: int) -> Float:
    """Return the mean target for every query: what one can say without looking at the source."""
    return np.tile(memory.mean(), (queries, 1))


def nearest_neighbour(memory: Memory, similarity: Float) -> Float:
    """Return the target of the most similar source; the first one of equals."""
    nearest: Float = memory.targets[similarity.argmax(axis=1)]
    return nearest


def soft_neighbours(memory: Memory, similarity: Float, sharpness: float) -> Float:
    """Return the mean target weighted by ``exp(sharpness * similarity)``, materials counting alike."""
    scaled = sharpness * (similarity.astype(np.float64) - similarity.max(axis=1, keepdims=True))
    weights = np.exp(scaled) * memory.weights
    return np.asarray(weights @ memory.targets / weights.sum(axis=1, keepdims=True), np.float32)


def gaussian_kernel(similarity: Float, gamma: float) -> Double:
    """Return ``exp(-gamma |a - b|^2 / 2)``; for unit vectors ``|a - b|^2 = 2 (1 - a.b)``."""
    return np.asarray(np.exp(gamma * (similarity.astype(np.float64) - 1.0)), np.float64)


def laplacian_kernel(similarity: Float, gamma: float) -> Double:
    """Return ``exp(-gamma |a - b|)``: a sharper peak than the Gaussian's, so near neighbours count for more."""
    distance = np.sqrt(np.maximum(2.0 - 2.0 * similarity.astype(np.float64), 0.0))
    return np.asarray(np.exp(-gamma * distance), np.float64)


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression, centred on the mean target.

    Attributes
    ----------
    dual
        ``(n, points)`` coefficients.
    mean
        ``(points,)``
    """

    dual: Double
    mean: Double

    @classmethod
    def fit(cls, targets: Float, weights: Double, kernel: Double, ridge: float) -> KernelRidge:
        """Solve ``(kernel + ridge / weights) dual = targets - mean``.

        Parameters
        ----------
        kernel
            ``(n, n)`` among the training rows.
        ridge
            Added to the diagonal for a row of weight 1.
        """
        mean: Double = np.average(targets, axis=0, weights=weights).astype(np.float64)
        dual = np.linalg.solve(kernel + np.diag(ridge / weights), (targets - mean).astype(np.float64))
        return cls(np.asarray(dual, np.float64), mean)

    def predict(self, kernel: Double) -> Float:
        """Return the prediction for ``(queries, n)`` kernel values."""
        return np.asarray(self.mean + kernel @ self.dual, np.float32)
