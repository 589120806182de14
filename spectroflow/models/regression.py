"""Kernel ridge regression with a learned metric, and targets as it learns them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import ELEMENTS
from spectroflow.models import baselines
from spectroflow.models.memory import Memory
from spectroflow.models.metric import Blocks, Metric

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MetricRegression:
    """Kernel ridge regression with a learned metric; several kinds of target may share the kernel.

    Attributes
    ----------
    metric
        As it was learned.
    reference
        Scaled columns of what it was fitted on.
    fits
        ``{kind of target: regression}``
    """

    metric: Metric
    reference: tuple[Float, ...]
    fits: dict[str, baselines.KernelRidge]

    @classmethod
    def fit(
        cls, known: tuple[Blocks, ...], metric: Metric, weights: Double, targets: Mapping[str, tuple[Float, float]]
    ) -> MetricRegression:
        """Fit ``{kind: (targets, ridge)}`` on what is known of their samples."""
        reference = metric.scaled(known)
        kernel = metric.kernel(reference, reference)
        fits = {kind: baselines.KernelRidge.fit(t, weights, kernel, ridge) for kind, (t, ridge) in targets.items()}
        return cls(metric, reference, fits)

    def predict(self, known: tuple[Blocks, ...]) -> dict[str, Float]:
        """Return ``{kind: (queries, points)}``."""
        return self.answers(self.kernel(known))

    def kernel(self, known: tuple[Blocks, ...]) -> Float:
        """Return how alike queries are to what it was fitted on, ``(queries, n)``."""
        return self.metric.kernel(self.metric.scaled(known), self.reference)

    def answers(self, kernel: Float) -> dict[str, Float]:
        """Return ``{kind: (queries, points)}`` from kernel values."""
        return {kind: fit.predict(kernel) for kind, fit in self.fits.items()}


def unit_targets(targets: Float) -> Float:
    """Scale spectra so that each has the same variance along its axis."""
    deviation = np.linalg.norm(targets - targets.mean(axis=1, keepdims=True), axis=1, keepdims=True)
    return np.asarray(np.divide(targets, deviation, out=np.zeros_like(targets), where=deviation > 1e-6), np.float32)


def targets_of_materials(fractions: Float, targets: Memory, group: Int) -> tuple[Float, Float, Int]:
    """Return composition, mean target of unit variance and name of every group whose composition is known.

    Parameters
    ----------
    fractions
        ``(rows of targets, elements)``, NaN rows where unknown.
    group
        ``(rows of targets,)``
    """
    known = np.flatnonzero(np.isfinite(fractions[:, 0]))
    names, first, index = np.unique(group[known], return_index=True, return_inverse=True)
    total = np.zeros((len(names), targets.targets.shape[1]), np.float32)
    np.add.at(total, index, unit_targets(targets.targets[known]))
    return fractions[known[first]].reshape(-1, len(ELEMENTS)), unit_targets(total), names
