"""The page a person reads.

Describe it with :class:`Page` and its parts; :func:`render_page` makes one HTML file of it that holds all
it shows. :func:`render_spectrum` does the same for a single spectrum with its fit.
"""

from spectroflow.report.figures import spectrum_plot
from spectroflow.report.page import (
    Block,
    Calibration,
    Cell,
    Column,
    Counts,
    Curve,
    Curves,
    Fact,
    Failure,
    MetricRow,
    Metrics,
    Notice,
    Overlay,
    Overlays,
    Page,
    Quarantine,
    Section,
    Series,
    SpectrumPlot,
    Table,
    Value,
)
from spectroflow.report.render import render_page, render_spectrum

__all__ = [
    "Block",
    "Calibration",
    "Cell",
    "Column",
    "Counts",
    "Curve",
    "Curves",
    "Fact",
    "Failure",
    "MetricRow",
    "Metrics",
    "Notice",
    "Overlay",
    "Overlays",
    "Page",
    "Quarantine",
    "Section",
    "Series",
    "SpectrumPlot",
    "Table",
    "Value",
    "render_page",
    "render_spectrum",
    "spectrum_plot",
]
