"""Plots as plain plotly figures.

Colours are names that start with ``$``; the page's script puts the colours of the reader's light or dark
theme in their place. A generated spectrum is dashed and says ``generated`` in its name, here and nowhere else
decided.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.metrics import Reliability
from spectroflow.modality import Modality
from spectroflow.report.page import Curves, Overlay, Series, SpectrumPlot
from spectroflow.report.text import escape

Figure = dict[str, Any]
CYCLE = ("$c1", "$c2", "$c3", "$c4", "$c5", "$c6")


def values(data: npt.ArrayLike, digits: int = 5) -> list[float | None]:
    """Return numbers rounded to significant digits, None for what is not finite."""
    flat = np.asarray(data, dtype=np.float64).ravel()
    return [float(f"{x:.{digits}g}") if np.isfinite(x) else None for x in flat.tolist()]


def trace(
    axis: npt.ArrayLike,
    intensity: npt.ArrayLike,
    name: str,
    colour: str,
    *,
    dash: str = "solid",
    width: float = 1.4,
    **extra: Any,
) -> Figure:
    """Return a line trace."""
    line = {"color": colour, "width": width, "dash": dash}
    # Seven digits, or neighbouring points of a fine axis fall together.
    return {
        "type": "scatter",
        "mode": "lines",
        "x": values(axis, 7),
        "y": values(intensity),
        "name": name,
        "line": line,
        **extra,
    }


def generated_trace(series: Series, intensity: npt.ArrayLike, **extra: Any) -> Figure:
    """Return the trace of a generated spectrum: dashed, and named as generated."""
    name = "generated" if not series.name else f"generated · {series.name}"
    return trace(series.axis, intensity, name, "$generated", dash="dash", width=1.8, **extra)


def overlay(example: Overlay) -> Figure:
    """Return input above, generated and measured below it, and their residual at the bottom."""
    modality, generated = example.modality, np.asarray(example.generated.intensity, dtype=np.float64)
    measured = None if example.measured is None else np.asarray(example.measured.intensity, dtype=np.float64)
    has_input = example.source is not None and example.source_modality is not None
    top = 0.64 if has_input else 1.0
    split = 0.2 if measured is not None else 0.0
    scale = _top(generated)
    traces: list[Figure] = []
    layout: Figure = {
        "xaxis": x_axis(modality, anchor="y2" if measured is not None else "y"),
        "yaxis": {
            "domain": [split + (0.02 if split else 0), top],
            "title": {"text": "share of maximum"},
            "zeroline": False,
        },
        "height": 300 + 150 * has_input + 70 * (measured is not None),
    }
    if example.uncertainty is not None:
        sigma = np.asarray(example.uncertainty, dtype=np.float64)
        shared = {"hoverinfo": "skip", "line": {"width": 0}, "showlegend": False}
        low = trace(example.generated.axis, (generated - sigma) / scale, "", "$generated")
        high = trace(example.generated.axis, (generated + sigma) / scale, "", "$generated")
        traces += [{**low, **shared}, {**high, **shared, "fill": "tonexty", "fillcolor": "$band"}]
    if measured is not None and example.measured is not None:
        name = f"measured {example.measured.name}".strip()
        traces.append(trace(example.measured.axis, measured / _top(measured), name, "$measured"))
        residual = measured / _top(measured) - generated / scale
        traces.append(
            trace(
                example.measured.axis,
                residual,
                "measured − generated",
                "$residual",
                yaxis="y2",
                showlegend=False,
                width=1.1,
            )
        )
        layout["yaxis2"] = {
            "domain": [0.0, split - 0.03],
            "title": {"text": "residual"},
            "zeroline": True,
            "nticks": 3,
        }
    traces.append(generated_trace(example.generated, generated / scale))
    if has_input and example.source is not None and example.source_modality is not None:
        name = f"input · {example.source_modality.title} {example.source.name}".strip()
        given = np.asarray(example.source.intensity, dtype=np.float64)
        traces.append(trace(example.source.axis, given / _top(given), name, "$input", xaxis="x2", yaxis="y3"))
        layout["xaxis2"] = x_axis(example.source_modality, anchor="y3")
        layout["yaxis3"] = {
            "domain": [0.83, 1.0],
            "anchor": "x2",
            "title": {"text": "input"},
            "zeroline": False,
            "nticks": 3,
        }
    return {"data": traces, "layout": layout}


def spectrum(plot: SpectrumPlot) -> Figure:
    """Return a spectrum with baseline, model, lines and residual."""
    axis = np.asarray(plot.axis, dtype=np.float64)
    intensity = np.asarray(plot.intensity, dtype=np.float64)
    modality = plot.modality
    has_model = plot.model is not None
    low = 0.2 if has_model else 0.0
    layout: Figure = {
        "xaxis": x_axis(modality, anchor="y2" if has_model else "y"),
        "yaxis": {
            "domain": [low + (0.03 if low else 0), 1.0],
            "title": {"text": modality.intensity_label},
            "zeroline": False,
        },
        "height": 520,
    }
    traces: list[Figure] = []
    baseline = np.zeros(len(axis)) if plot.baseline is None else np.asarray(plot.baseline, dtype=np.float64)
    if plot.line_curves is not None:
        for index, curve in enumerate(np.atleast_2d(np.asarray(plot.line_curves, dtype=np.float64))):
            seen = curve > 1e-3 * np.nanmax(curve, initial=0.0)
            part = np.where(seen, baseline + curve, np.nan)
            shown: Figure = {"legendgroup": "lines", "showlegend": index == 0, "hoverinfo": "skip"}
            traces.append(trace(axis[seen], part[seen], "fitted lines", "$line", width=0.9, **shown))
    if plot.origin == "generated":
        traces.append(generated_trace(Series(axis, intensity), intensity))
    else:
        traces.append(trace(axis, intensity, plot.origin, "$measured", width=1.2))
    if plot.baseline is not None:
        traces.append(trace(axis, baseline, "baseline", "$baseline", dash="dot", width=1.4))
    if plot.model is not None:
        model = np.asarray(plot.model, dtype=np.float64)
        traces.append(trace(axis, model, "fit", "$input", width=1.4))
        traces.append(trace(axis, intensity - model, "residual", "$residual", width=1.0, yaxis="y2", showlegend=False))
        layout["yaxis2"] = {"domain": [0.0, low - 0.02], "title": {"text": "residual"}, "zeroline": True, "nticks": 3}
    centers = _centers(plot)
    if len(centers):
        height = np.interp(centers, axis[np.isfinite(intensity)], intensity[np.isfinite(intensity)])
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": values(centers, 7),
                "y": values(height),
                "name": "line centres",
                "marker": {"symbol": "triangle-down", "size": 7, "color": "$input"},
            }
        )
    return {"data": traces, "layout": layout}


def curves(plot: Curves) -> Figure:
    """Return curves over a common axis."""
    traces = [
        trace(
            curve.x, curve.y, curve.name, CYCLE[index % len(CYCLE)], dash="dash" if curve.dashed else "solid", width=1.8
        )
        for index, curve in enumerate(plot.curves)
    ]
    layout = {
        "xaxis": {"title": {"text": plot.x_title}},
        "yaxis": {"title": {"text": plot.y_title}, "type": "log" if plot.log_y else "linear"},
        "height": 340,
    }
    return {"data": traces, "layout": layout}


def calibration(reliabilities: Sequence[tuple[str, Reliability]], outcome: str) -> Figure:
    """Return outcome against confidence, with the diagonal of honest confidence and the rows of each bin."""
    traces: list[Figure] = [
        trace([0, 1], [0, 1], "honest confidence", "$muted", dash="dot", hoverinfo="skip"),
    ]
    for index, (name, table) in enumerate(reliabilities):
        colour = CYCLE[index % len(CYCLE)]
        shown = np.array(table.counts) > 0
        one = trace(table.mean_confidence[shown], table.mean_outcome[shown], name, colour, legendgroup=name)
        traces.append({**one, "mode": "lines+markers", "marker": {"size": 8, "color": colour}})
        middles = (np.arange(len(table.counts)) + 0.5) / len(table.counts)
        traces.append(
            {
                "type": "bar",
                "x": values(middles),
                "y": list(table.counts),
                "yaxis": "y2",
                "name": f"{name}: spectra",
                "legendgroup": name,
                "showlegend": False,
                "marker": {"color": colour, "opacity": 0.7},
            }
        )
    layout = {
        "xaxis": {"title": {"text": "confidence"}, "range": [0, 1], "anchor": "y2"},
        "yaxis": {"domain": [0.3, 1.0], "range": [0, 1.02], "title": {"text": outcome}},
        "yaxis2": {"domain": [0.0, 0.22], "title": {"text": "spectra"}, "nticks": 3},
        "barmode": "group",
        "height": 420,
    }
    return {"data": traces, "layout": layout}


def x_axis(modality: Modality, **extra: Any) -> Figure:
    """Return a modality's axis, from high to low where people draw it so."""
    direction = {"autorange": "reversed"} if modality.reversed else {}
    return {"title": {"text": modality.axis_label, "standoff": 4}, "zeroline": False, **direction, **extra}


def element(figure: Figure, label: str, identifier: str) -> str:
    """Return the HTML that the page's script draws ``figure`` into; ``label`` is read to people who cannot see it."""
    # "<" must not stand in a script element, whatever text a file brought along.
    data = (
        json.dumps(figure, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    )
    height = int(figure["layout"].get("height", 340))
    return (
        f'<div class="plot" id="{escape(identifier)}" role="img" aria-label="{escape(label)}"'
        f' style="min-height:{height}px">'
        f'<script type="application/json">{data}</script><noscript>This plot needs JavaScript.</noscript></div>'
    )


def _centers(plot: SpectrumPlot) -> npt.NDArray[np.float64]:
    if plot.lines is None or "center" not in plot.parameters:
        return np.zeros(0)
    table = np.atleast_2d(np.asarray(plot.lines, dtype=np.float64))
    if table.size == 0:
        return np.zeros(0)
    centers = table[:, list(plot.parameters).index("center")]
    return np.asarray(centers[np.isfinite(centers)])


def _top(intensity: npt.NDArray[np.float64]) -> float:
    finite = intensity[np.isfinite(intensity)]
    top = float(finite.max(initial=0.0)) if len(finite) else 0.0
    return top if top > 0 else 1.0
