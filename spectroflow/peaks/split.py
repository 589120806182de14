"""One line that may be two."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.model import Controls
from spectroflow.peaks.profiles import reach
from spectroflow.peaks.select import evidence, least_gain, neighbours, penalty, refit_with, replace_lines
from spectroflow.peaks.settings import Plan
from spectroflow.peaks.starts import line_bounds, sorted_lines
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]

#: A line may be two where chi-square within so many widths of it is above its mean by so many standard deviations.
SPLIT_WINDOW = 1.2
SPLIT_EXCESS = 1.0


@jit(inline=True)
def split_lines(
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
) -> tuple[Array, Array, Array]:
    """Try two lines in the place of one wherever the data around a line scatter more than noise does."""
    lines = p.size // 4
    accepted = False
    for i in range(lines):
        c, h, w = p[4 * i], p[4 * i + 1], p[4 * i + 2]
        a, b = reach(x, c - SPLIT_WINDOW * w, c + SPLIT_WINDOW * w)
        excess = -float(b - a)
        for k in range(a, b):
            excess += (rest[k] * weight[k]) ** 2
        if excess < SPLIT_EXCESS * np.sqrt(2.0 * (b - a)):
            continue
        pair, pair_low, pair_high = np.empty(8), np.empty(8), np.empty(8)
        for k in range(2):
            center = c + (2 * k - 1) * 0.3 * w
            fwhm = min(max(0.7 * w, fwhm_low), fwhm_high)
            pair[4 * k : 4 * k + 4] = np.array([center, 0.6 * h, fwhm, p[4 * i + 3]])
            pair_low[4 * k : 4 * k + 4], pair_high[4 * k : 4 * k + 4] = line_bounds(
                x, center, w, fwhm_low, fwhm_high, plan
            )
        members = neighbours(p, lines, c, w, i)
        sample = evidence(x, p, np.array([i]), c, w)
        q, before, after, points = refit_with(
            x, rest, weight, p, low, high, members, i, pair, pair_low, pair_high, least_gain(sample), controls
        )
        if before - after < penalty(sample, after, points, q.size):
            continue
        replace_lines(x, rest, p, members, i, q, controls)
        p[4 * i : 4 * i + 4] = q[q.size - 8 : q.size - 4]
        low[4 * i : 4 * i + 4] = pair_low[:4]
        high[4 * i : 4 * i + 4] = pair_high[:4]
        p = np.concatenate((p, q[q.size - 4 :]))
        low = np.concatenate((low, pair_low[4:]))
        high = np.concatenate((high, pair_high[4:]))
        lines += 1
        accepted = True
    if accepted:
        p, low, high = sorted_lines(p, low, high)
    return p, low, high
