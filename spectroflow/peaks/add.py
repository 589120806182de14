"""Lines that show in what is left over."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.detect import candidates
from spectroflow.peaks.model import Controls
from spectroflow.peaks.select import NOBODY, evidence, least_gain, neighbours, penalty, refit_with, replace_lines
from spectroflow.peaks.settings import Plan
from spectroflow.peaks.starts import line_start, sorted_lines
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]

NEW_LINES_PER_ROUND = 4
#: Candidates in the residual that are worth a trial, in noise units; the information criterion decides.
RESIDUAL_THRESHOLD = 4.0
#: Filters that look for narrow lines.
FINE_SCALES = 3


@jit(inline=True)
def add_lines(
    x: Array,
    rest: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    scales: Array,
    fwhm_low: float,
    fwhm_high: float,
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array, bool]:
    """Look for lines in the residual; keep up to four that the information criterion wants."""
    lines = p.size // 4
    # What one pass leaves over is narrow; coarse filters are for those that look again.
    fine = scales if plan.rounds > 1 else scales[: min(scales.size, FINE_SCALES)]
    found, count = candidates(rest * weight, fine, RESIDUAL_THRESHOLD, plan.slots + 8)
    order = ascending(-found[:count, 3])
    accepted = 0
    for k in range(count):
        if accepted >= NEW_LINES_PER_ROUND or lines >= 2 * plan.slots:
            break
        f = found[order[k]]
        start, start_low, start_high = line_start(x, f[0], f[1], f[2], weight, fwhm_low, fwhm_high, plan)
        members = neighbours(p, lines, start[0], start[2], NOBODY)
        # Where nobody looks again for lines too many, all points are the sample.
        sample = evidence(x, p, members, start[0], start[2]) if plan.drop == 1 else x.size
        q, before, after, points = refit_with(
            x,
            rest,
            weight,
            p,
            low,
            high,
            members,
            NOBODY,
            start,
            start_low,
            start_high,
            least_gain(sample),
            controls,
        )
        if before - after < penalty(sample, after, points, q.size):
            continue
        replace_lines(x, rest, p, members, NOBODY, q, controls)
        p = np.concatenate((p, q[4 * members.size :]))
        low = np.concatenate((low, start_low))
        high = np.concatenate((high, start_high))
        lines += 1
        accepted += 1
    if accepted > 0:
        p, low, high = sorted_lines(p, low, high)
    return p, low, high, accepted > 0
