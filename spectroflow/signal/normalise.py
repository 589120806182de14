"""Bringing spectra to one scale."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError

Method = Literal["max", "area", "vector", "minmax", "snv"]


def normalise(
    intensity: npt.ArrayLike, method: Method = "max", *, valid: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Return a spectrum on a common scale.

    Parameters
    ----------
    intensity
        Shape ``(points,)``.
    method
        ``max``: largest value 1. ``area``: sum of absolute values 1. ``vector``: Euclidean norm 1.
        ``minmax``: from 0 to 1. ``snv``: mean 0 and standard deviation 1.
    valid
        True where a point was measured; others count for nothing and become 0.

    Returns
    -------
    array
        Shape ``(points,)``. A spectrum whose scale is zero (constant, empty) becomes all zeros.

    Raises
    ------
    UsageError
        The method is not known.
    """
    values = np.array(intensity, dtype=np.float64)
    usable = np.isfinite(values)
    if valid is not None:
        usable &= np.asarray(valid, dtype=bool)
    values[~usable] = 0.0
    part = values[usable]
    if part.size == 0:
        return values
    # Guards the squares of very large and very small values.
    largest = float(np.max(np.abs(part)))
    if largest == 0.0:
        return values
    part = part / largest
    if method == "max":
        offset, scale = 0.0, float(np.max(part))
    elif method == "area":
        offset, scale = 0.0, float(np.sum(np.abs(part)))
    elif method == "vector":
        offset, scale = 0.0, float(np.linalg.norm(part))
    elif method == "minmax":
        offset, scale = float(np.min(part)), float(np.max(part) - np.min(part))
    elif method == "snv":
        offset, scale = float(np.mean(part)), float(np.std(part))
    else:
        raise UsageError(f"there is no normalisation {method!r}", remedy="Use max, area, vector, minmax or snv.")
    values[usable] = (part - offset) / scale if scale > 0 else 0.0
    return values
