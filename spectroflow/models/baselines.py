"""Predictors that every learned model has to beat, and that the final blend uses.

Each sees a :class:`Memory` of training materials only and the correlation of a query's source
spectrum with the memory's (``similarity``, shape ``(queries, n)``). All return ``(queries, points)``.
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


@dataclass(frozen=True)
class KernelRidge:
    """Ridge regression with the kernel ``exp(-gamma (1 - similarity))``, centred on the mean target.

    With unit feature vectors this is the radial basis function kernel: ``|a - b|^2 = 2 (1 - a.b)``.

    Attributes
    ----------
    dual
        ``(n, points)`` coefficients.
    """

    dual: Double
    mean: Double
    gamma: float

    @classmethod
    def fit(cls, targets: Float, weights: Double, similarity: Float, gamma: float, ridge: float) -> KernelRidge:
        """Solve ``(K + ridge / weights) dual = targets - mean``.

        Parameters
        ----------
        similarity
            ``(n, n)`` among the training rows.
        ridge
            Added to the diagonal for a row of weight 1.
        """
        mean: Double = np.average(targets, axis=0, weights=weights).astype(np.float64)
        kernel = np.exp(gamma * (similarity.astype(np.float64) - 1.0))
        kernel[np.diag_indices_from(kernel)] += ridge / weights
        dual: Double = np.linalg.solve(kernel, (targets - mean).astype(np.float64)).astype(np.float64)
        return cls(dual, mean, gamma)

    def predict(self, similarity: Float) -> Float:
        """Return the prediction for queries of ``(queries, n)`` similarities."""
        kernel = np.exp(self.gamma * (similarity.astype(np.float64) - 1.0))
        return np.asarray(self.mean + kernel @ self.dual, np.float32)
