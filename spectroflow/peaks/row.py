"""One spectrum from data to lines, compiled: the order of the steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.detect import candidates
from spectroflow.peaks.drop import DOUBTFUL, drop_lines, height_significance
from spectroflow.peaks.finish import lorentz_share, write_lines
from spectroflow.peaks.minimise import ITERATIONS_USED_UP, minimise
from spectroflow.peaks.model import LINEAR, Controls
from spectroflow.peaks.prepare import NO_NOISE, prepare
from spectroflow.peaks.profiles import VOIGT
from spectroflow.peaks.search import search
from spectroflow.peaks.settings import Plan
from spectroflow.peaks.spline import (
    BACKGROUND_TERMS,
    background_values,
    first_background,
    fit_linear,
    spline_basis,
)
from spectroflow.peaks.starts import recentre, starts
from spectroflow.peaks.weights import first_weights, residual_colour
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]

NO_PEAKS = 1
MAX_ITER = 2
BAD_CHI2 = 256
CAP = 1024
TOO_SHORT = 8192
CORRELATED = 32768

#: Fewest points that are fitted.
LEAST_POINTS = 8
#: Correlated noise is taken into account from this factor on.
COLOUR_TAKEN_IN = 1.25
#: Above this reduced chi-square something else than lines is in the data, such as a step, and more trials are
#: wasted on it.
HOPELESS = 25.0
#: Trials follow a line for so many widths to each side.
TRIAL_WINDOW = 3.0
#: What a fit of all lines together is for.
SEARCH, CHECK, FINAL, POLISH = 0, 1, 2, 3


@jit()
def fit_rows(axes: Array, intensities: Array, sigma: Array, plan: Plan, lines_out: Array, fit_out: Array) -> None:
    """Fit spectra one after the other.

    Shapes are those of :func:`fit_row` with the spectra in front; ``axes`` may hold one axis for all of them.
    """
    for i in range(intensities.shape[0]):
        fit_row(axes[i % axes.shape[0]], intensities[i], sigma, plan, lines_out[i], fit_out[i])


@jit()
def fit_row(axis: Array, intensity: Array, sigma: Array, plan: Plan, lines_out: Array, fit_out: Array) -> None:
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
    """
    lines_out[:] = np.nan
    fit_out[:] = np.nan
    x, y, weight, noise, saturated, flags = prepare(axis, intensity, sigma, plan.noise)
    n = x.size
    fit_out[0] = 0.0
    fit_out[5] = 0.0
    if n < LEAST_POINTS:
        fit_out[6] = flags | TOO_SHORT | NO_PEAKS
        return
    scales = filter_scales(x, plan)
    fwhm_low, fwhm_high = width_bounds(x, plan)
    basis, spans = spline_basis(n, BACKGROUND_TERMS if plan.baseline == 2 else 0)
    background = np.zeros(n)
    subtracted = np.zeros(n)
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
    # Trials need not be finished to the last digit, nor see far wings: a whole fit follows each round of them.
    loose = Controls(
        plan.shape,
        plan.companion_ratio,
        plan.companion_intensity,
        min(plan.window, TRIAL_WINDOW),
        LINEAR,
        min(10.0 * plan.ftol, 1e-2),
        min(30.0 * plan.xtol, 0.3),
        12,
    )
    # What takes longer than this gets its iterations after the doubtful lines are gone.
    short = Controls(
        plan.shape,
        plan.companion_ratio,
        plan.companion_intensity,
        plan.window,
        LINEAR,
        plan.ftol,
        plan.xtol,
        plan.max_iterations // 2 if plan.drop == 1 else plan.max_iterations,
    )
    limit = plan.slots + 8
    weight, noise_colour = first_weights(y - background, weight, plan.model_error)
    found, count = candidates((y - background) * weight, scales, plan.threshold, limit)
    p, low, high = starts(x, found, count, weight, fwhm_low, fwhm_high, plan)
    iterations = 0
    outcome = 0
    # Data without noise are followed by many lines too many: they go before anything is fitted to the last digit.
    guessed = plan.drop == 1 and flags & NO_NOISE != 0
    stage = SEARCH
    while True:
        # One place that fits everything together, whatever the stage: the compiler has it to do once.
        now = controls
        if stage == SEARCH or (stage == CHECK and guessed):
            now = loose
        elif stage == CHECK:
            now = short
        chi2, steps, outcome, residual, matrix, first = minimise(
            x, y, weight, p, low, high, basis, spans, beta, now, -1.0
        )
        iterations += steps
        if stage == SEARCH:
            rest = residual / weight
            colour = residual_colour(residual)
            if noise_colour > 1.0 or colour > COLOUR_TAKEN_IN:
                colour = max(colour, 1.0 / noise_colour)
                weight = weight / colour
                noise_colour *= colour
            thorough = chi2 < HOPELESS * colour * colour * n
            p, low, high = search(x, rest, weight, p, low, high, scales, fwhm_low, fwhm_high, thorough, plan, loose)
            stage = CHECK
        elif stage == CHECK:
            recentre(x, p, low, high)
            removed = False
            if plan.drop == 1 and p.size > 0:
                significance = height_significance(p, low, high, matrix, first)
                if np.min(significance) < DOUBTFUL:
                    rest = residual / weight
                    p, low, high, removed = drop_lines(x, rest, weight, p, low, high, significance, loose)
            stage = FINAL
            if not removed and not guessed and (outcome != ITERATIONS_USED_UP or plan.drop == 0):
                if plan.polish == 0:
                    break
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
    if noise_colour > 1.0:
        flags |= CORRELATED
    if outcome == ITERATIONS_USED_UP:
        flags |= MAX_ITER
    count = p.size // 4
    reduced = chi2 / max(n - p.size - beta.size, 1)
    if reduced > 2.0:
        flags |= BAD_CHI2
    whole_background = subtracted + background_values(n, basis, spans, beta)
    kept = write_lines(x, p, low, high, matrix, first, controls, noise, saturated, lines_out)
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
