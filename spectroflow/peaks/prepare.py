"""From a row as it is stored to data that can be fitted: finite, ascending, in units of its noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import jit

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

AUTO, FROM_COUNTS, FROM_DIFFERENCES = 0, 1, 2


@jit()
def usable_points(axis: Array, intensity: Array, sigma: Array) -> tuple[Array, Array, Array, int]:
    """Return the points that can be used, by ascending axis with repeats averaged, and flags."""
    n = intensity.size
    flags = 0
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
    infinite = False
    for i in range(n):
        infinite = infinite or (np.isfinite(axis[i]) and np.isinf(intensity[i]))
    if last - first + 1 > count or infinite:
        flags |= MASKED
    x, y = x[:count], y[:count]
    s = s[:count] if s.size > 0 else s
    ascending = True
    for i in range(1, count):
        if not x[i] > x[i - 1]:
            ascending = False
            break
    if ascending:
        return x, y, s, flags
    # A stable order, so that repeats are averaged the same way on every machine.
    order = np.argsort(x, kind="mergesort")
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
def second_difference_sigma(y: Array) -> float:
    """Return the noise of ``y`` from the median absolute second difference."""
    n = y.size
    if n < 5:
        return 0.0
    d = np.empty(n - 2)
    for i in range(n - 2):
        d[i] = abs(y[i] - 2.0 * y[i + 1] + y[i + 2])
    return float(np.median(d)) / MAD_SECOND_DIFFERENCE


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
def prepare(
    axis: Array, intensity: Array, sigma: Array, mode: int
) -> tuple[Array, Array, Array, float, float, float, int]:
    """Return ``x, y, weight, scale, offset, noise, flags``.

    ``y`` is in units of ``scale``, the median noise; ``weight`` is ``scale`` over the noise of each point.
    """
    x, y, s, flags = usable_points(axis, intensity, sigma)
    n = x.size
    weight = np.ones(n)
    if n < 5:
        return x, y, weight, 1.0, 0.0, np.nan, flags
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(y[i]))
    if largest == 0.0:
        return x, y, weight, 1.0, 0.0, 0.0, flags | 2048
    noise = 0.0
    counts = mode == FROM_COUNTS or (mode == AUTO and sigma.size == 0 and look_like_counts(y))
    if s.size > 0:
        noise = float(np.median(s))
    elif sigma.size == 1:
        noise = sigma[0]
    elif counts:
        s = np.empty(n)
        for i in range(n):
            s[i] = np.sqrt(max(y[i], 0.0) + 1.0)
        noise = float(np.median(s))
        flags |= COUNTS
    else:
        noise = second_difference_sigma(y / largest) * largest
        flags |= SIGMA_ESTIMATED
    if not noise > 1e-9 * largest:
        noise = 1e-6 * largest
        flags |= NO_NOISE
    if s.size > 0:
        for i in range(n):
            weight[i] = noise / s[i]
    out = np.empty(n)
    for i in range(n):
        out[i] = y[i] / noise
    return x, out, weight, noise, 0.0, noise, flags
