"""Averages over materials and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError

Array = npt.NDArray[np.float64]
_CHUNK = 1 << 22  # draws held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A macro mean with its bootstrap interval.

    Attributes
    ----------
    mean
        Mean over materials of each material's mean.
    low, high
        Limits of the interval; NaN for fewer than two materials.
    level
        Its nominal coverage, such as 0.95.
    materials, spectra
        How many went in.
    """

    mean: float
    low: float
    high: float
    level: float
    materials: int
    spectra: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def material_means(values: npt.ArrayLike, labels: Sequence[str]) -> tuple[list[str], Array]:
    """Return materials in order and the mean of each over its values that are not NaN; those with none are left out.

    Raises
    ------
    UsageError
        The numbers of values and labels differ.
    """
    flat = np.asarray(values, dtype=np.float64)
    if flat.shape != (len(labels),):
        raise UsageError(f"{len(labels)} labels for values of shape {flat.shape}", remedy="Give one label each.")
    kept = ~np.isnan(flat)
    names, place = np.unique(np.asarray(labels, dtype=str)[kept], return_inverse=True)
    counts = np.bincount(place, minlength=len(names))
    return [str(name) for name in names], np.bincount(place, weights=flat[kept], minlength=len(names)) / counts


def macro_average(values: npt.ArrayLike, labels: Sequence[str]) -> float:
    """Return the mean over materials of each material's mean; NaN where there is no value."""
    _, means = material_means(values, labels)
    return float(means.mean()) if len(means) else float("nan")


def bootstrap_interval(
    values: npt.ArrayLike, labels: Sequence[str], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the macro mean with a percentile bootstrap interval over materials.

    Materials are drawn, not spectra: spectra of one material resemble each other and would make the
    interval too narrow (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).

    Parameters
    ----------
    values
        Shape ``(n,)``; NaN values are left out.
    labels
        The material of each value.
    samples
        Bootstrap samples; with 0 the limits are NaN.
    level
        Nominal coverage of the interval.
    seed
        Same seed, same limits.
    """
    names, means = material_means(values, labels)
    spectra = int((~np.isnan(np.asarray(values, dtype=np.float64))).sum())
    low = high = float("nan")
    if len(means) > 1 and samples > 0:
        tail = (1 - level) / 2 * 100
        low, high = np.percentile(_resampled_means(means, samples, seed), [tail, 100 - tail])
    center = float(means.mean()) if len(means) else float("nan")
    return Interval(center, float(low), float(high), level, len(names), spectra)


def paired_difference(
    values: npt.ArrayLike,
    other: npt.ArrayLike,
    labels: Sequence[str],
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the macro mean of ``values - other``, spectrum by spectrum, with its interval over materials.

    A spectrum counts only where both have a value.
    """
    difference = np.asarray(values, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return bootstrap_interval(difference, labels, samples=samples, level=level, seed=seed)


def _resampled_means(means: Array, samples: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(means))
    parts = [
        means[rng.integers(len(means), size=(min(rows, samples - start), len(means)))].mean(axis=1)
        for start in range(0, samples, rows)
    ]
    return np.concatenate(parts)
