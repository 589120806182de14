"""Lines that the data do not need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.finish import hold_bounds
from spectroflow.peaks.model import Controls
from spectroflow.peaks.normal import covariance_block, factor
from spectroflow.peaks.select import evidence, least_gain, neighbours, penalty, refit_with, replace_lines
from spectroflow.peaks.starts import without_line
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: Lines whose height is below this many squared standard deviations are tried without.
DOUBTFUL = 100.0


@jit()
def height_significance(p: Array, low: Array, high: Array, matrix: Array, first: Index) -> Array:
    """Return ``(height / sigma)**2`` of each line from a normal matrix; 0 where it is singular."""
    lines = p.size // 4
    size = first.size
    own = matrix.copy()
    out = np.zeros(lines)
    hold_bounds(own, first, p, low, high, size)
    if not factor(own, first, size):
        return out
    block = np.empty((4, 4))
    work = np.empty((size, 4))
    for i in range(lines):
        covariance_block(own, first, size, 4 * i, block, work)
        out[i] = p[4 * i + 1] ** 2 / block[1, 1]
    return out


@jit(inline=True)
def drop_lines(
    x: Array,
    rest: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    significance: Array,
    controls: Controls,
) -> tuple[Array, Array, Array, bool]:
    """Remove, one at a time and the most doubtful first, lines that the information criterion does not want."""
    removed = False
    nothing = np.zeros(0)
    while significance.size > 0:
        i = int(np.argmin(significance))
        if significance[i] >= DOUBTFUL:
            break
        significance[i] = np.inf
        members = neighbours(p, significance.size, p[4 * i], p[4 * i + 2], i)
        sample = evidence(x, p, members, p[4 * i], p[4 * i + 2])
        q, before, after, points = refit_with(
            x, rest, weight, p, low, high, members, i, nothing, nothing, nothing, -least_gain(sample), controls
        )
        if after - before >= penalty(sample, before, points, q.size + 4):
            continue
        replace_lines(x, rest, p, members, i, q, controls)
        p, low, high = without_line(p, i), without_line(low, i), without_line(high, i)
        significance = np.concatenate((significance[:i], significance[i + 1 :]))
        removed = True
    return p, low, high, removed
