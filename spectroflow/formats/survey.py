"""One walk over a spectrum that finds out whether there is anything to correct or to flag.

Nearly all spectra are in order and whole. What NumPy would need forty passes for is done in three here, so that
only the few others pay for a closer look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from spectroflow.formats.base import FloatArray

_SAMPLED = 1024
"""A median of so many values is as good as one of all, for what it is used for."""

_NORMAL = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""

_OF_SECOND_DIFFERENCE = 1.5**0.5
"""Standard deviation of a point less the mean of its neighbours, over that of a point."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one walk over the values of a spectrum tells; none of them is NaN.

    Attributes
    ----------
    low, high, median
        Of the values; the median of about a thousand of them.
    negative
        How many are below zero by more than a hundredth of the span.
    at_top, longest_at_top
        How many are the highest value, and how many of these stand together at most.
    jump
        How far a single point stands above the mean of its neighbours at most.
    noise
        Standard deviation of the noise from the median size of second differences, as in DER_SNR (Stoehr et al.,
        ADASS XVII, ASP Conf. Ser. 394, 505, 2008), with neighbouring points.
    """

    low: float
    high: float
    median: float
    negative: int
    at_top: int
    longest_at_top: int
    jump: float
    noise: float

    @property
    def snr(self) -> float | None:
        """Height of the highest value above the median, in units of the noise; None where there is no noise."""
        return (self.high - self.median) / self.noise if self.noise > 0 else None


def survey(values: FloatArray) -> Survey:
    """Walk over values of shape ``(points,)`` without NaN, at least one."""
    return Survey(*_survey(values))


def steps(axis: FloatArray) -> tuple[float, float]:
    """Return the least and the widest step of an axis; both are NaN if a position is not finite."""
    return _steps(axis)  # type: ignore[no-any-return]


def extent(values: FloatArray, largest: float) -> tuple[int, int, int, int]:
    """Look for what is no value and for zeros.

    Returns
    -------
    How many are not numbers of at most that size, the first and the last that is not zero (-1 if all are), and how
    many between these two are zero.
    """
    return _extent(values, largest)  # type: ignore[no-any-return]


@nb.njit(cache=True, nogil=True)
def _steps(axis):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    least, widest = np.inf, -np.inf
    for i in range(axis.size - 1):
        step = axis[i + 1] - axis[i]
        if not np.isfinite(step):
            return np.nan, np.nan
        least = min(least, step)
        widest = max(widest, step)
    return least, widest


@nb.njit(cache=True, nogil=True)
def _extent(values, largest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    unusable = zeros = 0
    first, last = -1, -1
    for i in range(values.size):
        value = values[i]
        if not abs(value) <= largest:
            unusable += 1
        if value == 0.0:
            zeros += 1
        else:
            if first < 0:
                first, zeros = i, 0
            last = i
    if last >= 0:
        zeros -= values.size - 1 - last
    return unusable, first, last, zeros


@nb.njit(cache=True, nogil=True)
def _survey(values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n = values.size
    low, high, jump = np.inf, -np.inf, -np.inf
    for i in range(n):
        low = min(low, values[i])
        high = max(high, values[i])
    below = -0.01 * (high - low)
    negative = at_top = longest = run = 0
    for i in range(n):
        value = values[i]
        if value < below:
            negative += 1
        if value == high:
            at_top += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
        if 0 < i < n - 1:
            jump = max(jump, value - 0.5 * (values[i - 1] + values[i + 1]))
    stride = max(1, n // _SAMPLED)
    median = np.median(values[::stride].copy())
    noise = 0.0
    if n > 2:
        count = (n - 2 + stride - 1) // stride
        sizes = np.empty(count)
        for k in range(count):
            i = 1 + k * stride
            sizes[k] = abs(values[i] - 0.5 * (values[i - 1] + values[i + 1]))
        noise = _NORMAL * np.median(sizes) / _OF_SECOND_DIFFERENCE
    return low, high, median, negative, at_top, longest, jump, noise
