"""What is done to a gridded spectrum before a model sees it.

Three documented steps, the same for every modality and with widths from the modality itself:

1. the gaps and the ends that were not measured are filled with the nearest measured value, for the
   filters only; they stay marked as not measured;
2. a *background* is subtracted: the morphological opening (minimum, then maximum filter) of the
   spectrum blurred to the modality's resolution, over a window of twice the widest believable line;
3. the result is divided by its maximum.

The scale and the background are lost on purpose: neither says anything about another modality. What a
model generates is therefore relative to the strongest line, over a flat background.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d, uniform_filter1d

from spectroflow.modality import Modality

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

SIGMA_PER_FWHM = 0.42466090014400953  # 1 / (2 sqrt(2 ln 2))


def prepare(values: Float, valid: Bool, modality: Modality) -> Float:
    """Remove the background and scale to a maximum of 1.

    Parameters
    ----------
    values
        ``(n, points)`` on the modality's grid, in any unit; what stands where ``valid`` is False is not read.
    valid
        ``(n, points)``, True where the spectrum was measured.

    Returns
    -------
    ndarray
        ``(n, points)`` float32 in [0, 1], exactly 0 where not measured. A spectrum without any
        measured point, or without any signal above its background, is all zeros.
    """
    filled = fill(np.asarray(values, np.float64), valid)
    raised = np.clip(filled - background(filled, modality), 0.0, None)
    raised[~valid] = 0.0
    top = raised.max(axis=1, keepdims=True)
    return np.asarray(np.divide(raised, top, out=np.zeros_like(raised), where=top > 0), np.float32)


def background(filled: npt.NDArray[np.float64], modality: Modality) -> npt.NDArray[np.float64]:
    """Return the opening of the blurred spectrum, shape ``(n, points)``."""
    step = modality.grid.step
    window = max(3, round(2.0 * modality.fwhm[1] / step) | 1)
    smooth = gaussian_filter1d(filled, modality.resolution * SIGMA_PER_FWHM / step, axis=1, mode="nearest")
    opened = maximum_filter1d(minimum_filter1d(smooth, window, axis=1, mode="nearest"), window, axis=1, mode="nearest")
    averaged: npt.NDArray[np.float64] = uniform_filter1d(opened, window, axis=1, mode="nearest")
    return averaged


def fill(values: npt.NDArray[np.float64], valid: Bool) -> npt.NDArray[np.float64]:
    """Replace what was not measured by the nearest measured value of the same spectrum (0 if there is none)."""
    points = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(valid, points, -1), axis=1)
    ahead = np.minimum.accumulate(np.where(valid, points, 2 * points.size)[:, ::-1], axis=1)[:, ::-1]
    nearer_ahead = (last < 0) | (ahead - points < points - last)
    source = np.where(nearer_ahead, ahead, last)
    source[~valid.any(axis=1)] = 0
    filled = np.take_along_axis(np.where(valid, values, 0.0), source, axis=1)
    return np.where(valid, values, filled)


def blur(values: Float, fwhm_points: float) -> Float:
    """Convolve rows with a Gaussian of ``fwhm_points`` grid points."""
    if fwhm_points <= 0:
        return values
    blurred: Float = gaussian_filter1d(values, fwhm_points * SIGMA_PER_FWHM, axis=1, mode="nearest")
    return blurred
