"""The Voigt profile by J. A. C. Weideman's rational approximation of the Faddeeva function.

J. A. C. Weideman, *SIAM J. Numer. Anal.* **31** (1994) 1497: with ``L = 2**(-1/4) sqrt(N)`` and
``Z = (L + iz) / (L - iz)``, ``w(z) = 2 p(Z) / (L - iz)**2 + pi**(-1/2) / (L - iz)`` in the upper half-plane,
``p`` being a polynomial whose coefficients come from a Fourier transform.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]

TERMS = 32


def _coefficients(terms: int) -> tuple[float, ...]:
    points = 4 * terms
    length = np.sqrt(terms / np.sqrt(2.0))
    theta = np.arange(-points // 2 + 1, points // 2) * 2.0 * np.pi / points
    t = length * np.tan(theta / 2.0)
    values = np.concatenate(([0.0], np.exp(-(t**2)) * (length**2 + t**2)))
    transform = np.real(np.fft.fft(np.fft.fftshift(values))) / points
    return tuple(float(v) for v in transform[1 : terms + 1])


LENGTH = float(np.sqrt(TERMS / np.sqrt(2.0)))
_POLYNOMIAL = np.array(_coefficients(TERMS)[::-1])
INVERSE_ROOT_PI = float(1.0 / np.sqrt(np.pi))
#: Keeps the Gaussian part from vanishing, where the arguments of w would grow without bound.
LARGEST_SHARE = 0.9999
SIGMA_PER_FWHM = float(1.0 / np.sqrt(8.0 * np.log(2.0)))


@jit()
def faddeeva(x: float, y: float) -> tuple[float, float]:
    """Return the real and imaginary part of ``w(x + iy)`` for ``y >= 0``."""
    denominator_re = LENGTH + y
    denominator_im = -x
    norm = 1.0 / (denominator_re * denominator_re + denominator_im * denominator_im)
    inverse_re = denominator_re * norm
    inverse_im = -denominator_im * norm
    numerator_re = LENGTH - y
    z_re = numerator_re * inverse_re - x * inverse_im
    z_im = numerator_re * inverse_im + x * inverse_re
    p_re = 0.0
    p_im = 0.0
    for k in range(TERMS):
        old = p_re
        p_re = p_re * z_re - p_im * z_im + _POLYNOMIAL[k]
        p_im = old * z_im + p_im * z_re
    square_re = inverse_re * inverse_re - inverse_im * inverse_im
    square_im = 2.0 * inverse_re * inverse_im
    return (
        2.0 * (p_re * square_re - p_im * square_im) + INVERSE_ROOT_PI * inverse_re,
        2.0 * (p_re * square_im + p_im * square_re) + INVERSE_ROOT_PI * inverse_im,
    )


@jit()
def voigt_widths(fwhm: float, share: float) -> tuple[float, float, float, float]:
    """Return Gaussian sigma and Lorentzian half width of a Voigt line, and d(sigma)/d(fwhm) and d(sigma)/d(share).

    ``share`` is the Lorentzian FWHM in units of the full FWHM. Solves the relation of J. J. Olivero and
    R. L. Longbothum (1977), ``f = 0.5346 f_L + sqrt(0.2166 f_L**2 + f_G**2)``, for the Gaussian width; it holds
    to 2e-4 of the width.
    """
    q = min(max(share, 0.0), LARGEST_SHARE)
    a = 0.5343205
    b = (1.0 - a) * (1.0 - a)
    root = np.sqrt(max((1.0 - a * q) ** 2 - b * q * q, 1e-12))
    slope = (-a * (1.0 - a * q) - b * q) / root
    return (
        SIGMA_PER_FWHM * fwhm * root,
        0.5 * fwhm * q,
        SIGMA_PER_FWHM * root,
        SIGMA_PER_FWHM * fwhm * slope,
    )


@jit()
def add_voigt(x: Array, center: float, height: float, fwhm: float, share: float, out: Array) -> None:
    """Add a Voigt line to ``out`` at every point."""
    sigma, gamma, _, _ = voigt_widths(fwhm, share)
    scale = 1.0 / (sigma * np.sqrt(2.0))
    y = gamma * scale
    top, _ = faddeeva(0.0, y)
    a = height / top
    for i in range(x.size):
        value, _ = faddeeva((x[i] - center) * scale, y)
        out[i] += a * value


@jit()
def voigt_derivatives(
    x: Array, weight: Array, center: float, height: float, fwhm: float, share: float, out: Array
) -> None:
    """Write the weighted derivatives by centre, height, width and share into ``out``, four runs of ``x.size``.

    With ``w' = -2 z w + 2i / sqrt(pi)``; the height is that of the profile, so its own top is differentiated too.
    """
    sigma, gamma, sigma_by_width, sigma_by_share = voigt_widths(fwhm, share)
    scale = 1.0 / (sigma * np.sqrt(2.0))
    y = gamma * scale
    top, _ = faddeeva(0.0, y)
    top_slope = 2.0 * y * top - 2.0 * INVERSE_ROOT_PI
    # y = gamma / (sigma sqrt 2), u = (x - c) / (sigma sqrt 2)
    q = min(max(share, 0.0), LARGEST_SHARE)
    y_by_width = scale * (0.5 * q - gamma * sigma_by_width / sigma)
    y_by_share = scale * (0.5 * fwhm - gamma * sigma_by_share / sigma)
    by_width, by_share = sigma_by_width / sigma, sigma_by_share / sigma
    _fill(x, weight, center, scale, y, top, top_slope, height, by_width, by_share, y_by_width, y_by_share, out)


@jit()
def _fill(
    x: Array,
    weight: Array,
    center: float,
    scale: float,
    y: float,
    top: float,
    top_slope: float,
    height: float,
    by_width: float,
    by_share: float,
    y_by_width: float,
    y_by_share: float,
    out: Array,
) -> None:
    n = x.size
    d0, d1, d2, d3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n : 4 * n]
    for i in range(n):
        u = (x[i] - center) * scale
        re, im = faddeeva(u, y)
        by_u = -2.0 * (u * re - y * im)
        by_y = 2.0 * (u * im + y * re) - 2.0 * INVERSE_ROOT_PI
        v = re / top
        a = weight[i] * height / top
        d0[i] = -a * scale * by_u
        d1[i] = weight[i] * v
        d2[i] = a * (-by_u * u * by_width + (by_y - v * top_slope) * y_by_width)
        d3[i] = a * (-by_u * u * by_share + (by_y - v * top_slope) * y_by_share)


if not COMPILED:
    from scipy.special import wofz

    def faddeeva(x: float, y: float) -> tuple[float, float]:
        """Return the real and imaginary part of ``w(x + iy)``."""
        value = wofz(x + 1j * y)
        return float(value.real), float(value.imag)

    def _fill(
        x: Array,
        weight: Array,
        center: float,
        scale: float,
        y: float,
        top: float,
        top_slope: float,
        height: float,
        by_width: float,
        by_share: float,
        y_by_width: float,
        y_by_share: float,
        out: Array,
    ) -> None:
        u = (x - center) * scale
        w = wofz(u + 1j * y)
        by_u = -2.0 * (u * w.real - y * w.imag)
        by_y = 2.0 * (u * w.imag + y * w.real) - 2.0 * INVERSE_ROOT_PI
        v = w.real / top
        a = weight * height / top
        out.reshape(4, x.size)[:] = (
            -a * scale * by_u,
            weight * v,
            a * (-by_u * u * by_width + (by_y - v * top_slope) * y_by_width),
            a * (-by_u * u * by_share + (by_y - v * top_slope) * y_by_share),
        )

    def add_voigt(x: Array, center: float, height: float, fwhm: float, share: float, out: Array) -> None:
        """Add a Voigt line to ``out`` at every point."""
        sigma, gamma, _, _ = voigt_widths(fwhm, share)
        scale = sigma * np.sqrt(2.0)
        out += height * wofz((x - center + 1j * gamma) / scale).real / wofz(1j * gamma / scale).real
