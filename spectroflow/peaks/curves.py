"""What a plot of a fitted spectrum shows: background, lines, their sum, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.parameters import LINE_PARAMETERS, Flag
from spectroflow.peaks.settings import FitSettings
from spectroflow.peaks.shapes import render

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curves:
    """A spectrum and its parts, all ``(points,)`` on the spectrum's own axis, in its own unit.

    Attributes
    ----------
    axis, intensity
        As given, without points that are not finite.
    background
        The background that belongs to the lines.
    fitted
        Background plus lines.
    residual
        Intensity minus ``fitted``.
    components
        Each line by itself, without the background: ``(lines, points)``.
    labels
        Per line, the names of its flags; empty where there are none.
    """

    axis: Array
    intensity: Array
    background: Array
    fitted: Array
    residual: Array
    components: Array
    labels: tuple[str, ...]


def background(axis: npt.ArrayLike, intensity: npt.ArrayLike, lines: npt.ArrayLike, settings: FitSettings) -> Array:
    """Return the background of a spectrum whose lines are known.

    The background is linear in its coefficients, so that the lines decide it: this is the one that was
    fitted together with them, and need not be stored.

    Parameters
    ----------
    axis, intensity
        Shape ``(points,)``; values that are not finite are left out.
    lines
        Shape ``(lines, parameters)``, as a fit returns them; NaN rows are unused slots.
    settings
        Those of the fit.

    Returns
    -------
    array
        Shape ``(points,)``; NaN where the axis is not finite, 0 everywhere without a background.
    """
    from spectroflow.peaks.prepare import prepare
    from spectroflow.peaks.spline import (
        BACKGROUND_TERMS,
        background_values,
        first_background,
        fit_linear,
        spline_basis,
    )
    from spectroflow.peaks.weights import first_weights

    x, y = np.asarray(axis, dtype=np.float64), np.asarray(intensity, dtype=np.float64)
    out = np.where(np.isfinite(x), 0.0, np.nan)
    plan = settings.plan()
    xs, ys, weight, noise, _, _ = prepare(np.ascontiguousarray(x), np.ascontiguousarray(y), np.zeros(0), plan.noise)
    if settings.baseline == "none" or xs.size < 8:
        return out
    values = first_background(ys)
    if settings.baseline == "spline":
        basis, spans = spline_basis(xs.size, BACKGROUND_TERMS)
        beta, _ = fit_linear(values, weight, basis, spans)
        weight, _ = first_weights(ys - background_values(xs.size, basis, spans, beta), weight, plan.model_error)
        rest = ys - render(xs, lines, settings.rendered_shape, settings.wavelengths) / noise
        beta, _ = fit_linear(rest, weight, basis, spans)
        values = background_values(xs.size, basis, spans, beta)
    known = np.isfinite(x)
    out[known] = np.interp(x[known], xs, values * noise)
    return out


def curves(axis: npt.ArrayLike, intensity: npt.ArrayLike, lines: npt.ArrayLike, settings: FitSettings) -> Curves:
    """Return everything that a plot of a fitted spectrum shows.

    Parameters
    ----------
    axis, intensity, lines, settings
        As for :func:`background`.
    """
    x, y = np.asarray(axis, dtype=np.float64), np.asarray(intensity, dtype=np.float64)
    usable = np.isfinite(x) & np.isfinite(y)
    table = np.asarray(lines, dtype=np.float64).reshape(-1, len(LINE_PARAMETERS))
    table = table[np.isfinite(table[:, 0])]
    below = background(x, y, table, settings)[usable]
    x, y = x[usable], y[usable]
    parts = [render(x, row, settings.rendered_shape, settings.wavelengths) for row in table]
    components = np.array(parts).reshape(len(table), x.size)
    fitted = below + components.sum(axis=0)
    flags = table[:, LINE_PARAMETERS.index("flags")]
    labels = tuple(", ".join(f.name or "" for f in Flag(int(v))) for v in flags)
    return Curves(x, y, below, fitted, y - fitted, components, labels)
