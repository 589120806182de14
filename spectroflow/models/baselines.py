"""Predictors that every learned model has to beat, and that the final blend uses.

Each sees a :class:`Memory` of training materials only. ``similarity`` is the inner product of unit
feature vectors of the queries and of the memory, ``(queries, n)``; predictions are ``(queries, points)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

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


def gaussian_kernel(similarity: Float, gamma: float) -> Float:
    """Return ``exp(-gamma |a - b|^2 / 2)``; for unit vectors ``|a - b|^2 = 2 (1 - a.b)``."""
    return np.asarray(np.exp(gamma * (similarity - 1.0)), np.float32)


def laplacian_kernel(similarity: Float, gamma: float) -> Float:
    """Return ``exp(-gamma |a - b|)``: a sharper peak than the Gaussian's, so near neighbours count for more."""
    distance = np.sqrt(np.maximum(2.0 - 2.0 * similarity, 0.0))
    return np.asarray(np.exp(-gamma * distance), np.float32)


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression, centred on the mean target.

    In single precision: the ridge keeps the condition number of the kernel below ``n / ridge``, so that
    some four digits remain, at a quarter of the time and half the memory.

    Attributes
    ----------
    dual
        ``(n, points)`` coefficients.
    mean
        ``(points,)``
    """

    dual: Float
    mean: Float

    @classmethod
    def fit(cls, targets: Float, weights: Double, kernel: Float, ridge: float) -> KernelRidge:
        """Solve ``(kernel + ridge / weights) dual = targets - mean``.

        Parameters
        ----------
        kernel
            ``(n, n)`` among the training rows.
        ridge
            Added to the diagonal for a row of weight 1.
        """
        mean = np.average(targets, axis=0, weights=weights).astype(np.float32)
        regular = kernel + np.diag((ridge / weights).astype(np.float32))
        dual = cho_solve(cho_factor(regular, lower=True, overwrite_a=True), targets - mean)
        return cls(np.asarray(dual, np.float32), mean)

    def predict(self, kernel: Float) -> Float:
        """Return the prediction for ``(queries, n)`` kernel values."""
        return np.asarray(self.mean + kernel @ self.dual, np.float32)
