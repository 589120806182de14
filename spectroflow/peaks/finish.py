"""From fitted parameters to the lines that are stored: uncertainties, areas, flags."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.model import Controls
from spectroflow.peaks.normal import covariance_block, factor
from spectroflow.peaks.profiles import VOIGT
from spectroflow.peaks.voigt import faddeeva, voigt_widths
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

AT_BOUND = 4
SINGULAR_COV = 8
BLENDED = 16
SATURATED = 32
EDGE = 512

#: Area of a Gaussian and of a Lorentzian of unit height and unit FWHM.
GAUSS_AREA = 0.5 * np.sqrt(np.pi / np.log(2.0))
LORENTZ_AREA = 0.5 * np.pi


@jit()
def unit_area(shape: int, fwhm: float, s: float) -> float:
    """Return the area of a line of unit height."""
    if shape == VOIGT:
        sigma, gamma, _, _ = voigt_widths(fwhm, s)
        top, _ = faddeeva(0.0, gamma / (sigma * np.sqrt(2.0)))
        return float(sigma * np.sqrt(2.0 * np.pi) / top)
    return float(fwhm * (s * LORENTZ_AREA + (1.0 - s) * GAUSS_AREA))


@jit()
def mixing(q: float) -> tuple[float, float]:
    """Return the mixing parameter of a Lorentzian share by Thompson, Cox and Hastings, and its slope."""
    return q * (1.36603 + q * (-0.47719 + q * 0.11116)), 1.36603 + q * (-0.95438 + q * 0.33348)


@jit()
def lorentz_share(eta: float) -> float:
    """Return the Lorentzian share of the width that has the mixing parameter ``eta``.

    Inverts P. Thompson, D. E. Cox, J. B. Hastings (1987): ``eta = 1.36603 q - 0.47719 q**2 + 0.11116 q**3``.
    """
    q = eta
    for _ in range(20):
        f = q * (1.36603 + q * (-0.47719 + q * 0.11116)) - eta
        q -= f / (1.36603 + q * (-0.95438 + q * 0.33348))
    return min(max(q, 0.0), 1.0)


@jit()
def hold_bounds(matrix: Array, first: Index, p: Array, low: Array, high: Array, size: int) -> None:
    """Take parameters on their bounds, and those that change nothing, out of a normal matrix."""
    for i in range(size):
        held = matrix[i, i] <= 0.0
        if i < p.size and (p[i] <= low[i] or p[i] >= high[i]):
            held = True
        if held:
            for j in range(first[i], i):
                matrix[i, j] = 0.0
            for j in range(i + 1, size):
                if first[j] <= i:
                    matrix[j, i] = 0.0
            matrix[i, i] = 1.0


@jit()
def write_lines(
    x: Array,
    p: Array,
    low: Array,
    high: Array,
    matrix: Array,
    first: Index,
    controls: Controls,
    scale: float,
    saturated: Array,
    out: Array,
) -> int:
    """Write lines with uncertainties into ``out``, strongest area first if slots are short; return how many.

    ``matrix`` is the normal matrix of all lines and the background, ``first`` its envelope; it is overwritten.
    """
    lines = p.size // 4
    if lines == 0:
        return 0
    size = first.size
    held = np.zeros(size, np.bool_)
    for i in range(size):
        held[i] = matrix[i, i] <= 0.0
        if i < p.size and low[i] >= high[i]:
            held[i] = True
        if held[i]:
            for j in range(first[i], i):
                matrix[i, j] = 0.0
            for j in range(i + 1, size):
                if first[j] <= i:
                    matrix[j, i] = 0.0
            matrix[i, i] = 1.0
    solved = factor(matrix, first, size)
    block = np.empty((4, 4))
    work = np.empty((size, 4))
    rows = np.full((lines, 11), np.nan)
    for i in range(lines):
        c, h, w, s = p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3]
        flags = 0
        area = h * unit_area(controls.shape, w, s)
        shape, shape_slope = s, 1.0
        if controls.shape == VOIGT:
            shape, shape_slope = mixing(s)
        rows[i, 0] = c
        rows[i, 1] = h * scale
        rows[i, 2] = w
        rows[i, 3] = shape
        rows[i, 4] = area * scale
        for k in range(3):
            index = 4 * i + (0, 2, 3)[k]
            if low[index] < high[index] and (p[index] <= low[index] or p[index] >= high[index]):
                flags |= AT_BOUND
        if solved:
            covariance_block(matrix, first, size, 4 * i, block, work)
            for k in range(4):
                if held[4 * i + k]:
                    block[k, :] = 0.0
                    block[:, k] = 0.0
            step_w, step_s = 1e-6 * w, 1e-6
            slope = np.empty(4)
            slope[0] = 0.0
            slope[1] = unit_area(controls.shape, w, s)
            slope[2] = (
                h
                * (unit_area(controls.shape, w + step_w, s) - unit_area(controls.shape, w - step_w, s))
                / (2.0 * step_w)
            )
            upper, lower = min(s + step_s, 1.0), max(s - step_s, 0.0)
            slope[3] = h * (unit_area(controls.shape, w, upper) - unit_area(controls.shape, w, lower)) / (upper - lower)
            variance = 0.0
            for a in range(4):
                for b in range(4):
                    variance += slope[a] * block[a, b] * slope[b]
            rows[i, 5] = np.sqrt(block[0, 0])
            rows[i, 6] = np.sqrt(block[1, 1]) * scale
            rows[i, 7] = np.sqrt(block[2, 2])
            rows[i, 8] = np.sqrt(block[3, 3]) * shape_slope
            rows[i, 9] = np.sqrt(max(variance, 0.0)) * scale
        else:
            flags |= SINGULAR_COV
        for j in range(lines):
            if j != i and abs(p[4 * j] - c) < 0.5 * (p[4 * j + 2] + w):
                flags |= BLENDED
        for j in range(saturated.size):
            if abs(saturated[j] - c) < w:
                flags |= SATURATED
        if c - x[0] < w or x[-1] - c < w:
            flags |= EDGE
        rows[i, 10] = flags
    slots = out.shape[0]
    kept = min(lines, slots)
    chosen = ascending(-rows[:, 4])[:kept]
    centers = np.empty(kept)
    for k in range(kept):
        centers[k] = rows[chosen[k], 0]
    order = ascending(centers)
    for k in range(kept):
        for j in range(11):
            out[k, j] = rows[chosen[order[k]], j]
    return int(kept)
