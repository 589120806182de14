"""From a row as it is stored to data that can be fitted: finite, ascending, in units of its noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending, extremes, kth_smallest, median

Array = npt.NDArray[np.float64]

SATURATED = 32
MASKED = 64
SIGMA_ESTIMATED = 128
NO_NOISE = 2048
AXIS_REPAIRED = 4096
COUNTS = 16384

#: As in :mod:`spectroflow.signal.noise`.
MAD_SECOND_DIFFERENCE = 0.6744897501960817 * np.sqrt(6.0)
#: A plateau of this many equal values at the top of a spectrum is a detector at its limit.
PLATEAU = 4
#: A plateau counts only where it stands this many noise units above the median.
PLATEAU_HEIGHT = 20.0
#: This many zeros in a row at an end are padding.
PADDING = 4
#: No detector has less noise than this share of the range; a spectrum with less was computed, or smoothed.
LEAST_NOISE = 1e-4
#: Such a spectrum is described to this share of its range: asked for more, a fit follows what its own first steps
#: leave over, in lines that nobody put there.
COMPUTED_NOISE = 1e-3

AUTO, FROM_COUNTS, FROM_DIFFERENCES = 0, 1, 2


@jit()
def usable_points(axis: Array, intensity: Array, sigma: Array) -> tuple[Array, Array, Array, int]:
    """Return the points that can be used, by ascending axis with repeats averaged, and flags."""
    n = intensity.size
    flags = 0
    if sigma.size != n and all_usable(axis, intensity):
        return axis.copy(), intensity.copy(), np.empty(0), flags
    x = np.empty(n)
    y = np.empty(n)
    s = np.empty(n if sigma.size == n else 0)
    count = 0
    first, last = n, -1
    for i in range(n):
        good = np.isfinite(axis[i]) and np.isfinite(intensity[i])
        if s.size > 0:
            good = good and sigma[i] > 0.0 and np.isfinite(sigma[i])
        if good:
            x[count] = axis[i]
            y[count] = intensity[i]
            if s.size > 0:
                s[count] = sigma[i]
            first = min(first, i)
            last = i
            count += 1
    # Zeros in a row at an end are padding, as many programs write it, not data.
    head, tail = 0, count
    while head < count and y[head] == 0.0:
        head += 1
    while tail > head and y[tail - 1] == 0.0:
        tail -= 1
    if head < count and (head >= PADDING or count - tail >= PADDING):
        head = head if head >= PADDING else 0
        tail = tail if count - tail >= PADDING else count
        x, y = x[head:tail], y[head:tail]
        if s.size > 0:
            s = s[head:tail]
        count = tail - head
        flags |= MASKED
    infinite = False
    for i in range(n):
        infinite = infinite or (np.isfinite(axis[i]) and np.isinf(intensity[i]))
    if last - first + 1 > count or infinite:
        flags |= MASKED
    x, y = x[:count], y[:count]
    s = s[:count] if s.size > 0 else s
    sorted_already = True
    for i in range(1, count):
        if not x[i] > x[i - 1]:
            sorted_already = False
            break
    if sorted_already:
        return x, y, s, flags
    # A stable order, so that repeats are averaged the same way on every machine.
    order = ascending(x)
    out = -1
    repeats = 0
    a, b, c = np.empty(count), np.empty(count), np.empty(s.size)
    for k in range(count):
        i = order[k]
        if out >= 0 and x[i] == a[out]:
            repeats += 1
            b[out] += (y[i] - b[out]) / repeats
        else:
            out += 1
            repeats = 1
            a[out] = x[i]
            b[out] = y[i]
            if s.size > 0:
                c[out] = s[i]
    return a[: out + 1], b[: out + 1], c[: out + 1] if s.size > 0 else c, flags | AXIS_REPAIRED


@jit()
def all_usable(axis: Array, intensity: Array) -> bool:
    """Return whether the axis ascends, everything is finite and no end is padded, as in most spectra."""
    n = intensity.size
    if n == 0 or intensity[0] == 0.0 or intensity[n - 1] == 0.0:
        return False
    wrong = 0
    for i in range(n):
        wrong += 0 if abs(intensity[i]) < np.inf else 1
    for i in range(n):
        wrong += 0 if abs(axis[i]) < np.inf else 1
    for i in range(1, n):
        wrong += 0 if axis[i] > axis[i - 1] else 1
    return wrong == 0


@jit()
def second_difference_sigma(y: Array) -> float:
    """Return the noise of ``y`` from the median absolute second difference."""
    n = y.size
    if n < 5:
        return 0.0
    d = np.empty(n - 2)
    for i in range(n - 2):
        d[i] = abs(y[i] - 2.0 * y[i + 1] + y[i + 2])
    return float(median(d) / MAD_SECOND_DIFFERENCE)


@jit()
def rounding_step(y: Array) -> float:
    """Return the least difference between neighbours that is not zero: the step of rounded data."""
    least = np.inf
    for i in range(1, y.size):
        d = abs(y[i] - y[i - 1])
        if d > 0.0 and d < least:
            least = d
    return least if np.isfinite(least) else 0.0


@jit()
def middle_range(y: Array) -> float:
    """Return the range of nearly all values: without the highest and lowest two in a hundred of every fourth."""
    some = y[::4].copy()
    cut = some.size // 50
    return kth_smallest(some, some.size - 1 - cut) - kth_smallest(some, cut)


@jit()
def plateau_points(y: Array, noise: float) -> npt.NDArray[np.bool_]:
    """Return which points belong to a flat top at the highest value."""
    out = np.zeros(y.size, np.bool_)
    _, top = extremes(y)
    alike = 0
    for i in range(y.size):
        alike += 1 if y[i] == top else 0
    if alike < PLATEAU or not top - median(y) > PLATEAU_HEIGHT * noise:
        return out
    start = 0
    for i in range(y.size + 1):
        if i < y.size and y[i] == top:
            continue
        if i - start >= PLATEAU:
            out[start:i] = True
        start = i + 1
    return out


@jit()
def look_like_counts(y: Array) -> bool:
    """Return whether the data are whole numbers that scatter as counts do.

    The square root of a Poisson variable has a variance of 1/4 whatever its mean, so twice the root must
    have a noise of one.
    """
    root = np.empty(y.size)
    for i in range(y.size):
        if y[i] < 0.0 or y[i] != np.floor(y[i]) or y[i] > 1e9:
            return False
        root[i] = 2.0 * np.sqrt(y[i] + 0.375)
    noise = second_difference_sigma(root)
    return 0.8 < noise < 1.25


@jit()
def prepare(axis: Array, intensity: Array, sigma: Array, mode: int) -> tuple[Array, Array, Array, float, Array, int]:
    """Return ``x, y, weight, noise, saturated, flags``.

    ``y`` is in units of ``noise``, the median standard deviation; ``weight`` is ``noise`` over that of each
    point. ``saturated`` holds the places of points that were left out because the detector was at its limit.
    """
    x, y, s, flags = usable_points(axis, intensity, sigma)
    n = x.size
    nowhere = np.zeros(0)
    if n < 5:
        return x, y, np.ones(n), np.nan, nowhere, flags
    lowest, highest = extremes(y)
    largest = max(-lowest, highest)
    if largest == 0.0:
        return x, y, np.ones(n), 0.0, nowhere, flags | NO_NOISE
    counts = mode == FROM_COUNTS or (mode == AUTO and sigma.size == 0 and look_like_counts(y))
    y = y / largest
    if s.size > 0:
        s = s / largest
        noise = median(s)
    elif sigma.size == 1:
        noise = sigma[0] / largest
    elif counts:
        s = np.sqrt((np.maximum(y, 0.0) + 1.0 / largest) / largest)
        noise = median(s)
        flags |= COUNTS
    else:
        noise = second_difference_sigma(y)
        if not noise > 1e-12:
            # Most neighbours are equal: rounded data, whose noise is at least that of rounding.
            noise = rounding_step(y) / np.sqrt(12.0)
        flags |= SIGMA_ESTIMATED
    spread = middle_range(y) if sigma.size == 0 else 0.0
    if not (noise > max(LEAST_NOISE * spread, 1e-9) and np.isfinite(noise)):
        noise = max(COMPUTED_NOISE * spread, 1e-6)
        flags |= NO_NOISE
    weight = np.ones(n)
    if s.size > 0:
        weight = noise / s
    flat = plateau_points(y, noise)
    if np.any(flat):
        keep = ~flat
        nowhere = x[flat]
        x, y, weight = x[keep], y[keep], weight[keep]
        flags |= SATURATED
    return x, y / noise, weight, noise * largest, nowhere, flags
