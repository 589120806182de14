"""The plot of one spectrum with its fit."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow import peaks, simulate
from spectroflow.config import SimulateConfig
from spectroflow.modality import builtin
from spectroflow.report import plots, render_spectrum, spectrum_plot
from spectroflow.report.figures import background

MODALITY = builtin()
CONFIG = SimulateConfig(materials=6, samples=1, snr=200)


@pytest.mark.parametrize("modality", ["raman", "xrd"])
def test_model_follows_a_real_fit(modality):
    one = simulate.spectrum(3, 0, modality, CONFIG)
    fit = peaks.fit(one.axis, one.intensity, modality=MODALITY[modality])
    plot = spectrum_plot(
        "A fit",
        MODALITY[modality],
        one.axis,
        one.intensity,
        origin="simulated",
        lines=fit.lines,
        quantities=fit.quantities,
    )
    noise = np.median(np.abs(one.intensity - one.clean)) * 1.4826
    assert np.median(np.abs(plot.model - one.clean)) < noise
    assert np.abs(np.median(plot.baseline - one.background)) < 2 * noise
    assert np.allclose(np.asarray(plot.line_curves).sum(axis=0) + plot.baseline, plot.model)
    html = render_spectrum(plot)
    assert "This spectrum is simulated, not measured." in html
    assert f"Fitted lines ({len(fit.lines)})" in html
    assert all(flag.name in html for flag in fit.flags)


def test_unused_slots_and_masked_points_are_left_out():
    one = simulate.spectrum(3, 0, "raman", CONFIG)
    lines = np.full((8, len(peaks.LINE_PARAMETERS)), np.nan)
    lines[0, :5] = 500.0, 40.0, 6.0, 0.5, 300.0
    intensity = one.intensity.copy()
    intensity[10:20] = np.nan
    plot = spectrum_plot("x", MODALITY["raman"], one.axis, intensity, lines=lines, quantities=np.full(7, np.nan))
    assert len(plot.lines) == 1
    assert len(plot.axis) == len(one.axis) - 10
    assert plot.flags == []
    figure = plots.spectrum(plot)
    centers = next(trace for trace in figure["data"] if trace["name"] == "line centres")
    assert centers["x"] == [500.0]


def test_generated_is_dashed_and_named():
    one = simulate.spectrum(3, 0, "ir", CONFIG)
    figure = plots.spectrum(spectrum_plot("x", MODALITY["ir"], one.axis, one.clean, origin="generated"))
    (trace,) = figure["data"]
    assert trace["name"] == "generated"
    assert trace["line"]["dash"] == "dash"
    assert figure["layout"]["xaxis"]["autorange"] == "reversed"


def test_no_lines_at_all():
    axis = np.linspace(100, 1200, 300)
    plot = spectrum_plot("flat", MODALITY["raman"], axis, np.ones(300), lines=np.empty((0, 11)))
    assert "No line was fitted" in render_spectrum(plot)
    assert np.allclose(plot.model, 1.0)


def test_uncertainty_decides_the_digits():
    lines = np.full((1, 11), np.nan)
    lines[0] = [520.12345, 1000.0, 4.0, 0.5, 5000.0, 0.0123, 31.0, 0.2, 0.1, 400.0, 0.0]
    axis = np.linspace(100, 1200, 500)
    html = render_spectrum(spectrum_plot("x", MODALITY["raman"], axis, np.ones(500), lines=lines))
    assert '520.123 <span class="unit">± 0.012</span>' in html
    assert '1\u2009000 <span class="unit">± 31</span>' in html


def test_background_passes_under_what_stands_out():
    place = np.linspace(0, 1, 600)
    smooth = 5 + 3 * place**2
    rest = smooth + 0.05 * np.random.default_rng(0).standard_normal(600)
    rest[200:215] += 40
    assert np.abs(background(rest) - smooth).max() < 0.15
    assert np.allclose(background(np.full(10, 3.0)), 3.0)
    assert background(np.zeros(0)).shape == (0,)
