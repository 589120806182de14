"""From a spectrum's own sampling to a regular grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError

#: A hole in the axis this many times wider than the median step is a gap, not coarse sampling.
GAP_FACTOR = 4.0


def resample(
    axis: npt.ArrayLike, intensity: npt.ArrayLike, grid: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return a spectrum on a regular grid, and where it was measured.

    Linear interpolation where the spectrum is coarser than the grid; where it is finer, the mean of the
    linear interpolant over the grid cell, so that a narrow line keeps its area.

    Parameters
    ----------
    axis, intensity
        Shape ``(points,)``; the axis ascending, in the unit of the grid. Points where either is not finite
        are left out, and repeated axis values are averaged.
    grid
        Shape ``(grid_points,)``, ascending and evenly spaced.

    Returns
    -------
    values : array
        Shape ``(grid_points,)``, in the unit of the intensity, 0 where ``valid`` is False.
    valid : array of bool
        False outside the measured range and in gaps wider than four median steps of the spectrum and
        wider than a grid step.

    Raises
    ------
    UsageError
        The grid is not ascending and even.
    """
    targets = np.asarray(grid, dtype=np.float64)
    if targets.ndim != 1 or targets.size < 2 or not np.all(np.diff(targets) > 0):
        raise UsageError("a grid must ascend", remedy="Give at least two ascending values.")
    step = (targets[-1] - targets[0]) / (targets.size - 1)
    if not np.allclose(np.diff(targets), step, rtol=1e-3):
        raise UsageError("a grid must be evenly spaced", remedy="Use Grid.axis() of a modality.")
    x, y = _clean(np.asarray(axis, dtype=np.float64), np.asarray(intensity, dtype=np.float64))
    values = np.zeros(targets.size)
    valid = np.zeros(targets.size, dtype=bool)
    if x.size < 2:
        return values, valid
    steps = np.diff(x)
    right = np.clip(np.searchsorted(x, targets), 1, x.size - 1)
    local = steps[right - 1]
    limit = max(GAP_FACTOR * float(np.median(steps)), step)
    slack = 1e-9 * max(abs(x[0]), abs(x[-1]), step)
    beside = np.minimum(np.abs(targets - x[right - 1]), np.abs(targets - x[right]))
    measured = (local <= limit * (1 + 1e-9)) | (beside <= limit / (2 * GAP_FACTOR))
    valid = (targets >= x[0] - slack) & (targets <= x[-1] + slack) & measured
    values = np.interp(targets, x, y)
    fine = valid & (local < step)
    if np.any(fine):
        lower = np.maximum(targets[fine] - step / 2, x[0])
        upper = np.minimum(targets[fine] + step / 2, x[-1])
        width = upper - lower
        mean = _integral(x, y, upper) - _integral(x, y, lower)
        values[fine] = np.where(width > 0, mean / np.where(width > 0, width, 1.0), values[fine])
    values[~valid] = 0.0
    return values, valid


def _clean(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    if x.size > 1 and not np.all(np.diff(x) > 0):
        order = np.argsort(x, kind="stable")
        x, inverse, counts = np.unique(x[order], return_inverse=True, return_counts=True)
        y = np.bincount(inverse, weights=y[order]) / counts
    return x, y


def _integral(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the integral of the linear interpolant from ``x[0]`` to each of ``at``."""
    steps = np.diff(x)
    whole = np.concatenate(([0.0], np.cumsum(steps * (y[1:] + y[:-1]) / 2)))
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, x.size - 2)
    part = at - x[left]
    slope = (y[left + 1] - y[left]) / steps[left]
    result: npt.NDArray[np.float64] = whole[left] + part * (y[left] + slope * part / 2)
    return result
