"""Line profiles as differentiable torch functions.

Every profile has height 1 at its centre; widths are full widths at half maximum in axis units. All
arguments broadcast against each other. :func:`render` sums many lines of many spectra with an
analytic gradient, which takes a third of the memory that autograd would.

Sources: Voigt profile as the real part of the Faddeeva function, evaluated by the rational series of
J. A. C. Weideman, SIAM J. Numer. Anal. 31 (1994) 1497; Thompson-Cox-Hastings pseudo-Voigt from
P. Thompson, D. E. Cox, J. B. Hastings, J. Appl. Cryst. 20 (1987) 79.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

LN2 = math.log(2.0)


def gaussian(x: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    """Return a Gaussian of height 1."""
    return torch.exp(-4.0 * LN2 * ((x - center) / fwhm) ** 2)


def lorentzian(x: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    """Return a Lorentzian of height 1."""
    return 1.0 / (1.0 + 4.0 * ((x - center) / fwhm) ** 2)


def pseudo_voigt(x: Tensor, center: Tensor, fwhm: Tensor, eta: Tensor) -> Tensor:
    """Return ``eta`` times a Lorentzian plus ``1 - eta`` times a Gaussian of the same width."""
    return eta * lorentzian(x, center, fwhm) + (1.0 - eta) * gaussian(x, center, fwhm)


def voigt(x: Tensor, center: Tensor, fwhm_gaussian: Tensor, fwhm_lorentzian: Tensor) -> Tensor:
    """Return the Voigt profile, a Gaussian convolved with a Lorentzian, scaled to height 1.

    ``Re w(z)`` with ``z = (x + i gamma) / (sigma sqrt 2)``; the Gaussian width must be positive.
    """
    root = fwhm_gaussian / (2.0 * math.sqrt(LN2))
    real = (x - center) / root
    imaginary = 0.5 * fwhm_lorentzian / root
    top = _faddeeva_real(torch.zeros_like(imaginary), imaginary)
    return _faddeeva_real(real, imaginary) / top


def thompson_cox_hastings(fwhm_gaussian: Tensor, fwhm_lorentzian: Tensor) -> tuple[Tensor, Tensor]:
    """Return the total width and Lorentzian fraction of the pseudo-Voigt that approximates a Voigt.

    Parameters
    ----------
    fwhm_gaussian, fwhm_lorentzian
        Widths of the two parts, not both zero.

    Returns
    -------
    fwhm, eta
    """
    g, f = fwhm_gaussian, fwhm_lorentzian
    fifth = g**5 + 2.69269 * g**4 * f + 2.42843 * g**3 * f**2 + 4.47163 * g**2 * f**3 + 0.07842 * g * f**4 + f**5
    total = fifth ** (1.0 / 5.0)
    q = f / total
    return total, 1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3


def companion(center: Tensor, wavelengths: tuple[float, float, float]) -> Tensor:
    """Return where the K-alpha-2 reflection of a K-alpha-1 reflection lies.

    Bragg's law at one lattice spacing: ``sin(theta2) = sin(theta1) * lambda2 / lambda1``.

    Parameters
    ----------
    center
        Position of the K-alpha-1 line in degrees 2-theta.
    wavelengths
        K-alpha-1, K-alpha-2 (angstrom) and intensity ratio of the second to the first.
    """
    sine = torch.sin(torch.deg2rad(center) / 2.0) * (wavelengths[1] / wavelengths[0])
    return torch.rad2deg(2.0 * torch.asin(sine.clamp(-1.0 + 1e-6, 1.0 - 1e-6)))


def render(
    axis: Tensor,
    height: Tensor,
    center: Tensor,
    fwhm: Tensor,
    eta: Tensor,
    wavelengths: tuple[float, float, float] | None = None,
) -> Tensor:
    """Sum pseudo-Voigt lines.

    Parameters
    ----------
    axis
        ``(points,)`` in axis units.
    height, center, fwhm, eta
        ``(batch, lines)``. A line of height 0 is no line.
    wavelengths
        Where given, each line gets its K-alpha-2 companion of the same width and shape.

    Returns
    -------
    Tensor
        ``(batch, points)``.
    """
    if wavelengths is not None:
        second = companion(center, wavelengths)
        height = torch.cat([height, height * wavelengths[2]], dim=-1)
        center = torch.cat([center, second], dim=-1)
        fwhm, eta = torch.cat([fwhm, fwhm], dim=-1), torch.cat([eta, eta], dim=-1)
    result: Tensor = _SumOfLines.apply(axis, height, center, fwhm, eta)  # type: ignore[no-untyped-call]
    return result


class _SumOfLines(torch.autograd.Function):
    """The sum of pseudo-Voigt lines with its analytic gradient.

    A batch is done a few spectra at a time, so that the profiles of all lines at all points stay in the
    processor's cache; they are computed again for the gradient, which is faster than keeping them.
    """

    @staticmethod
    def forward(ctx: Any, axis: Tensor, height: Tensor, center: Tensor, fwhm: Tensor, eta: Tensor) -> Tensor:
        ctx.save_for_backward(axis, height, center, fwhm, eta)
        out = height.new_empty(len(height), len(axis))
        of_gauss, of_lorentz = (height * (1.0 - eta)).unsqueeze(1), (height * eta).unsqueeze(1)
        for part in _parts(height, axis):
            _, gauss, lorentz = _profiles(axis, center[part], fwhm[part])
            out[part] = (torch.bmm(of_gauss[part], gauss) + torch.bmm(of_lorentz[part], lorentz)).squeeze(1)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        axis, height, center, fwhm, eta = ctx.saved_tensors
        sums = height.new_empty(4, *height.shape)
        for part in _parts(height, axis):
            t, gauss, lorentz = _profiles(axis, center[part], fwhm[part])
            out = grads[0][part].unsqueeze(-1)
            sums[0, part] = torch.bmm(gauss, out).squeeze(-1)
            sums[1, part] = torch.bmm(lorentz, out).squeeze(-1)
            # d/dt of the mixed profile is -8 t (ln2 (1-eta) G + eta L^2); t falls with the centre and the width.
            slope = gauss.mul_((LN2 * (1.0 - eta[part])).unsqueeze(-1))
            slope.addcmul_(lorentz.square_(), eta[part].unsqueeze(-1)).mul_(t)
            sums[2, part] = torch.bmm(slope, out).squeeze(-1)
            sums[3, part] = torch.bmm(slope.mul_(t), out).squeeze(-1)
        gauss_sum, lorentz_sum, along_center, along_width = sums
        scale = 8.0 * height / fwhm
        return (
            None,
            eta * lorentz_sum + (1.0 - eta) * gauss_sum,
            scale * along_center,
            scale * along_width,
            height * (lorentz_sum - gauss_sum),
        )


CACHE_ELEMENTS = 1 << 16


def _parts(height: Tensor, axis: Tensor) -> list[slice]:
    """Return slices of the batch: a few spectra on a CPU, many on a GPU, whose memory is the limit."""
    elements = CACHE_ELEMENTS if height.device.type == "cpu" else CACHE_ELEMENTS << 10
    size = max(1, elements // max(1, height.shape[1] * len(axis)))
    return [slice(i, i + size) for i in range(0, len(height), size)]


def _profiles(axis: Tensor, center: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(axis - center) / fwhm`` and the two profiles, ``(batch, lines, points)`` each."""
    t = (axis - center.unsqueeze(-1)).div_(fwhm.unsqueeze(-1))
    square = t * t
    gauss = (square * (-4.0 * LN2)).clamp_(min=-80.0).exp_()  # underflow costs ten times an exponential
    return t, gauss, square.mul_(4.0).add_(1.0).reciprocal_()


@cache
def _weideman(terms: int = 32) -> tuple[float, tuple[float, ...]]:
    """Return the constant and the coefficients of Weideman's series, highest power first."""
    m = 2 * terms
    k = np.arange(-m + 1, m)
    length = math.sqrt(terms / math.sqrt(2.0))
    t = length * np.tan(k * np.pi / (2 * m))
    f = np.concatenate([[0.0], np.exp(-(t**2)) * (length**2 + t**2)])
    a = np.real(np.fft.fft(np.fft.fftshift(f))) / (2 * m)
    return length, tuple(float(v) for v in np.flipud(a[1 : terms + 1]))


def _faddeeva_real(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return ``Re w(real + i imaginary)`` for ``imaginary >= 0``, in double precision inside."""
    length, coefficients = _weideman()
    z = real.double() + 1j * imaginary.double()
    down = length - 1j * z
    ratio = (length + 1j * z) / down
    total = torch.zeros_like(z)
    for a in coefficients:
        total = total * ratio + a
    return (2.0 * total / down**2 + (1.0 / math.sqrt(math.pi)) / down).real.to(real.dtype)
