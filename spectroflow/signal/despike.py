"""Cosmic rays and other spikes that are narrower than any line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.noise import noise_sigma


def despike(
    intensity: npt.ArrayLike, threshold: float = 8.0, *, max_width: int = 2
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return a spectrum without spikes, and where they were.

    A spike rises and falls within ``max_width`` points: its points stand above both neighbours beyond
    them by more than the threshold, and above what those neighbours can do by themselves. A line of one
    and a half points FWHM, the narrowest that is fitted, passes.

    Parameters
    ----------
    intensity
        Shape ``(points,)``. Values that are not finite stay as they are.
    threshold
        Least rise of a spike in units of the noise.
    max_width
        Most points that one spike covers.

    Returns
    -------
    values : array
        Shape ``(points,)``: spikes replaced by the line between their neighbours.
    spikes : array of bool
        True where a value was replaced.
    """
    values = np.array(intensity, dtype=np.float64)
    spikes = np.zeros(values.size, dtype=bool)
    sigma = noise_sigma(values)
    if values.size < 5 or not np.isfinite(sigma):
        return values, spikes
    for width in range(max_width, 0, -1):
        span = values.size - width - 3
        if span < 1:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(values, width + 4)
        before, left, right, after = windows[:, 0], windows[:, 1], windows[:, -2], windows[:, -1]
        # A real line, however narrow, also lifts the points beside it.
        flank = np.maximum(np.maximum(np.abs(left - before), np.abs(right - after)), np.abs(left - right))
        rise = windows[:, 2:-2].min(axis=1) - np.maximum(left, right)
        with np.errstate(invalid="ignore"):
            starts = np.flatnonzero((rise > threshold * sigma) & (rise > 4.0 * flank) & (rise > 0)) + 2
        for start in starts:
            a, b = values[start - 1], values[start + width]
            values[start : start + width] = a + (b - a) * np.arange(1, width + 1) / (width + 1)
            spikes[start : start + width] = True
    return values, spikes
