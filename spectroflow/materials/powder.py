"""Powder patterns: what a diffractometer draws of reflections, at any wavelength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from spectroflow.materials.crystal import Array
from spectroflow.materials.reflections import Reflections
from spectroflow.peaks.shapes import thompson_cox_hastings

Wavelengths = tuple[float, float, float]
"""K-alpha-1 and K-alpha-2 in angstrom and the intensity ratio of the second to the first."""

COPPER: Wavelengths = (1.54056, 1.54439, 0.5)
_REACH = 12.0  # full widths at half maximum to either side of a line that are drawn
_FAINT = 1e-3  # of the area of the strongest line; fainter ones are not drawn


@dataclass(frozen=True, slots=True)
class Widths:
    """How an instrument and the grains broaden lines; all in degrees 2-theta.

    Attributes
    ----------
    u, v, w
        Gaussian part: ``H_G^2 = u tan^2(theta) + v tan(theta) + w`` (Caglioti, Paoletti and Ricci, Nucl. Instrum.
        3, 1958, 223), degrees^2.
    x, y
        Lorentzian part: ``H_L = x / cos(theta) + y tan(theta)``, of small grains and of strain.
    """

    u: float = 0.0
    v: float = 0.0
    w: float = 0.01
    x: float = 0.05
    y: float = 0.0

    @classmethod
    def plain(cls, fwhm: float, lorentzian: float = 0.5) -> Widths:
        """Return the same total width at low angles for every line, a share of it Lorentzian."""
        return cls(w=((1 - lorentzian) * fwhm) ** 2, x=lorentzian * fwhm)

    def at(self, two_theta: Array) -> tuple[Array, Array]:
        """Return full width and Lorentzian fraction (of the height) of lines, by Thompson, Cox and Hastings."""
        theta = np.radians(two_theta / 2)
        gaussian = np.sqrt(np.maximum(self.u * np.tan(theta) ** 2 + self.v * np.tan(theta) + self.w, 1e-8))
        return thompson_cox_hastings(gaussian, np.maximum(self.x / np.cos(theta) + self.y * np.tan(theta), 0.0))


def two_theta_of(spacing: Array, wavelength: float) -> Array:
    """Return the diffraction angle 2-theta in degrees by Bragg's law; NaN where there is none."""
    sine = wavelength / (2 * np.asarray(spacing))
    return np.asarray(np.degrees(2 * np.arcsin(np.where(sine < 0.9999, sine, np.nan))))


def lorentz_polarisation(theta: Array) -> Array:
    """Return ``(1 + cos^2 2 theta) / (sin^2 theta cos theta)``: powder, unpolarised beam, no monochromator."""
    return np.asarray((1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta)))


def powder_lines(reflections: Reflections, wavelength: float) -> tuple[Array, Array]:
    """Return 2-theta in degrees and integrated intensity (electrons^2 per cell) of the lines that can be seen."""
    two_theta = two_theta_of(reflections.spacing, wavelength)
    seen = np.isfinite(two_theta)
    two_theta = two_theta[seen]
    return two_theta, reflections.strength[seen] * lorentz_polarisation(np.radians(two_theta / 2))


def powder_pattern(
    reflections: Reflections,
    axis: Array,
    *,
    wavelengths: Wavelengths = COPPER,
    widths: Widths = Widths(),
    zero: float = 0.0,
) -> Array:
    """Return a powder pattern without background, its highest point 1 (all zeros where no line is in range).

    Parameters
    ----------
    axis
        2-theta in degrees, ascending, ``(points,)``.
    wavelengths
        K-alpha-1, K-alpha-2 and the intensity ratio; a ratio of 0 is a monochromatic beam.
    zero
        Zero shift in degrees: how far the instrument reads too high.
    """
    total = scattered(reflections, axis, wavelengths=wavelengths, widths=widths, zero=zero)
    top = total.max(initial=0.0)
    return np.asarray(total / top if top > 0 else total)


def scattered(
    reflections: Reflections, axis: Array, *, wavelengths: Wavelengths, widths: Widths, zero: float = 0.0
) -> Array:
    """Return what a cell scatters, in electrons^2 per degree times the Lorentz and polarisation factor; see above."""
    total = np.zeros(len(axis))
    for wavelength, share in ((wavelengths[0], 1.0), (wavelengths[1], wavelengths[2])):
        if share > 0:
            two_theta, area = powder_lines(reflections, wavelength)
            total += draw_lines(axis, two_theta + zero, share * area, *widths.at(two_theta))
    return total


def draw_lines(axis: Array, center: Array, area: Array, fwhm: Array, eta: Array) -> Array:
    """Return the sum of pseudo-Voigt lines of given areas, as means over the step around each point.

    A line that is narrower than a step would otherwise vanish between two points.

    Parameters
    ----------
    axis
        Ascending, ``(points,)``, at least two points.
    center, area, fwhm, eta
        ``(lines,)``; ``eta`` mixes profiles of unit height.
    """
    middle = (axis[1:] + axis[:-1]) / 2
    edges = np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])
    reach = _REACH * fwhm
    near = (center > edges[0] - reach) & (center < edges[-1] + reach) & (area > _FAINT * area.max(initial=0.0))
    center, area, fwhm, eta, reach = (values[near] for values in (center, area, fwhm, eta, reach))
    result = np.zeros(len(axis))
    if not len(center):
        return result
    first, last = np.searchsorted(edges, center - reach), np.searchsorted(edges, center + reach)
    first = np.clip(first - 1, 0, len(axis))
    span = np.arange(int(np.max(np.minimum(last, len(axis)) - first)) + 1)
    at = np.minimum(first[:, None] + span, len(axis))
    filled = area[:, None] * _integral((edges[at] - center[:, None]) / fwhm[:, None], eta[:, None])
    inside = at[:, :-1] < len(axis)
    np.add(
        result,
        np.bincount(at[:, :-1][inside], weights=np.diff(filled, axis=1)[inside], minlength=len(axis)),
        out=result,
    )
    return result / np.diff(edges)


def _integral(u: Array, eta: Array) -> Array:
    """Return the integral of a pseudo-Voigt of unit area from minus infinity, ``u`` in full widths.

    ``eta`` mixes profiles of unit height, so the shares of the area follow from it.
    """
    lorentz, gauss = eta * np.pi / 2, (1 - eta) * np.sqrt(np.pi / np.log(2)) / 2
    share = lorentz / (lorentz + gauss)
    result = share * (0.5 + np.arctan(2 * u) / np.pi) + (1 - share) * 0.5 * (1 + erf(2 * np.sqrt(np.log(2)) * u))
    return np.asarray(result)


def patterns(
    table: Sequence[Reflections],
    axis: Array,
    *,
    wavelengths: Wavelengths = COPPER,
    widths: Widths = Widths(),
    zero: float = 0.0,
) -> Array:
    """Return the patterns of several structures, ``(structures, points)``."""
    drawn = [powder_pattern(one, axis, wavelengths=wavelengths, widths=widths, zero=zero) for one in table]
    return np.stack(drawn) if drawn else np.zeros((0, len(axis)))
