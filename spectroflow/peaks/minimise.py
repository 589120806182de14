"""The least-squares kernel: Levenberg-Marquardt within bounds, with windows of influence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.model import EXPONENTIAL, Controls, companion, line_derivatives, model, weighted_residual
from spectroflow.peaks.normal import cross_block, dot, factor, mixed_block, self_block, solve
from spectroflow.peaks.profiles import reach
from spectroflow.peaks.spline import terms_block, weighted_basis
from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: A trial is given up where so many more steps like the last one would not do.
HOPELESS_STEPS = 6.0
#: A trial is decided where the last step brought less than this share of what is to spare.
CLEAR_SHARE = 0.1

CONVERGED = 0
ITERATIONS_USED_UP = 1


@jit()
def weighted_terms(x: Array, weight: Array, basis: Array, spans: Index, beta: Array, controls: Controls) -> Array:
    """Return the derivatives by the background's coefficients, times the weights; only within ``spans``."""
    if controls.background != EXPONENTIAL:
        return weighted_basis(basis, spans, weight)
    out = np.empty((beta.size, x.size))
    for i in range(x.size):
        value = np.exp(-beta[1] * x[i]) * weight[i]
        out[0, i] = value
        out[1, i] = -beta[0] * x[i] * value
    return out


@jit()
def assemble(
    x: Array,
    weight: Array,
    residual: Array,
    p: Array,
    terms: Array,
    block: Array,
    spans: Index,
    controls: Controls,
) -> tuple[Array, Array, Index]:
    """Return the normal matrix (lower triangle, within its envelope), the gradient ``J'r`` and the envelope.

    ``terms`` and ``block`` are what :func:`weighted_terms` and :func:`terms_block` return.
    """
    lines = p.size // 4
    size = p.size + terms.shape[0]
    matrix = np.zeros((size, size))
    gradient = np.zeros(size)
    first = np.zeros(size, np.int64)
    start = np.empty(lines, np.int64)
    stop = np.empty(lines, np.int64)
    offset = np.zeros(lines + 1, np.int64)
    for i in range(lines):
        c, w = p[4 * i], p[4 * i + 2]
        right = c
        if controls.companion_intensity > 0.0:
            right, _ = companion(c, controls.companion_ratio)
        a, b = reach(x, c - controls.window * w, right + controls.window * w)
        start[i], stop[i] = a, max(b, a)
        offset[i + 1] = offset[i] + 4 * (stop[i] - start[i])
    store = np.empty(offset[lines])
    for i in range(lines):
        a, b = start[i], stop[i]
        jac = store[offset[i] : offset[i + 1]]
        line_derivatives(x[a:b], weight[a:b], p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3], controls, jac)
        self_block(jac, residual[a:b], matrix, gradient, 4 * i)
        earliest = i
        for j in range(i - 1, -1, -1):
            low = max(a, start[j])
            high = min(b, stop[j])
            if high > low:
                other = store[offset[j] : offset[j + 1]]
                cross_block(jac, other, low - a, low - start[j], high - low, matrix, 4 * i, 4 * j)
                earliest = j
        for k in range(4):
            first[4 * i + k] = 4 * earliest
    for k in range(terms.shape[0]):
        row = terms[k]
        at = p.size + k
        gradient[at] = dot(row[spans[k, 0] : spans[k, 1]], residual[spans[k, 0] : spans[k, 1]])
        for j in range(k + 1):
            matrix[at, p.size + j] = block[k, j]
        for j in range(lines):
            a = max(spans[k, 0], start[j])
            b = min(spans[k, 1], stop[j])
            if b > a:
                mixed_block(store[offset[j] : offset[j + 1]], a - start[j], row[a:b], matrix, at, 4 * j)
    return matrix, gradient, first


@jit()
def bounded_step(
    matrix: Array, gradient: Array, first: Index, size: int, damping: float, p: Array, low: Array, high: Array
) -> tuple[Array, bool]:
    """Return the damped step that stays within the bounds, and whether it could be computed.

    Parameters that would leave their bounds are put on them, and the others are solved for again with
    that given. ``p``, ``low`` and ``high`` cover the bounded parameters only; the rest is free.
    """
    bounded = p.size
    fixed = np.zeros(size, np.bool_)
    step = np.zeros(size)
    for i in range(bounded):
        if (p[i] <= low[i] and gradient[i] <= 0.0) or (p[i] >= high[i] and gradient[i] >= 0.0):
            fixed[i] = True
    work = np.empty((size, size))
    for _ in range(5):
        for i in range(size):
            row = work[i]
            source = matrix[i]
            for j in range(first[i] // 4 * 4, i + 1):
                row[j] = source[j]
            row[i] += damping * source[i]
        right = gradient.copy()
        for i in range(size):
            if fixed[i]:
                d = step[i]
                for j in range(first[i], i):
                    right[j] -= work[i, j] * d
                    work[i, j] = 0.0
                for j in range(i + 1, size):
                    if first[j] <= i:
                        right[j] -= work[j, i] * d
                        work[j, i] = 0.0
                work[i, i] = 1.0
                right[i] = d
            elif work[i, i] <= 0.0:
                work[i, i] = 1.0
                right[i] = 0.0
        for i in range(size):
            if fixed[i]:
                right[i] = step[i]
        if not factor(work, first, size):
            return step, False
        solve(work, first, size, right)
        again = False
        for i in range(bounded):
            if fixed[i]:
                continue
            if p[i] + right[i] < low[i]:
                step[i] = low[i] - p[i]
                fixed[i] = True
                again = True
            elif p[i] + right[i] > high[i]:
                step[i] = high[i] - p[i]
                fixed[i] = True
                again = True
        if not again:
            return right, True
    for i in range(bounded):
        right[i] = min(max(right[i], low[i] - p[i]), high[i] - p[i])
    return right, True


@jit()
def predicted_decrease(matrix: Array, gradient: Array, first: Index, size: int, step: Array) -> float:
    """Return by how much the linear model lowers the sum of squares along ``step``."""
    total = 0.0
    for i in range(size):
        row = matrix[i]
        inner = 0.0
        for j in range(first[i], i):
            inner += row[j] * step[j]
        total += step[i] * (2.0 * gradient[i] - row[i] * step[i] - 2.0 * inner)
    return total


@jit()
def minimise(
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
    needed: float,
) -> tuple[float, int, int, Array, Array, Index]:
    """Fit lines and background together; ``p`` and ``beta`` are changed in place.

    Levenberg-Marquardt with the damping of H. B. Nielsen (1999), scaled by the diagonal of the normal
    matrix.

    Parameters
    ----------
    x, y, weight
        Shape ``(points,)``: axis, data and reciprocal standard deviations.
    p, low, high
        Shape ``(4 lines,)``: centre, height, width and shape of each line, and their bounds.
    basis, spans, beta
        Background terms ``(terms, points)``, the range of points where each differs from zero, and their
        coefficients.
    needed
        Only whether chi-square gets below this matters: stop as soon as that is clear. Negative: go on to the end.

    Returns
    -------
    chi2, iterations, outcome, residual, matrix, first
        The residual is weighted; the last two are the normal matrix (lower triangle) and its envelope where the last
        step began.
    """
    lines = p.size // 4
    size = p.size + beta.size
    for i in range(p.size):
        p[i] = min(max(p[i], low[i]), high[i])
    residual, chi2 = weighted_residual(y, model(x, p, lines, basis, spans, beta, controls), weight)
    if size == 0:
        return chi2, 0, CONVERGED, residual, np.zeros((0, 0)), np.zeros(0, np.int64)
    damping = 1e-3
    growth = 2.0
    terms = weighted_terms(x, weight, basis, spans, beta, controls)
    block = terms_block(terms, spans)
    matrix, gradient, first = assemble(x, weight, residual, p, terms, block, spans, controls)
    trial = p.copy()
    trial_beta = beta.copy()
    for iteration in range(controls.max_iterations):
        step, solved = bounded_step(matrix, gradient, first, size, damping, p, low, high)
        if solved:
            expected = predicted_decrease(matrix, gradient, first, size, step)
            for i in range(p.size):
                trial[i] = min(max(p[i] + step[i], low[i]), high[i])
            for k in range(beta.size):
                trial_beta[k] = beta[k] + step[p.size + k]
            new_residual, new_chi2 = weighted_residual(
                y, model(x, trial, lines, basis, spans, trial_beta, controls), weight
            )
            gain = chi2 - new_chi2
            if gain > 0.0 and expected > 0.0:
                p[:] = trial
                beta[:] = trial_beta
                residual = new_residual
                done = gain < controls.ftol * chi2 or expected < controls.xtol
                chi2 = new_chi2
                if needed >= 0.0:
                    short = chi2 - needed
                    done = done or short > HOPELESS_STEPS * gain or gain < -CLEAR_SHARE * short
                if done:
                    return chi2, iteration + 1, CONVERGED, residual, matrix, first
                ratio = min(gain / expected, 1.0)
                damping = max(damping * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), 1e-12)
                growth = 2.0
                if controls.background == EXPONENTIAL:
                    terms = weighted_terms(x, weight, basis, spans, beta, controls)
                    block = terms_block(terms, spans)
                matrix, gradient, first = assemble(x, weight, residual, p, terms, block, spans, controls)
                continue
            if expected < controls.xtol or abs(gain) <= 1e-13 * chi2:
                return chi2, iteration + 1, CONVERGED, residual, matrix, first
        damping *= growth
        growth *= 2.0
        if damping > 1e12:
            return chi2, iteration + 1, CONVERGED, residual, matrix, first
    return chi2, controls.max_iterations, ITERATIONS_USED_UP, residual, matrix, first


if not COMPILED:
    from spectroflow.peaks import plain

    globals().update(
        bounded_step=plain.bounded_step,
        predicted_decrease=plain.predicted_decrease,
    )
