"""The noise of a spectrum, from the spectrum alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Standard deviation of ``y[i-1] - 2 y[i] + y[i+1]`` per unit white noise, times the quantile that
#: makes a median absolute deviation a standard deviation.
MAD_SECOND_DIFFERENCE = 0.6744897501960817 * np.sqrt(6.0)


def noise_sigma(intensity: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> float:
    """Return the standard deviation of white noise on a spectrum.

    The median absolute second difference divided by ``0.6745 sqrt(6)``: lines and background bend too
    little from point to point, and too seldom, to move a median.

    Parameters
    ----------
    intensity
        Shape ``(points,)``, any unit. Values that are not finite are left out.
    mask
        True where a point is to be used; shape ``(points,)``. All by default.

    Returns
    -------
    float
        In the unit of the intensity; NaN where fewer than five points can be used, 0 where more than half
        of the second differences vanish.
    """
    values = np.asarray(intensity, dtype=np.float64)
    usable = np.isfinite(values)
    if mask is not None:
        usable &= np.asarray(mask, dtype=bool)
    values = values[usable]
    if values.size < 5:
        return float("nan")
    # Scaled first, so that no sum of three overflows.
    scale = float(np.max(np.abs(values)))
    if scale == 0.0:
        return 0.0
    return scale * float(np.median(np.abs(np.diff(values / scale, 2))) / MAD_SECOND_DIFFERENCE)
