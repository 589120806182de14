"""How like two spectra are, row by row, over the points where the target was measured.

Every measure takes ``a`` and ``b`` of shape ``(points,)`` or ``(rows, points)`` and ``valid``, a boolean
mask that broadcasts to them, and returns one float64 per row. Points outside ``valid`` may hold anything.
Without ``valid`` the points where both are finite count. A row gives NaN where the measure has no value:
fewer than two valid points, something not finite at a valid point, or a spectrum without any shape.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from spectroflow.errors import UsageError

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_FWHM_OF_SIGMA = 2.3548200450309493
_SMALLEST = 1e-12  # share of a distribution below which a point counts as this much


def pearson_r(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> Array:
    """Return Pearson's correlation coefficient, between -1 and 1."""
    x, y, mask, weight = _rows(a, b, valid)
    x = np.where(mask, x - _mean(x, weight), 0.0)
    y = np.where(mask, y - _mean(y, weight), 0.0)
    # What is left of a constant is rounding; it has no correlation.
    return _undefined(_cosine(x, y), weight, _flat(x, a, mask) | _flat(y, b, mask))


def rmse(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> Array:
    """Return the root mean square difference after each spectrum is divided by its own maximum."""
    x, y, mask, weight = _rows(a, b, valid)
    tops = [np.where(mask, z, -np.inf).max(axis=-1, initial=-np.inf, keepdims=True) for z in (x, y)]
    bad = (tops[0] <= 0) | (tops[1] <= 0)
    with np.errstate(all="ignore"):
        difference = np.where(mask, x / tops[0] - y / tops[1], 0.0)
        result = np.sqrt((difference**2).sum(axis=-1) / weight[..., 0])
    return _undefined(result, weight, bad[..., 0])


def spectral_angle(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> Array:
    """Return the angle between two spectra as vectors, in radians: 0 for the same shape (Kruse et al. 1993)."""
    x, y, _, weight = _rows(a, b, valid)
    x, y = _unit(x), _unit(y)
    # Kahan's form keeps its digits for nearly parallel vectors, where an arc cosine loses half of them.
    angle = 2 * np.arctan2(np.linalg.norm(x - y, axis=-1), np.linalg.norm(x + y, axis=-1))
    return _undefined(angle, weight, ~(x.any(axis=-1) & y.any(axis=-1)))


def hit_quality_index(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> Array:
    """Return ``100 (a.b)^2 / (a.a b.b)``, from 0 to 100 for the same shape."""
    x, y, _, weight = _rows(a, b, valid)
    return _undefined(100.0 * _cosine(x, y) ** 2, weight, ~(x.any(axis=-1) & y.any(axis=-1)))


def spectral_information_divergence(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> Array:
    """Return the symmetric relative entropy of two spectra as distributions, in nats (Chang 2000).

    Negative intensities count as zero, and no point's share as less than 1e-12.
    """
    x, y, mask, weight = _rows(a, b, valid)
    p, q = _distribution(x), _distribution(y)
    bad = ~(p.any(axis=-1) & q.any(axis=-1))
    p, q = (np.where(mask, np.maximum(z, _SMALLEST), 1.0) for z in (p, q))
    terms = np.where(mask, (p - q) * np.log(p / q), 0.0)
    return _undefined(terms.sum(axis=-1), weight, bad)


def wasserstein_1(
    a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None = None, *, axis: npt.ArrayLike
) -> Array:
    """Return how far intensity must be moved to turn one spectrum into the other, in axis units.

    Parameters
    ----------
    axis
        Ascending positions of the points, shape ``(points,)``. Each point carries its intensity, negative
        ones counting as zero, as a share of the spectrum's sum over the valid points.
    """
    x, y, _, weight = _rows(a, b, valid)
    p, q = _distribution(x), _distribution(y)
    bad = ~(p.any(axis=-1) & q.any(axis=-1))
    step = np.diff(np.asarray(axis, dtype=np.float64))
    distance = (np.abs(np.cumsum(p - q, axis=-1))[..., :-1] * step).sum(axis=-1)
    return _undefined(distance, weight, bad)


def blur(axis: npt.ArrayLike, y: npt.ArrayLike, fwhm: float, valid: npt.ArrayLike | None = None) -> Array:
    """Return spectra convolved with a Gaussian, for comparison at a common resolution.

    Parameters
    ----------
    axis
        Regular grid, shape ``(points,)``.
    y
        Shape ``(points,)`` or ``(rows, points)``.
    fwhm
        Full width at half maximum of the Gaussian, axis units; 0 leaves the spectra as they are.
    valid
        Where ``y`` holds data; other points take no part and come out as NaN. Near them, and near the ends,
        the Gaussian is normalised to the data that are there.

    Raises
    ------
    UsageError
        The axis is not regular or the width is negative.
    """
    grid = np.asarray(axis, dtype=np.float64)
    values = np.asarray(y, dtype=np.float64)
    mask = np.isfinite(values) if valid is None else np.broadcast_to(np.asarray(valid, dtype=bool), values.shape)
    steps = np.diff(grid)
    if fwhm < 0 or len(grid) < 2 or steps[0] <= 0 or np.abs(steps - steps.mean()).max() > 1e-3 * steps.mean():
        raise UsageError("blur needs a regular ascending axis and a width of 0 or more", remedy="Resample first.")
    if fwhm == 0:
        return np.where(mask, values, np.nan)
    sigma = fwhm / _FWHM_OF_SIGMA / float(steps.mean())
    top = gaussian_filter1d(np.where(mask, values, 0.0), sigma, axis=-1, mode="constant", truncate=5.0)
    share = gaussian_filter1d(mask.astype(np.float64), sigma, axis=-1, mode="constant", truncate=5.0)
    return np.where(mask, top / np.where(mask, share, 1.0), np.nan)


def _rows(a: npt.ArrayLike, b: npt.ArrayLike, valid: npt.ArrayLike | None) -> tuple[Array, Array, Mask, Array]:
    """Return both as float64 with zeros outside the mask, the mask, and its count (NaN for a row to give up)."""
    x, y = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    finite = np.isfinite(x) & np.isfinite(y)
    mask = finite if valid is None else np.broadcast_to(np.asarray(valid, dtype=bool), x.shape)
    count = mask.sum(axis=-1, keepdims=True).astype(np.float64)
    count[(count < 2) | (mask & ~finite).any(axis=-1, keepdims=True)] = np.nan
    use = mask & finite
    return np.where(use, x, 0.0), np.where(use, y, 0.0), use, count


def _mean(x: Array, weight: Array) -> Array:
    return np.asarray(x.sum(axis=-1, keepdims=True) / np.where(np.isnan(weight), 1.0, weight))


def _unit(x: Array) -> Array:
    largest = np.abs(x).max(axis=-1, keepdims=True, initial=0.0)
    scaled = x / np.where(largest > 0, largest, 1.0)
    norm = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1.0))


def _cosine(x: Array, y: Array) -> Array:
    return np.asarray(np.clip((_unit(x) * _unit(y)).sum(axis=-1), -1.0, 1.0))


def _distribution(x: Array) -> Array:
    positive = np.maximum(x, 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.asarray(positive / np.where(total > 0, total, 1.0))


def _flat(centered: Array, original: npt.ArrayLike, mask: Mask) -> Mask:
    size = np.where(mask, np.abs(np.asarray(original, dtype=np.float64)), 0.0).max(axis=-1, initial=0.0)
    return np.asarray(np.abs(centered).max(axis=-1, initial=0.0) <= 1e-13 * size)


def _undefined(result: Array, weight: Array, bad: Mask | np.bool_) -> Array:
    return np.where(np.isnan(weight[..., 0]) | bad, np.nan, result)
