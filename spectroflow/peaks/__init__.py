"""Lines of a spectrum: detected, fitted, with honest uncertainties.

>>> from spectroflow import peaks
>>> result = peaks.fit(axis, intensity)
>>> result.column("center")

Importing this package compiles nothing; the first fit loads the kernels, from disk if they were
compiled before.
"""

from __future__ import annotations

from spectroflow.peaks.api import BatchFit, Fit, fit, fit_batch, warm_up
from spectroflow.peaks.curves import Curves, background, curves
from spectroflow.peaks.parameters import FIT_QUANTITIES, LINE_PARAMETERS, Flag
from spectroflow.peaks.refine import Refined, refine
from spectroflow.peaks.settings import FitSettings, settings_for
from spectroflow.peaks.shapes import area, gauss_and_lorentz_widths, profile, render, thompson_cox_hastings

__all__ = [
    "FIT_QUANTITIES",
    "LINE_PARAMETERS",
    "BatchFit",
    "Curves",
    "Fit",
    "FitSettings",
    "Flag",
    "Refined",
    "area",
    "background",
    "curves",
    "fit",
    "fit_batch",
    "gauss_and_lorentz_widths",
    "profile",
    "refine",
    "render",
    "settings_for",
    "thompson_cox_hastings",
    "warm_up",
]
