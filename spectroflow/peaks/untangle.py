"""Two lines that settled in the wrong one of two minima."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.model import Controls, add_line
from spectroflow.peaks.select import neighbours, refit_range, refit_with, replace_lines
from spectroflow.peaks.settings import Plan
from spectroflow.peaks.starts import line_bounds
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]


@jit(inline=True)
def untangle_lines(
    x: Array,
    rest: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    fwhm_low: float,
    fwhm_high: float,
    plan: Plan,
    controls: Controls,
) -> None:
    """Try another start for a narrow line on the shoulder of a wide one.

    Two overlapping lines have a second minimum, in which one is too wide and lies between them while the
    other shrinks, often to a pure Gaussian. The other start puts them further apart and alike in width.
    """
    lines = p.size // 4
    for i in range(lines):
        wide = wide_neighbour(p, i)
        if wide < 0 or p[4 * i + 3] > plan.eta_low + 0.1:
            continue
        c, w = p[4 * i], p[4 * i + 2]
        other_c, other_w = p[4 * wide], p[4 * wide + 2]
        away = other_c - 1.0 * (c - other_c)
        at = np.array([min(c, away), max(c, away)])
        total = np.zeros(2)
        for j in range(lines):
            add_line(at, p[4 * j], p[4 * j + 1], p[4 * j + 2], p[4 * j + 3], controls, total)
        here, there = (total[0], total[1]) if c < away else (total[1], total[0])
        eta = min(max(0.5, plan.eta_low), plan.eta_high)
        pair, pair_low, pair_high = np.empty(8), np.empty(8), np.empty(8)
        pair[:4] = np.array([c, 0.8 * here, min(1.5 * w, fwhm_high), eta])
        pair[4:] = np.array([away, 0.6 * there, max(0.75 * other_w, fwhm_low), eta])
        pair_low[:4], pair_high[:4] = line_bounds(x, c, other_w, fwhm_low, fwhm_high, plan)
        pair_low[4:], pair_high[4:] = line_bounds(x, away, other_w, fwhm_low, fwhm_high, plan)
        around = neighbours(p, lines, c, w, i)
        members = around[around != wide]
        a, b = refit_range(x, p, members, i, pair)
        before = 0.0
        for k in range(a, b):
            before += (rest[k] * weight[k]) ** 2
        # Both old lines are taken out: the wide one by adding it back to what is left over.
        freed = rest.copy()
        add_line(x, other_c, p[4 * wide + 1], other_w, p[4 * wide + 3], controls, freed)
        q, _, after, _ = refit_with(
            x, freed, weight, p, low, high, members, i, pair, pair_low, pair_high, np.inf, controls
        )
        if after > before - 1.0:
            continue
        replace_lines(x, freed, p, members, i, q, controls)
        rest[:] = freed
        p[4 * i : 4 * i + 4] = q[q.size - 8 : q.size - 4]
        p[4 * wide : 4 * wide + 4] = q[q.size - 4 :]


@jit()
def wide_neighbour(p: Array, i: int) -> int:
    """Return the nearest wider line on whose shoulder line ``i`` sits, or -1."""
    wide = -1
    nearest = np.inf
    for j in range(p.size // 4):
        d = abs(p[4 * j] - p[4 * i])
        if j != i and p[4 * j + 2] > 1.2 * p[4 * i + 2] and d < 0.7 * p[4 * j + 2] and d < nearest:
            wide = j
            nearest = d
    return wide
