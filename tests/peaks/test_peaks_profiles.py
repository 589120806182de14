"""Line profiles, their areas and derivatives against independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import voigt_profile, wofz

from spectroflow import peaks
from spectroflow.errors import UsageError
from spectroflow.modality import builtin
from spectroflow.peaks.model import Controls, add_line, line_derivatives
from spectroflow.peaks.settings import SHAPES
from spectroflow.peaks.shapes import companion_center, lorentz_share
from spectroflow.peaks.voigt import faddeeva, voigt_widths

X = np.linspace(0.0, 100.0, 401)


def controls(shape: int, companion: float = 0.0) -> Controls:
    return Controls(shape, 1.0025, companion, 1e9, 0, 1e-4, 1e-3, 30)


def test_faddeeva_function() -> None:
    for y in (0.0, 1e-3, 0.3, 2.0, 40.0):
        for x in np.linspace(-60, 60, 97):
            assert complex(*faddeeva(float(x), y)) == pytest.approx(complex(wofz(x + 1j * y)), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_height_width_and_area(shape: str, eta: float) -> None:
    def at(v: float) -> float:
        return float(peaks.profile([v], 5.0, 3.0, eta, shape)[0])

    tolerance = 3e-4 if shape == "voigt" else 1e-12  # the width of a Voigt line is known by an approximation
    assert at(5.0) == pytest.approx(1.0, rel=1e-9)
    assert at(3.5) == pytest.approx(0.5, rel=3 * tolerance)
    assert at(6.5) == pytest.approx(0.5, rel=3 * tolerance)
    whole = 2 * (quad(at, 5.0, 20.0, limit=200)[0] + quad(at, 20.0, 3e4, limit=500)[0])
    assert float(peaks.area(1.0, 3.0, eta, shape)) == pytest.approx(whole, rel=1e-3)


def test_voigt_is_the_convolution() -> None:
    eta = 0.4
    sigma, gamma, _, _ = voigt_widths(3.0, float(lorentz_share(eta)))
    expected = voigt_profile(X - 50, sigma, gamma)
    np.testing.assert_allclose(
        peaks.profile(X, 50, 3.0, eta, "voigt"), expected / voigt_profile(0, sigma, gamma), rtol=1e-9
    )


@pytest.mark.parametrize("shape", [0, 1])
@pytest.mark.parametrize("companion", [0.0, 0.5])
@settings(max_examples=15, deadline=None)
@given(st.floats(30, 60), st.floats(0.1, 50), st.floats(1.5, 25), st.floats(0.02, 0.98))
def test_derivatives(shape: int, companion: float, c: float, h: float, w: float, s: float) -> None:
    now = controls(shape, companion)
    out = np.empty(4 * X.size)
    line_derivatives(X, np.ones(X.size), c, h, w, s, now, out)
    for k in range(4):
        upper, lower = np.zeros(X.size), np.zeros(X.size)
        step = 1e-6 * max(1.0, abs((c, h, w, s)[k]))
        add_line(X, *[v + step * (i == k) for i, v in enumerate((c, h, w, s))], now, upper)
        add_line(X, *[v - step * (i == k) for i, v in enumerate((c, h, w, s))], now, lower)
        numeric = (upper - lower) / (2 * step)
        np.testing.assert_allclose(out.reshape(4, -1)[k], numeric, atol=2e-6 * max(np.max(np.abs(numeric)), 1e-6))


@pytest.mark.parametrize("shape", ["pseudo-voigt", "voigt"])
@pytest.mark.parametrize("wavelengths", [None, (1.54056, 1.54439, 0.5)])
def test_kernel_and_render_agree(shape: str, wavelengths: tuple[float, float, float] | None) -> None:
    expected = peaks.render(X, [[40.0, 7.0, 3.0, 0.3], [np.nan, 1, 1, 1]], shape, wavelengths)
    first, second, share = wavelengths or (1.0, 1.0, 0.0)
    out = np.zeros(X.size)
    s = 0.3 if shape == "pseudo-voigt" else float(lorentz_share(0.3))
    add_line(X, 40.0, 7.0, 3.0, s, Controls(int(shape == "voigt"), second / first, share, 8, 0, 0, 0, 1), out)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-12)


def test_companion_obeys_bragg() -> None:
    spacing = 2.0
    angles = [2 * np.rad2deg(np.arcsin(wave / (2 * spacing))) for wave in (1.54056, 1.54439)]
    x = np.arange(40.0, 50.0, 0.001)
    y = peaks.render(x, [[angles[0], 10.0, 0.02, 0.5]], "thompson-cox-hastings", (1.54056, 1.54439, 0.5))
    second = x > angles[0] + 0.05
    assert x[second][np.argmax(y[second])] == pytest.approx(angles[1], abs=1e-3)
    assert y[second].max() == pytest.approx(5.0, rel=0.05)


def test_thompson_cox_hastings_follows_the_voigt_profile() -> None:
    for share in (0.1, 0.5, 0.9):
        fwhm, eta = peaks.thompson_cox_hastings(1.0 - share, share)
        assert 0 < float(eta) < 1
        sigma, gamma = (1.0 - share) / np.sqrt(8 * np.log(2)), share / 2
        x = np.linspace(-4, 4, 801)
        exact = voigt_profile(x, sigma, gamma) / voigt_profile(0, sigma, gamma)
        assert np.max(np.abs(peaks.profile(x, 0.0, float(fwhm), float(eta)) - exact)) < 0.012
    np.testing.assert_allclose(peaks.thompson_cox_hastings(2.0, 0.0), (2.0, 0.0))
    np.testing.assert_allclose(peaks.thompson_cox_hastings(0.0, 2.0), (2.0, 1.0))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 2.0), st.floats(0.0, 2.0))
def test_gaussian_and_lorentzian_widths_come_back(gauss: float, lorentz: float) -> None:
    fwhm, eta = peaks.thompson_cox_hastings(gauss, lorentz)
    np.testing.assert_allclose(peaks.gauss_and_lorentz_widths(fwhm, eta), (gauss, lorentz), atol=1e-6 + 1e-4 * lorentz)


def test_x_ray_lines_give_the_widths_they_were_made_with() -> None:
    """Exact Voigt lines with their K-alpha-2 companions; size broadens as Lorentzian, strain as Gaussian."""
    modality = builtin()["xrd"]
    assert modality.wavelengths is not None
    first, second, share = modality.wavelengths
    x = np.arange(25.0, 85.0, 0.01)
    rng = np.random.default_rng(73)
    made = np.array([[31.0, 0.08, 0.05], [45.3, 0.05, 0.12], [75.2, 0.14, 0.10]])
    y = np.full(x.size, 50.0)
    for center, gauss, lorentz in made:
        for at, part in ((center, 1.0), (companion_center(center, second / first), share)):
            values = voigt_profile(x - at, gauss / np.sqrt(8 * np.log(2)), lorentz / 2)
            y += 4000.0 * part * values / voigt_profile(0, gauss / np.sqrt(8 * np.log(2)), lorentz / 2)
    result = peaks.fit(x, rng.poisson(y).astype(float), modality=modality)
    assert result.shape == "thompson-cox-hastings"
    strong = result.lines[result.column("height") > 500]
    np.testing.assert_allclose(strong[:, 0], made[:, 0], atol=0.002)
    widths = np.column_stack(peaks.gauss_and_lorentz_widths(strong[:, 2], strong[:, 3]))
    np.testing.assert_allclose(widths, made[:, 1:], atol=0.008)


def test_unknown_shape() -> None:
    with pytest.raises(UsageError, match="no line shape"):
        peaks.profile(X, 1, 1, 0, "triangle")  # type: ignore[arg-type]
