"""Which lines there are: trying one more or one fewer by refitting only what lies around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.minimise import minimise
from spectroflow.peaks.model import Controls, add_line, add_lines_to
from spectroflow.peaks.profiles import reach
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: Lines whose centres are nearer than this many summed widths are refitted together.
TOGETHER = 1.2
#: A local refit looks this many widths beyond its outermost centres.
MARGIN = 3.0
#: A line is known to be where it is within so many of its widths.
UNDER = 1.5
#: The criterion is not meant for samples smaller than this.
LEAST_EVIDENCE = 16
#: In the place of a line: none. Not a plain integer, for which every kernel would be compiled once more.
NOBODY: int = np.int64(-1)  # type: ignore[assignment]
#: Most lines in one local refit.
CLUSTER = 6


@jit()
def neighbours(p: Array, lines: int, center: float, fwhm: float, skip: int) -> Index:
    """Return the indices of lines close enough to ``center`` to be refitted with it, nearest first, at most six."""
    distance = np.empty(lines)
    for i in range(lines):
        d = abs(p[4 * i] - center) / (p[4 * i + 2] + fwhm)
        distance[i] = d if i != skip else np.inf
    order = ascending(distance)
    count = 0
    while count < min(lines, CLUSTER - 1) and distance[order[count]] < TOGETHER:
        count += 1
    return order[:count]


@jit()
def refit_range(x: Array, p: Array, members: Index, removed: int, extra: Array) -> tuple[int, int]:
    """Return the stretch of points over which these lines are refitted."""
    count = members.size
    start = np.inf
    stop = -np.inf
    for k in range(count + 1):
        i = removed if k == count else members[k]
        if i >= 0:
            start = min(start, p[4 * i] - MARGIN * p[4 * i + 2])
            stop = max(stop, p[4 * i] + MARGIN * p[4 * i + 2])
    for k in range(extra.size // 4):
        start = min(start, extra[4 * k] - MARGIN * extra[4 * k + 2])
        stop = max(stop, extra[4 * k] + MARGIN * extra[4 * k + 2])
    return reach(x, start, stop)


@jit(inline=True)
def refit_with(
    x: Array,
    rest: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    members: Index,
    removed: int,
    extra: Array,
    extra_low: Array,
    extra_high: Array,
    gain: float,
    controls: Controls,
) -> tuple[Array, float, float, int]:
    """Refit ``members`` with the line ``removed`` taken out (or -1) and the lines of ``extra`` put in.

    ``rest`` is data minus everything that is modelled; lines that are not named stay as they are. The refit goes
    on only until it is clear whether it lowers chi-square by ``gain``; to its end where that is infinite.

    Returns
    -------
    parameters
        Of the members, then of the extra lines.
    before, after
        Chi-square over the refitted stretch.
    points
        Points in the stretch.
    """
    count = members.size
    a, b = refit_range(x, p, members, removed, extra)
    xs = x[a:b]
    ws = weight[a:b]
    ys = rest[a:b].copy()
    before = 0.0
    for i in range(ys.size):
        before += (ys[i] * ws[i]) ** 2
    total = 4 * count + extra.size
    q = np.empty(total)
    q_low = np.empty(total)
    q_high = np.empty(total)
    for k in range(count + 1):
        i = removed if k == count else members[k]
        if i < 0:
            continue
        add_line(xs, p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3], controls, ys)
        if k < count:
            q[4 * k : 4 * k + 4] = p[4 * i : 4 * i + 4]
            q_low[4 * k : 4 * k + 4] = low[4 * i : 4 * i + 4]
            q_high[4 * k : 4 * k + 4] = high[4 * i : 4 * i + 4]
    q[4 * count :] = extra
    q_low[4 * count :] = extra_low
    q_high[4 * count :] = extra_high
    needed = max(before - gain, 0.0) if gain < np.inf else -1.0
    basis, spans, beta = np.zeros((0, ys.size)), np.zeros((0, 2), np.int64), np.zeros(0)
    after, _, _, _, _, _ = minimise(xs, ys, ws, q, q_low, q_high, basis, spans, beta, controls, needed)
    return q, before, after, b - a


@jit()
def replace_lines(x: Array, rest: Array, p: Array, members: Index, removed: int, q: Array, controls: Controls) -> None:
    """Put the members' new parameters, the first of ``q``, into ``p``, and bring ``rest`` up to date.

    The line ``removed`` (or -1) is taken out of what ``rest`` is the rest of, and lines of ``q`` beyond the members
    are put in; ``p`` itself keeps its length.
    """
    count = members.size
    old = np.empty(4 * (count + 1))
    for k in range(count):
        i = members[k]
        old[4 * k : 4 * k + 4] = p[4 * i : 4 * i + 4]
        p[4 * i : 4 * i + 4] = q[4 * k : 4 * k + 4]
    if removed >= 0:
        old[4 * count :] = p[4 * removed : 4 * removed + 4]
    lost = count + 1 if removed >= 0 else count
    change = np.empty(4 * lost + q.size)
    change[: 4 * lost] = old[: 4 * lost]
    change[4 * lost :] = q
    for k in range(lost, lost + q.size // 4):
        change[4 * k + 1] *= -1.0
    add_lines_to(x, change, change.size // 4, controls, rest)


@jit()
def penalty(points: int, after: float, local_points: int, parameters: int) -> float:
    """Return the drop of chi-square that four more parameters must bring by the Bayesian information criterion.

    Where even the better model misses the data by more than the noise, chi-square is measured in units of
    that misfit.
    """
    reduced = after / max(local_points - parameters, 1)
    return least_gain(points) * (reduced if reduced > 1.5 else 1.0)


@jit()
def least_gain(points: int) -> float:
    """Return what four more parameters must bring where the model describes the data to the noise."""
    return float(4.0 * np.log(points))


@jit()
def evidence(x: Array, p: Array, members: Index, center: float, fwhm: float) -> int:
    """Return among how many points a line at ``center`` was looked for, which is the sample that decides on it.

    A line may turn up at any point of the spectrum; a second line under a known one only where that one is.
    """
    if members.size > 0:
        i = members[0]
        if abs(p[4 * i] - center) < 0.5 * (p[4 * i + 2] + fwhm):
            a, b = reach(x, p[4 * i] - UNDER * p[4 * i + 2], p[4 * i] + UNDER * p[4 * i + 2])
            return int(min(max(b - a, LEAST_EVIDENCE), x.size))
    return int(x.size)
