"""Where a line starts, how far it may go, and the order of lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.settings import Plan
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]


@jit()
def line_start(
    x: Array, place: float, height: float, width: float, weight: Array, fwhm_low: float, fwhm_high: float, plan: Plan
) -> tuple[Array, Array, Array]:
    """Return start and bounds of one line from its place and width in points and its height in noise units."""
    n = x.size
    at = min(max(int(place), 0), n - 2)
    center = x[at] + (place - at) * (x[at + 1] - x[at])
    half = max(int(0.5 * width), 1)
    left, right = max(at - half, 0), min(at + 1 + half, n - 1)
    fwhm = width * (x[right] - x[left]) / (right - left)
    fwhm = min(max(fwhm, 1.05 * fwhm_low), 0.95 * fwhm_high)
    eta = min(max(0.5, plan.eta_low), plan.eta_high)
    top = height / weight[min(max(int(place + 0.5), 0), n - 1)]
    start = np.array([center, top, fwhm, eta])
    low, high = line_bounds(x, center, fwhm, fwhm_low, fwhm_high, plan)
    return start, low, high


@jit()
def line_bounds(
    x: Array, center: float, away: float, fwhm_low: float, fwhm_high: float, plan: Plan
) -> tuple[Array, Array]:
    """Return the bounds of a line that may move by ``away`` from ``center``."""
    low = np.array([max(center - away, x[0]), 0.0, fwhm_low, plan.eta_low])
    high = np.array([min(center + away, x[-1]), np.inf, fwhm_high, plan.eta_high])
    return low, high


@jit()
def starts(
    x: Array, found: Array, count: int, weight: Array, fwhm_low: float, fwhm_high: float, plan: Plan
) -> tuple[Array, Array, Array]:
    """Return starts and bounds of all detected lines."""
    p, low, high = np.empty(4 * count), np.empty(4 * count), np.empty(4 * count)
    for k in range(count):
        a, b, c = line_start(x, found[k, 0], found[k, 1], found[k, 2], weight, fwhm_low, fwhm_high, plan)
        p[4 * k : 4 * k + 4] = a
        low[4 * k : 4 * k + 4] = b
        high[4 * k : 4 * k + 4] = c
    return p, low, high


@jit()
def recentre(x: Array, p: Array, low: Array, high: Array) -> None:
    """Let each line move by its width from where it now is."""
    for i in range(p.size // 4):
        low[4 * i] = max(p[4 * i] - p[4 * i + 2], x[0])
        high[4 * i] = min(p[4 * i] + p[4 * i + 2], x[-1])


@jit()
def sorted_lines(p: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Return lines by ascending centre."""
    order = ascending(p[0::4].copy())
    a, b, c = np.empty(p.size), np.empty(p.size), np.empty(p.size)
    for k in range(order.size):
        i = order[k]
        a[4 * k : 4 * k + 4] = p[4 * i : 4 * i + 4]
        b[4 * k : 4 * k + 4] = low[4 * i : 4 * i + 4]
        c[4 * k : 4 * k + 4] = high[4 * i : 4 * i + 4]
    return a, b, c


@jit()
def without_line(values: Array, line: int) -> Array:
    """Return the parameters of all lines but one."""
    out = np.empty(values.size - 4)
    out[: 4 * line] = values[: 4 * line]
    out[4 * line :] = values[4 * line + 4 :]
    return out
