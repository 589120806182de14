from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import voigt_profile

from spectroflow.models import lineshapes

WIDTH = st.floats(0.2, 20.0)
X = torch.linspace(-60.0, 60.0, 241, dtype=torch.float64)


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def width_at_half(x: np.ndarray, y: np.ndarray) -> float:
    above = x[y >= 0.5]
    return float(above[-1] - above[0])


@given(WIDTH, WIDTH)
def test_voigt_agrees_with_scipy(gauss: float, lorentz: float) -> None:
    sigma, gamma = gauss / (2 * np.sqrt(2 * np.log(2))), lorentz / 2
    expected = voigt_profile(X.numpy() - 1.5, sigma, gamma) / voigt_profile(0.0, sigma, gamma)
    found = lineshapes.voigt(X, tensor(1.5), tensor(gauss), tensor(lorentz)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


@given(WIDTH)
def test_voigt_tends_to_its_two_limits(width: float) -> None:
    zero = tensor(0.0)
    np.testing.assert_allclose(
        lineshapes.voigt(X, zero, tensor(width), zero), lineshapes.gaussian(X, zero, tensor(width)), atol=1e-6
    )
    np.testing.assert_allclose(
        lineshapes.voigt(X, zero, tensor(width * 1e-3), tensor(width)),
        lineshapes.lorentzian(X, zero, tensor(width)),
        atol=1e-4,
    )


@given(WIDTH, st.floats(0, 1))
def test_width_is_the_full_width_at_half_maximum(width: float, eta: float) -> None:
    fine = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    y = lineshapes.pseudo_voigt(fine, tensor(0.0), tensor(width), tensor(eta))
    assert width_at_half(fine.numpy(), y.numpy()) == pytest.approx(width, abs=3e-3)
    assert float(y.max()) == pytest.approx(1.0)


@given(WIDTH, WIDTH)
def test_thompson_cox_hastings_is_close_to_the_voigt(gauss: float, lorentz: float) -> None:
    total, eta = lineshapes.thompson_cox_hastings(tensor(gauss), tensor(lorentz))
    voigt = lineshapes.voigt(X, tensor(0.0), tensor(gauss), tensor(lorentz))
    difference = lineshapes.pseudo_voigt(X, tensor(0.0), total, eta) - voigt
    assert float(difference.abs().max()) < 0.02
    assert 0 <= float(eta) <= 1.0001


def test_companion_of_a_copper_line() -> None:
    # Silicon (111), a = 5.43102 angstrom: 2-theta from Bragg's law at the two wavelengths.
    spacing = 5.43102 / np.sqrt(3)
    first, second = (2 * np.degrees(np.arcsin(w / (2 * spacing))) for w in (1.54056, 1.54439))
    found = lineshapes.companion(tensor(first), (1.54056, 1.54439, 0.5))
    assert float(found) == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("wavelengths", [None, (1.54056, 1.54439, 0.5)])
def test_render_is_the_sum_of_its_lines_and_its_gradient_is_right(
    wavelengths: tuple[float, float, float] | None,
) -> None:
    torch.manual_seed(0)
    axis = torch.linspace(20, 40, 50, dtype=torch.float64)
    height, fwhm, eta = (torch.rand(2, 3, dtype=torch.float64) * 0.8 + 0.1 for _ in range(3))
    center = 20 + 20 * torch.rand(2, 3, dtype=torch.float64)
    plain = (height[..., None] * lineshapes.pseudo_voigt(axis, center[..., None], fwhm[..., None], eta[..., None])).sum(
        1
    )
    if wavelengths is not None:
        other = lineshapes.companion(center, wavelengths)
        plain += 0.5 * (
            height[..., None] * lineshapes.pseudo_voigt(axis, other[..., None], fwhm[..., None], eta[..., None])
        ).sum(1)
    np.testing.assert_allclose(lineshapes.render(axis, height, center, fwhm, eta, wavelengths), plain, atol=1e-12)
    inputs = [v.requires_grad_() for v in (height, center, fwhm, eta)]
    assert torch.autograd.gradcheck(lambda *a: lineshapes.render(axis, *a, wavelengths), inputs)


def test_voigt_gradient_is_right() -> None:
    x = torch.linspace(-5, 5, 11, dtype=torch.float64)
    parameters = [tensor(v).requires_grad_() for v in (0.3, 1.2, 0.7)]
    assert torch.autograd.gradcheck(lambda *a: lineshapes.voigt(x, *a), parameters)
