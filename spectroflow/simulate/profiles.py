"""Line profiles with unit height, and the table of true lines."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import wofz

from spectroflow.simulate.prototypes import Array

Kind = Literal["voigt", "pseudo-voigt"]

#: Columns of :attr:`SimulatedSpectrum.lines_true`; widths are full widths at half maximum, axis units.
TRUE_LINE_PARAMETERS = ("center", "height", "fwhm", "shape", "area", "gaussian_fwhm", "lorentzian_fwhm")

_LN2 = np.log(2.0)
_FWHM_OF_SIGMA = 2 * np.sqrt(2 * _LN2)
_REACH = 40.0  # full widths at half maximum to either side of a line that are drawn


def total_fwhm(gaussian: Array, lorentzian: Array) -> Array:
    """Return the full width at half maximum of the pseudo-Voigt that stands for a Voigt profile.

    The fifth-power form of Thompson, Cox and Hastings (J. Appl. Cryst. 20, 1987, 79).
    """
    g, l = gaussian, lorentzian  # noqa: E741
    power = g**5 + 2.69269 * g**4 * l + 2.42843 * g**3 * l**2 + 4.47163 * g**2 * l**3 + 0.07842 * g * l**4 + l**5
    return np.asarray(power**0.2)


def lorentzian_share(gaussian: Array, lorentzian: Array) -> Array:
    """Return eta of the pseudo-Voigt that stands for a Voigt profile (same source)."""
    q = lorentzian / total_fwhm(gaussian, lorentzian)
    return np.asarray(1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3)


def voigt_fwhm(gaussian: Array, lorentzian: Array) -> Array:
    """Return the full width at half maximum of a Voigt profile to 0.02 %.

    Olivero and Longbothum, J. Quant. Spectrosc. Radiat. Transfer 17, 1977, 233.
    """
    return np.asarray(0.5346 * lorentzian + np.sqrt(0.2166 * lorentzian**2 + gaussian**2))


def true_lines(center: Array, height: Array, gaussian: Array, lorentzian: Array, *, kind: Kind) -> Array:
    """Return the table of true lines, shape ``(lines, len(TRUE_LINE_PARAMETERS))``, sorted by center.

    ``shape`` of a Voigt profile is the eta of the pseudo-Voigt that stands for it; all else is its own.
    """
    shape = lorentzian_share(gaussian, lorentzian)
    if kind == "voigt":
        fwhm = voigt_fwhm(gaussian, lorentzian)
        sigma = gaussian / _FWHM_OF_SIGMA
        area = height * sigma * np.sqrt(2 * np.pi) / wofz(1j * lorentzian / 2 / sigma / np.sqrt(2)).real
    else:
        fwhm = total_fwhm(gaussian, lorentzian)
        area = height * fwhm * (shape * np.pi / 2 + (1 - shape) * np.sqrt(np.pi / _LN2) / 2)
    table = np.stack([center, height, fwhm, shape, area, gaussian, lorentzian], axis=1)
    return np.asarray(table[np.argsort(center, kind="stable")])


def draw(axis: Array, lines: Array, *, kind: Kind, partner: tuple[float, float, float] | None = None) -> Array:
    """Return the sum of lines on an ascending axis.

    Parameters
    ----------
    lines
        As from :func:`true_lines`.
    kind
        ``voigt``, or ``pseudo-voigt`` in the form of Thompson, Cox and Hastings.
    partner
        X-ray wavelengths of K-alpha-1 and K-alpha-2 in angstrom and the intensity ratio of the second to
        the first: each line is then the first of a pair on a 2-theta axis in degrees.
    """
    result = np.zeros(len(axis))
    for center, height, fwhm, shape, _, gaussian, lorentzian in lines:
        places = [(center, height)]
        if partner is not None:
            sine = np.sin(np.radians(center / 2)) * partner[1] / partner[0]
            if sine < 1:
                places.append((2 * float(np.degrees(np.arcsin(sine))), height * partner[2]))
        for place, top in places:
            low, high = np.searchsorted(axis, [place - _REACH * fwhm, place + _REACH * fwhm])
            offset = axis[low:high] - place
            if kind == "voigt":
                result[low:high] += top * _voigt(offset, gaussian, lorentzian)
            else:
                result[low:high] += top * _pseudo_voigt(offset, fwhm, shape)
    return result


def _voigt(offset: Array, gaussian: float, lorentzian: float) -> Array:
    sigma = gaussian / _FWHM_OF_SIGMA
    scale = sigma * np.sqrt(2)
    top = wofz(1j * lorentzian / 2 / scale).real
    return np.asarray(wofz((offset + 1j * lorentzian / 2) / scale).real / top)


def _pseudo_voigt(offset: Array, fwhm: float, shape: float) -> Array:
    x = (offset / fwhm) ** 2
    return np.asarray(shape / (1 + 4 * x) + (1 - shape) * np.exp(-4 * _LN2 * x))
