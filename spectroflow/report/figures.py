"""One spectrum with its fit, made ready to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_lsq_spline

from spectroflow.modality import LineShape, Modality
from spectroflow.peaks import FIT_QUANTITIES, LINE_PARAMETERS, Flag, render
from spectroflow.report.page import Fact, Origin, SpectrumPlot, Value

Array = npt.NDArray[np.float64]
_TERMS = 12  # of the spline that stands for the background under known lines
_UNITS = {"noise_sigma": "intensity", "baseline_rms": "intensity"}
_TITLES = {
    "lines": "Lines",
    "noise_sigma": "Noise (1σ)",
    "chi2_reduced": "Reduced χ²",
    "snr": "Signal to noise",
    "baseline_rms": "Baseline (rms)",
    "iterations": "Iterations",
}


def spectrum_plot(
    title: str,
    modality: Modality,
    axis: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    origin: Origin = "measured",
    lines: npt.ArrayLike | None = None,
    quantities: Mapping[str, float] | Sequence[float] | None = None,
    baseline: npt.ArrayLike | None = None,
    shape: LineShape | None = None,
    flags: Sequence[str] = (),
    facts: Sequence[Fact] = (),
    source: str = "",
) -> SpectrumPlot:
    """Return the description of a plot of one spectrum.

    Parameters
    ----------
    axis, intensity
        As in the archive, shape ``(n,)``; points where either is not finite are left out.
    origin
        A generated spectrum is drawn dashed and named so.
    lines
        A row of a lines layer, shape ``(slots, len(LINE_PARAMETERS))``; unused slots are NaN.
    quantities
        The same row of the fit array, by :data:`spectroflow.peaks.FIT_QUANTITIES` or in its order.
    baseline
        Background on the points of ``axis``. By default a smooth curve through what is left when the lines
        are taken away.
    shape
        Profile of the lines; the modality's by default.
    flags
        Further flags to name, such as those of the record.
    """
    x, y = np.asarray(axis, dtype=np.float64), np.asarray(intensity, dtype=np.float64)
    use = np.isfinite(x) & np.isfinite(y)
    x, y = x[use], y[use]
    given = None if baseline is None else np.asarray(baseline, dtype=np.float64)[use]
    names, numbers = _quantities(quantities, modality)
    if lines is None:
        return SpectrumPlot(
            title,
            modality,
            x,
            y,
            origin,
            baseline=given,
            flags=[*flags, *names],
            facts=[*facts, *numbers],
            source=source,
        )
    table = np.atleast_2d(np.asarray(lines, dtype=np.float64))
    table = table[np.isfinite(table[:, 0])] if table.size else np.zeros((0, len(LINE_PARAMETERS)))
    profile = shape or modality.line_shape
    curves = np.zeros((len(table), len(x)))
    for row, line in enumerate(table):
        curves[row] = render(x, line[None, :], profile, modality.wavelengths)
    drawn = curves.sum(axis=0)
    under = background(y - drawn) if given is None else given
    return SpectrumPlot(
        title,
        modality,
        x,
        y,
        origin,
        lines=table,
        parameters=LINE_PARAMETERS,
        baseline=under,
        model=under + drawn,
        line_curves=curves if len(table) else None,
        flags=[*flags, *names],
        facts=[*facts, *numbers],
        source=source,
    )


def background(rest: Array, rounds: int = 6) -> Array:
    """Return a smooth curve through ``rest``, shape ``(n,)``, that outliers do not pull away.

    A least-squares cubic spline with even knots, reweighted by Huber's rule at 1.5 median deviations.
    """
    place = np.arange(len(rest), dtype=np.float64)
    terms = min(_TERMS, len(rest) // 8)
    if terms < 4:
        return np.full(len(rest), float(np.median(rest)) if len(rest) else 0.0)
    inner = np.linspace(0, len(rest) - 1, terms - 2)[1:-1]
    knots = np.concatenate([np.zeros(4), inner, np.full(4, float(len(rest) - 1))])
    weight = np.ones(len(rest))
    curve = np.zeros(len(rest))
    for _ in range(rounds):
        curve = make_lsq_spline(place, rest, knots, w=weight)(place)
        distance = np.abs(rest - curve)
        limit = 1.5 * 1.4826 * float(np.median(distance))
        if limit <= 0:
            break
        weight = np.minimum(1.0, np.sqrt(limit / np.maximum(distance, 1e-300)))
    return np.asarray(curve)


def _quantities(
    quantities: Mapping[str, float] | Sequence[float] | None, modality: Modality
) -> tuple[list[str], list[Fact]]:
    """Return the names of the fit's flags and its figures as facts."""
    if quantities is None:
        return [], []
    table = (
        dict(quantities)
        if isinstance(quantities, Mapping)
        else dict(zip(FIT_QUANTITIES, (float(value) for value in quantities), strict=True))
    )
    bits = table.get("flags", 0.0)
    flags = [flag.name or "" for flag in Flag(int(bits))] if np.isfinite(bits) else []
    numbers = []
    for name, title in _TITLES.items():
        value = float(table.get(name, np.nan))
        if np.isfinite(value):
            unit = modality.intensity_unit if name in _UNITS else ""
            whole = name in ("lines", "iterations")
            numbers.append(Fact(title, Value(int(value) if whole else value, unit), "fit"))
    return flags, numbers
