"""Fitting lines from given starts: the least-squares kernel without the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError
from spectroflow.peaks.parameters import LINE_PARAMETERS
from spectroflow.peaks.settings import SHAPES, Shape
from spectroflow.peaks.shapes import lorentz_share

Array = npt.NDArray[np.float64]

#: Gauss-Newton steps that follow the minimiser, until parameters change by less than rounding.
POLISHING_STEPS = 25


@dataclass(frozen=True, slots=True)
class Refined:
    """Lines and background after a fit from given starts.

    Attributes
    ----------
    lines
        float64 ``(lines, parameters)`` as in :data:`LINE_PARAMETERS`, in the order of the starts' centres.
    background
        Coefficients of the background, ``(terms,)``.
    chi2
        Weighted sum of squared residuals.
    iterations
        Steps that were tried.
    converged
        False where the iterations were used up.
    """

    lines: Array
    background: Array
    chi2: float
    iterations: int
    converged: bool


def refine(
    axis: npt.ArrayLike,
    intensity: npt.ArrayLike,
    starts: npt.ArrayLike,
    *,
    shape: Shape = "pseudo-voigt",
    bounds: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    sigma: npt.ArrayLike = 1.0,
    background: Literal["none", "exponential"] | npt.ArrayLike = "none",
    background_start: npt.ArrayLike = (),
    wavelengths: tuple[float, float, float] | None = None,
    window: float = 8.0,
    ftol: float = 1e-4,
    xtol: float = 1e-3,
    max_iterations: int = 30,
    exact: bool = False,
) -> Refined:
    """Fit lines and background from given starts.

    Parameters
    ----------
    axis, intensity
        Shape ``(points,)``, finite, the axis ascending.
    starts
        Shape ``(lines, 4)``: centre, height, FWHM, Lorentzian fraction.
    shape
        Line profile.
    bounds
        Least and most of ``starts``, each of its shape. Default: the centre within one width of its start, the
        width between a tenth and ten times its start, height not negative, the fraction in [0, 1].
    sigma
        Standard deviation of the noise: one, or one per point.
    background
        ``none``; ``exponential`` for ``b0 exp(-b1 x)``; or an array ``(terms, points)`` of functions to combine.
    background_start
        First values of its coefficients.
    wavelengths
        K-alpha-1, K-alpha-2 and their intensity ratio.
    window
        Reach of a line's derivatives in units of its width. Numbers below infinity save time and cost
        exactness.
    ftol, xtol, max_iterations
        When to stop: a smaller share of chi-square gained; a smaller predicted gain; so many steps.
    exact
        Use all points for every derivative and go on until parameters change by no more than rounding.

    Returns
    -------
    Refined

    Raises
    ------
    UsageError
        The arrays do not fit together or hold values that are not finite.
    """
    from spectroflow.peaks.finish import write_lines
    from spectroflow.peaks.minimise import CONVERGED, assemble, bounded_step, minimise, weighted_terms
    from spectroflow.peaks.model import EXPONENTIAL, LINEAR, Controls, model, weighted_residual
    from spectroflow.peaks.spline import terms_block

    x = np.ascontiguousarray(axis, dtype=np.float64)
    y = np.ascontiguousarray(intensity, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not np.all(np.isfinite(y)) or not np.all(np.diff(x) >= 0):
        raise UsageError("the axis must ascend and match finite intensities", remedy="Use fit() for data as measured.")
    table = np.atleast_2d(np.array(starts, dtype=np.float64))
    if table.shape[1:] != (4,):
        raise UsageError(f"starts have shape {table.shape}", remedy="Give (lines, 4): centre, height, fwhm, fraction.")
    if shape not in SHAPES:
        raise UsageError(f"there is no line shape {shape!r}", remedy=f"Use one of {', '.join(SHAPES)}.")
    if bounds is None:
        low = np.column_stack(
            (table[:, 0] - table[:, 2], np.zeros(len(table)), 0.1 * table[:, 2], np.zeros(len(table)))
        )
        high = np.column_stack(
            (table[:, 0] + table[:, 2], np.full(len(table), np.inf), 10 * table[:, 2], np.ones(len(table)))
        )
    else:
        low, high = (np.broadcast_to(np.asarray(b, dtype=np.float64), table.shape).copy() for b in bounds)
    if shape in ("gaussian", "lorentzian"):
        table[:, 3] = low[:, 3] = high[:, 3] = 0.0 if shape == "gaussian" else 1.0
    if shape == "voigt":
        table[:, 3], low[:, 3], high[:, 3] = (lorentz_share(column[:, 3]) for column in (table, low, high))
    order = np.argsort(table[:, 0], kind="stable")
    p, low, high = (np.ascontiguousarray(a[order]).ravel() for a in (table, low, high))
    weight = np.broadcast_to(1.0 / np.asarray(sigma, dtype=np.float64), y.shape).copy()
    beta = np.atleast_1d(np.array(background_start, dtype=np.float64))
    kind = LINEAR
    if isinstance(background, str):
        if background == "exponential":
            kind = EXPONENTIAL
        elif background != "none":
            raise UsageError(f"there is no background {background!r}", remedy="Use none, exponential or an array.")
        basis = np.zeros((beta.size, y.size))
    else:
        basis = np.atleast_2d(np.ascontiguousarray(background, dtype=np.float64))
        if beta.size == 0:
            beta = np.zeros(basis.shape[0])
    if basis.shape != (beta.size, y.size) or (kind == EXPONENTIAL and beta.size != 2):
        raise UsageError("the background's start does not match its terms", remedy="Give one value per term.")
    spans = np.tile(np.array([[0, y.size]], dtype=np.int64), (beta.size, 1))
    first, second, share = wavelengths or (1.0, 1.0, 0.0)
    controls = Controls(
        shape=1 if shape == "voigt" else 0,
        companion_ratio=second / first,
        companion_intensity=share,
        window=1e9 if exact else window,
        background=kind,
        ftol=0.0 if exact else ftol,
        xtol=0.0 if exact else xtol,
        max_iterations=max(max_iterations, 500) if exact else max_iterations,
    )
    chi2, iterations, outcome, _, _, _ = minimise(x, y, weight, p, low, high, basis, spans, beta, controls, -1.0)
    for _ in range(POLISHING_STEPS if exact else 0):
        # Close to the minimum chi-square is flat to rounding; the step itself still says where to go.
        residual, _ = weighted_residual(y, model(x, p, len(table), basis, spans, beta, controls), weight)
        terms = weighted_terms(x, weight, basis, spans, beta, controls)
        matrix, gradient, envelope = assemble(x, weight, residual, p, terms, terms_block(terms, spans), spans, controls)
        step, solved = bounded_step(matrix, gradient, envelope, gradient.size, 0.0, p, low, high)
        whole = np.concatenate((p, beta))
        change = np.max(np.abs(step) / np.maximum(np.abs(whole), 1e-300))
        if not solved or not change < 1e-2:
            break
        p = np.clip(p + step[: p.size], low, high)
        beta = beta + step[p.size :]
        if change < 1e-14:
            break
    residual, chi2 = weighted_residual(y, model(x, p, len(table), basis, spans, beta, controls), weight)
    terms = weighted_terms(x, weight, basis, spans, beta, controls)
    matrix, _, envelope = assemble(x, weight, residual, p, terms, terms_block(terms, spans), spans, controls)
    lines = np.full((len(table), len(LINE_PARAMETERS)), np.nan)
    write_lines(x, p, low, high, matrix, envelope, controls, 1.0, np.zeros(0), lines)
    return Refined(lines, beta, float(chi2), int(iterations), outcome == CONVERGED)
