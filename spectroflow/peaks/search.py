"""Looking for the lines that the first pass missed, got wrong or made up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.detect import candidates
from spectroflow.peaks.finish import hold_bounds
from spectroflow.peaks.minimise import (
    Controls,
    add_line,
    assemble,
    model,
    terms_block,
    weighted_residual,
    weighted_terms,
)
from spectroflow.peaks.normal import covariance_block, factor
from spectroflow.peaks.profiles import reach
from spectroflow.peaks.select import neighbours, penalty, refit_range, refit_with
from spectroflow.peaks.settings import Plan
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

NEW_LINES_PER_ROUND = 4
#: Candidates in the residual that are worth a trial, in noise units; the information criterion decides.
RESIDUAL_THRESHOLD = 4.0
#: A line may be two where chi-square within so many widths of it is above its mean by so many standard deviations.
SPLIT_WINDOW = 1.2
SPLIT_EXCESS = 1.0
#: Lines whose height is below this many squared standard deviations are tried without.
DOUBTFUL = 100.0


@jit(inline=True)
def search(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    scales: Array,
    fwhm_low: float,
    fwhm_high: float,
    thorough: bool,
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array]:
    """Add, split and untangle lines until the residual holds no more; one round of adding if not ``thorough``."""
    for _ in range(plan.rounds if thorough else 1):
        p, low, high, added = add_lines(
            x, y, weight, p, low, high, basis, spans, beta, scales, fwhm_low, fwhm_high, plan, controls
        )
        if not added:
            break
    recentre(x, p, low, high)
    if not thorough:
        return p, low, high
    p, low, high, _ = split_lines(x, y, weight, p, low, high, basis, spans, beta, fwhm_low, fwhm_high, plan, controls)
    untangle_lines(x, y, weight, p, low, high, basis, spans, beta, fwhm_low, fwhm_high, plan, controls)
    p, low, high = sorted_lines(p, low, high)
    recentre(x, p, low, high)
    return p, low, high


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
    low = np.array([max(center - fwhm, x[0]), 0.0, fwhm_low, plan.eta_low])
    high = np.array([min(center + fwhm, x[n - 1]), np.inf, fwhm_high, plan.eta_high])
    return start, low, high


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


@jit(inline=True)
def add_lines(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    scales: Array,
    fwhm_low: float,
    fwhm_high: float,
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array, bool]:
    """Look for lines in the residual; keep up to four that the information criterion wants."""
    lines = p.size // 4
    fitted = model(x, p, lines, basis, spans, beta, controls)
    rest = y - fitted
    found, count = candidates(rest * weight, scales, RESIDUAL_THRESHOLD, 64)
    order = ascending(-found[:count, 3])
    accepted = 0
    for k in range(count):
        if accepted >= NEW_LINES_PER_ROUND or lines >= 2 * plan.slots:
            break
        f = found[order[k]]
        start, start_low, start_high = line_start(x, f[0], f[1], f[2], weight, fwhm_low, fwhm_high, plan)
        members = neighbours(p, lines, start[0], start[2], -1)
        q, before, after, points = refit_with(
            x, rest, weight, p, low, high, members, -1, start, start_low, start_high, controls
        )
        if before - after < penalty(x.size, after, points, q.size):
            continue
        for j in range(members.size):
            i = members[j]
            add_difference(x, rest, p[4 * i : 4 * i + 4], q[4 * j : 4 * j + 4], controls)
            p[4 * i : 4 * i + 4] = q[4 * j : 4 * j + 4]
        new = q[4 * members.size :]
        add_difference(x, rest, np.array([new[0], 0.0, new[2], new[3]]), new, controls)
        p = np.concatenate((p, new))
        low = np.concatenate((low, start_low))
        high = np.concatenate((high, start_high))
        lines += 1
        accepted += 1
    if accepted > 0:
        p, low, high = sorted_lines(p, low, high)
    return p, low, high, accepted > 0


@jit(inline=True)
def split_lines(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    fwhm_low: float,
    fwhm_high: float,
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array, bool]:
    """Try two lines in the place of one wherever the data around a line scatter more than noise does."""
    lines = p.size // 4
    fitted = model(x, p, lines, basis, spans, beta, controls)
    rest = y - fitted
    accepted = False
    for i in range(lines):
        c, h, w = p[4 * i], p[4 * i + 1], p[4 * i + 2]
        a, b = reach(x, c - SPLIT_WINDOW * w, c + SPLIT_WINDOW * w)
        excess = -float(b - a)
        for k in range(a, b):
            excess += (rest[k] * weight[k]) ** 2
        if excess < SPLIT_EXCESS * np.sqrt(2.0 * (b - a)):
            continue
        pair = np.empty(8)
        pair_low = np.empty(8)
        pair_high = np.empty(8)
        for k in range(2):
            center = c + (2 * k - 1) * 0.3 * w
            fwhm = min(max(0.7 * w, fwhm_low), fwhm_high)
            pair[4 * k : 4 * k + 4] = np.array([center, 0.6 * h, fwhm, p[4 * i + 3]])
            pair_low[4 * k : 4 * k + 4] = np.array([max(center - w, x[0]), 0.0, fwhm_low, plan.eta_low])
            pair_high[4 * k : 4 * k + 4] = np.array([min(center + w, x[-1]), np.inf, fwhm_high, plan.eta_high])
        members = neighbours(p, lines, c, w, i)
        q, before, after, points = refit_with(
            x, rest, weight, p, low, high, members, i, pair, pair_low, pair_high, controls
        )
        if before - after < penalty(x.size, after, points, q.size):
            continue
        for j in range(members.size):
            m = members[j]
            add_difference(x, rest, p[4 * m : 4 * m + 4], q[4 * j : 4 * j + 4], controls)
            p[4 * m : 4 * m + 4] = q[4 * j : 4 * j + 4]
        one, two = q[q.size - 8 : q.size - 4], q[q.size - 4 :]
        add_difference(x, rest, p[4 * i : 4 * i + 4], one, controls)
        add_difference(x, rest, np.array([two[0], 0.0, two[2], two[3]]), two, controls)
        p[4 * i : 4 * i + 4] = one
        low[4 * i : 4 * i + 4] = pair_low[:4]
        high[4 * i : 4 * i + 4] = pair_high[:4]
        p = np.concatenate((p, two))
        low = np.concatenate((low, pair_low[4:]))
        high = np.concatenate((high, pair_high[4:]))
        lines += 1
        accepted = True
    if accepted:
        p, low, high = sorted_lines(p, low, high)
    return p, low, high, accepted


@jit(inline=True)
def untangle_lines(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    fwhm_low: float,
    fwhm_high: float,
    plan: Plan,
    controls: Controls,
) -> bool:
    """Try another start for a narrow line on the shoulder of a wide one.

    Two overlapping lines have a second minimum, in which one is too wide and lies between them while the
    other shrinks, often to a pure Gaussian. The other start puts them further apart and alike in width.
    """
    lines = p.size // 4
    rest = y - model(x, p, lines, basis, spans, beta, controls)
    changed = False
    for i in range(lines):
        c, w = p[4 * i], p[4 * i + 2]
        wide = -1
        nearest = np.inf
        for j in range(lines):
            d = abs(p[4 * j] - c)
            if j != i and p[4 * j + 2] > 1.2 * w and d < 0.7 * p[4 * j + 2] and d < nearest:
                wide = j
                nearest = d
        if wide < 0 or p[4 * i + 3] > plan.eta_low + 0.1:
            continue
        other_c, other_w = p[4 * wide], p[4 * wide + 2]
        away = other_c - 1.0 * (c - other_c)
        total = np.zeros(2)
        at = np.array([c, away]) if c < away else np.array([away, c])
        for j in range(lines):
            add_line(at, p[4 * j], p[4 * j + 1], p[4 * j + 2], p[4 * j + 3], controls, total)
        here, there = (total[0], total[1]) if c < away else (total[1], total[0])
        pair = np.array(
            [
                c,
                0.8 * here,
                min(1.5 * w, fwhm_high),
                min(max(0.5, plan.eta_low), plan.eta_high),
                away,
                0.6 * there,
                max(0.75 * other_w, fwhm_low),
                min(max(0.5, plan.eta_low), plan.eta_high),
            ]
        )
        pair_low = np.array(
            [
                max(c - other_w, x[0]),
                0.0,
                fwhm_low,
                plan.eta_low,
                max(away - other_w, x[0]),
                0.0,
                fwhm_low,
                plan.eta_low,
            ]
        )
        pair_high = np.array(
            [
                min(c + other_w, x[-1]),
                np.inf,
                fwhm_high,
                plan.eta_high,
                min(away + other_w, x[-1]),
                np.inf,
                fwhm_high,
                plan.eta_high,
            ]
        )
        around = neighbours(p, lines, c, w, i)
        members = around[around != wide]
        # Both old lines are taken out: the wide one by adding it back to what is left over.
        freed = rest.copy()
        add_line(x, other_c, p[4 * wide + 1], other_w, p[4 * wide + 3], controls, freed)
        q, _, after, _ = refit_with(x, freed, weight, p, low, high, members, i, pair, pair_low, pair_high, controls)
        a, b = refit_range(x, p, members, i, pair)
        before = 0.0
        for k in range(a, b):
            before += (rest[k] * weight[k]) ** 2
        if after > before - 1.0:
            continue
        for j in range(members.size):
            m = members[j]
            add_difference(x, rest, p[4 * m : 4 * m + 4], q[4 * j : 4 * j + 4], controls)
            p[4 * m : 4 * m + 4] = q[4 * j : 4 * j + 4]
        one, two = q[q.size - 8 : q.size - 4], q[q.size - 4 :]
        add_difference(x, rest, p[4 * i : 4 * i + 4], one, controls)
        add_difference(x, rest, p[4 * wide : 4 * wide + 4], two, controls)
        p[4 * i : 4 * i + 4] = one
        p[4 * wide : 4 * wide + 4] = two
        changed = True
    return changed


@jit()
def recentre(x: Array, p: Array, low: Array, high: Array) -> None:
    """Let each line move by its width from where it now is."""
    for i in range(p.size // 4):
        low[4 * i] = max(p[4 * i] - p[4 * i + 2], x[0])
        high[4 * i] = min(p[4 * i] + p[4 * i + 2], x[-1])


@jit()
def add_difference(x: Array, rest: Array, old: Array, new: Array, controls: Controls) -> None:
    """Update ``rest`` for a line that changed."""
    change = np.zeros(x.size)
    if old[1] > 0.0:
        add_line(x, old[0], -old[1], old[2], old[3], controls, change)
    if new[1] > 0.0:
        add_line(x, new[0], new[1], new[2], new[3], controls, change)
    rest -= change


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


@jit(inline=True)
def height_significance(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    controls: Controls,
) -> Array:
    """Return ``(height / sigma)**2`` of each line; 0 where the matrix is singular."""
    lines = p.size // 4
    residual, _ = weighted_residual(y, model(x, p, lines, basis, spans, beta, controls), weight)
    terms = weighted_terms(x, weight, basis, beta, controls)
    matrix, _, first = assemble(x, weight, residual, p, terms, terms_block(terms, spans), spans, controls)
    size = p.size + beta.size
    out = np.zeros(lines)
    hold_bounds(matrix, first, p, low, high, size)
    if not factor(matrix, first, size):
        return out
    block = np.empty((4, 4))
    work = np.empty((4, size))
    for i in range(lines):
        covariance_block(matrix, first, size, 4 * i, block, work)
        out[i] = p[4 * i + 1] ** 2 / block[1, 1]
    return out


@jit(inline=True)
def drop_lines(
    x: Array,
    y: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    basis: Array,
    spans: Index,
    beta: Array,
    controls: Controls,
) -> tuple[Array, Array, Array, bool]:
    """Remove, one at a time and the most doubtful first, lines that the information criterion does not want."""
    removed = False
    lines = p.size // 4
    if lines == 0:
        return p, low, high, False
    significance = height_significance(x, y, weight, p, low, high, basis, spans, beta, controls)
    rest = y - model(x, p, lines, basis, spans, beta, controls)
    nothing = np.zeros(0)
    while lines > 0:
        i = int(np.argmin(significance))
        if significance[i] >= DOUBTFUL:
            break
        significance[i] = np.inf
        members = neighbours(p, lines, p[4 * i], p[4 * i + 2], i)
        q, before, after, points = refit_with(
            x, rest, weight, p, low, high, members, i, nothing, nothing, nothing, controls
        )
        if after - before >= penalty(x.size, before, points, q.size + 4):
            continue
        for j in range(members.size):
            m = members[j]
            add_difference(x, rest, p[4 * m : 4 * m + 4], q[4 * j : 4 * j + 4], controls)
            p[4 * m : 4 * m + 4] = q[4 * j : 4 * j + 4]
        add_difference(x, rest, p[4 * i : 4 * i + 4], np.array([p[4 * i], 0.0, p[4 * i + 2], p[4 * i + 3]]), controls)
        keep = np.ones(p.size, np.bool_)
        keep[4 * i : 4 * i + 4] = False
        p, low, high = p[keep], low[keep], high[keep]
        keep_line = np.ones(lines, np.bool_)
        keep_line[i] = False
        significance = significance[keep_line]
        lines -= 1
        removed = True
    return p, low, high, removed
