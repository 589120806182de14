"""One spectrum from data to lines, compiled: the order of the steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.background import background_values, fit_linear, spline_basis
from spectroflow.peaks.detect import candidates, filter_taps, respond, response_noise
from spectroflow.peaks.finish import write_lines
from spectroflow.peaks.minimise import (
    ITERATIONS_USED_UP,
    LINEAR,
    Controls,
    add_line,
    assemble,
    minimise,
    model,
    terms_block,
    weighted_residual,
    weighted_terms,
)
from spectroflow.peaks.normal import covariance_block, factor
from spectroflow.peaks.prepare import prepare
from spectroflow.peaks.profiles import VOIGT, reach
from spectroflow.peaks.select import neighbours, penalty, refit_range, refit_with
from spectroflow.peaks.settings import Plan
from spectroflow.signal.baseline import arpls_kernel
from spectroflow.signal.compiled import jit
from spectroflow.signal.ordering import ascending

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

NO_PEAKS = 1
MAX_ITER = 2
BAD_CHI2 = 256
CAP = 1024
TOO_SHORT = 8192
CORRELATED = 32768

#: Fewest points that are fitted.
LEAST_POINTS = 8
BACKGROUND_TERMS = 10
NEW_LINES_PER_ROUND = 4
#: Lines below this many squared standard deviations are tried without.
DOUBTFUL = 100.0
RESIDUAL_THRESHOLD = 4.0
#: What a fit of all lines together is for.
SEARCH, CHECK, FINAL, POLISH = 0, 1, 2, 3
#: The range, in points, over which a strong line makes its neighbourhood uncertain falls off by this.
MODEL_ERROR_RANGE = 10.0
#: Half of all standard normal values lie within this.
HALF = 0.6744897501960817
#: Correlated noise is taken into account from this factor on.
COLOUR_TAKEN_IN = 1.25
SPLIT_WINDOW = 1.2
SPLIT_EXCESS = 1.0


@jit()
def fit_row(axis: Array, intensity: Array, sigma: Array, plan: Plan, lines_out: Array, fit_out: Array) -> bool:
    """Fit one spectrum.

    Parameters
    ----------
    axis, intensity
        Shape ``(points,)``; NaN where there is no data.
    sigma
        Standard deviations: shape ``(points,)``, ``(1,)``, or ``(0,)`` where they are to be estimated.
    plan
        The settings.
    lines_out
        Shape ``(slots, 11)``: filled with lines by ascending centre, NaN beyond.
    fit_out
        Shape ``(7,)``: the quantities of the whole spectrum.

    Returns
    -------
    bool
        False where there are too few points to fit anything.
    """
    lines_out[:] = np.nan
    fit_out[:] = np.nan
    x, y, weight, noise, saturated, flags = prepare(axis, intensity, sigma, plan.noise)
    n = x.size
    fit_out[0] = 0.0
    fit_out[5] = 0.0
    if n < LEAST_POINTS:
        fit_out[6] = flags | TOO_SHORT | NO_PEAKS
        return False
    scales = filter_scales(x, plan)
    fwhm_low, fwhm_high = width_bounds(x, plan)
    basis, spans = spline_basis(n, BACKGROUND_TERMS if plan.baseline == 2 else 0)
    background = np.zeros(n)
    subtracted = np.zeros(n)
    noise_colour = 1.0
    beta = np.zeros(basis.shape[0])
    if plan.baseline > 0:
        background = first_background(y)
        if plan.baseline == 2:
            beta, _ = fit_linear(background, weight, basis, spans)
            background = background_values(n, basis, spans, beta)
        else:
            y = y - background
            subtracted = background
            background = np.zeros(n)
    controls = Controls(
        plan.shape,
        plan.companion_ratio,
        plan.companion_intensity,
        plan.window,
        LINEAR,
        plan.ftol,
        plan.xtol,
        plan.max_iterations,
    )
    # Trials need not be finished to the last digit: a whole fit follows each round of them.
    loose = Controls(
        plan.shape,
        plan.companion_ratio,
        plan.companion_intensity,
        plan.window,
        LINEAR,
        10.0 * plan.ftol,
        30.0 * plan.xtol,
        12,
    )
    limit = plan.slots + 8
    if plan.model_error > 0.0:
        weight = weight_with_model_error(y - background, weight, plan.model_error)
    found, count = candidates((y - background) * weight, scales, plan.threshold, limit)
    p, low, high = starts(x, found, count, weight, fwhm_low, fwhm_high, plan)
    iterations = 0
    outcome = 0
    stage = SEARCH if plan.select == 1 else FINAL
    while True:
        # One place that fits everything together, whatever the stage: the compiler has it to do once.
        now = loose if stage == SEARCH else controls
        _, steps, outcome = minimise(x, y, weight, p, low, high, basis, spans, beta, now)
        iterations += steps
        if stage == SEARCH:
            colour = residual_colour(x, y, weight, p, basis, spans, beta, controls)
            if colour > COLOUR_TAKEN_IN:
                weight = weight / colour
                noise_colour = colour
                flags |= CORRELATED
            p, low, high = search(
                x, y, weight, p, low, high, basis, spans, beta, scales, fwhm_low, fwhm_high, plan, loose
            )
            stage = CHECK
        elif stage == CHECK:
            recentre(x, p, low, high)
            p, low, high, removed = drop_lines(x, y, weight, p, low, high, basis, spans, beta, plan, loose)
            stage = FINAL
            if not removed and plan.polish == 0:
                break
            if not removed:
                stage = POLISH
        elif stage == FINAL and plan.polish == 1:
            stage = POLISH
        else:
            break
        if stage == POLISH:
            controls = Controls(
                VOIGT,
                plan.companion_ratio,
                plan.companion_intensity,
                plan.window,
                LINEAR,
                plan.ftol,
                plan.xtol,
                plan.max_iterations,
            )
            for i in range(p.size // 4):
                p[4 * i + 3] = lorentz_share(p[4 * i + 3])
            if p.size == 0:
                break
    if outcome == ITERATIONS_USED_UP:
        flags |= MAX_ITER
    count = p.size // 4
    residual, chi2 = weighted_residual(y, model(x, p, count, basis, spans, beta, controls), weight)
    reduced = chi2 / max(n - p.size - beta.size, 1)
    if reduced > 2.0:
        flags |= BAD_CHI2
    whole_background = subtracted + background_values(n, basis, spans, beta)
    kept = write_lines(x, weight, residual, p, low, high, basis, spans, beta, controls, noise, saturated, lines_out)
    if kept < count:
        flags |= CAP
    if kept == 0:
        flags |= NO_PEAKS
    tallest = 0.0
    for i in range(count):
        tallest = max(tallest, p[4 * i + 1])
    fit_out[0] = kept
    fit_out[1] = noise * noise_colour
    fit_out[2] = reduced
    fit_out[3] = tallest / noise_colour
    fit_out[4] = noise * np.sqrt(np.mean(whole_background**2))
    fit_out[5] = iterations
    fit_out[6] = flags
    return True


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
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array]:
    """Add, split and untangle lines until the residual holds no more of them."""
    for _ in range(plan.rounds):
        p, low, high, added = add_lines(
            x, y, weight, p, low, high, basis, spans, beta, scales, fwhm_low, fwhm_high, plan, controls
        )
        if not added:
            break
    recentre(x, p, low, high)
    p, low, high, _ = split_lines(x, y, weight, p, low, high, basis, spans, beta, fwhm_low, fwhm_high, plan, controls)
    untangle_lines(x, y, weight, p, low, high, basis, spans, beta, fwhm_low, fwhm_high, plan, controls)
    p, low, high = sorted_lines(p, low, high)
    recentre(x, p, low, high)
    return p, low, high


@jit()
def weight_with_model_error(signal: Array, weight: Array, share: float) -> Array:
    """Return weights that allow the model to be wrong by a share of the signal nearby.

    No line has exactly the profile that is fitted. Without this, the flanks of a line a thousand times
    stronger than the noise would be taken for dozens of lines.
    """
    n = signal.size
    envelope = np.abs(signal)
    fall = np.exp(-1.0 / MODEL_ERROR_RANGE)
    for i in range(1, n):
        envelope[i] = max(envelope[i], fall * envelope[i - 1])
    for i in range(n - 2, -1, -1):
        envelope[i] = max(envelope[i], fall * envelope[i + 1])
    out = np.empty(n)
    for i in range(n):
        out[i] = weight[i] / np.sqrt(1.0 + (share * envelope[i] * weight[i]) ** 2)
    return out


@jit(inline=True)
def residual_colour(
    x: Array, y: Array, weight: Array, p: Array, basis: Array, spans: Index, beta: Array, controls: Controls
) -> float:
    """Return by how much what is left over scatters more on the scale of lines than from point to point.

    Data that were interpolated or smoothed have correlated noise, whose second differences are too small.
    """
    rest = (y - model(x, p, p.size // 4, basis, spans, beta, controls)) * weight
    return max(
        response_noise(respond(rest, filter_taps(1.5)), 0.5, HALF),
        response_noise(respond(rest, filter_taps(3.0)), 0.5, HALF),
    )


@jit()
def filter_scales(x: Array, plan: Plan) -> Array:
    """Return the detection filters' scales in points: 1.5, 3, 6, and on by octaves while lines may be that wide."""
    _, high = width_bounds(x, plan)
    step = (x[-1] - x[0]) / (x.size - 1)
    widest = min(high / step / 2.3548, x.size / 16.0)
    count = 3
    while count < 6 and 1.5 * 2.0**count <= 0.6 * widest:
        count += 1
    scales = np.empty(count)
    for k in range(count):
        scales[k] = 1.5 * 2.0**k
    return scales


@jit()
def width_bounds(x: Array, plan: Plan) -> tuple[float, float]:
    """Return the least and most FWHM in axis units."""
    step = (x[-1] - x[0]) / (x.size - 1)
    low = max(plan.fwhm_low, 1.5 * step)
    high = plan.fwhm_high if plan.fwhm_high > 0.0 else 60.0 * step
    return low, max(min(high, 0.25 * (x[-1] - x[0])), 2.0 * low)


@jit()
def first_background(y: Array) -> Array:
    """Return a stiff arPLS background, computed on block means where there are many points."""
    n = y.size
    block = max(1, n // 256)
    blocks = n // block
    coarse = np.empty(blocks)
    for b in range(blocks):
        total = 0.0
        for i in range(b * block, (b + 1) * block):
            total += y[i]
        coarse[b] = total / block
    period = 2.0 * blocks / (BACKGROUND_TERMS - 3)
    z = arpls_kernel(coarse, np.ones(blocks), (period / (2.0 * np.pi)) ** 4, 30, 1e-2)
    out = np.empty(n)
    for i in range(n):
        t = (i + 0.5) / block - 0.5
        k = min(max(int(np.floor(t)), 0), blocks - 2)
        u = t - k
        out[i] = (1.0 - u) * z[k] + u * z[k + 1]
    return out


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
        q, _, after, points = refit_with(
            x, freed, weight, p, low, high, members, i, pair, pair_low, pair_high, controls
        )
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
    terms = weighted_terms(x, weight, basis, spans, beta, controls)
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
    plan: Plan,
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
