"""Line profiles for everybody: NumPy in, NumPy out, no compiler.

All profiles have unit height; ``shape`` is the Lorentzian fraction eta of the pseudo-Voigt family. For the
Voigt profile it is the eta that Thompson, Cox and Hastings give to the same widths, so that 0 is a
Gaussian and 1 a Lorentzian for every profile.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError
from spectroflow.peaks.settings import SHAPES, Shape

Array = npt.NDArray[np.float64]


def profile(axis: npt.ArrayLike, center: float, fwhm: float, eta: float, shape: Shape = "pseudo-voigt") -> Array:
    """Return one line of unit height.

    Parameters
    ----------
    axis
        Shape ``(points,)``.
    center, fwhm
        In the unit of the axis.
    eta
        Lorentzian fraction in [0, 1]; of no effect for ``gaussian`` and ``lorentzian``.
    shape
        Which profile.

    Raises
    ------
    UsageError
        The shape is not known.
    """
    x = np.asarray(axis, dtype=np.float64)
    if shape not in SHAPES:
        raise UsageError(f"there is no line shape {shape!r}", remedy=f"Use one of {', '.join(SHAPES)}.")
    u = (x - center) / fwhm
    if shape == "voigt":
        return _voigt(x - center, fwhm, eta)
    weight = {"gaussian": 0.0, "lorentzian": 1.0}.get(shape, eta)
    result: Array = weight / (1.0 + 4.0 * u * u) + (1.0 - weight) * np.exp(-4.0 * np.log(2.0) * u * u)
    return result


def area(height: npt.ArrayLike, fwhm: npt.ArrayLike, eta: npt.ArrayLike, shape: Shape = "pseudo-voigt") -> Array:
    """Return the area of lines, in intensity times axis unit; all arguments broadcast."""
    h, w, s = (np.asarray(v, dtype=np.float64) for v in (height, fwhm, eta))
    if shape == "voigt":
        from spectroflow.peaks.voigt import LARGEST_SHARE

        q = np.minimum(lorentz_share(s), LARGEST_SHARE)
        sigma, gamma = _voigt_widths(w, q)
        from scipy.special import wofz

        result: Array = h * sigma * np.sqrt(2.0 * np.pi) / wofz(1j * gamma / (sigma * np.sqrt(2.0))).real
        return result
    if shape in ("gaussian", "lorentzian"):
        s = np.full_like(s, 0.0 if shape == "gaussian" else 1.0)
    areas: Array = h * w * (s * np.pi / 2.0 + (1.0 - s) * 0.5 * np.sqrt(np.pi / np.log(2.0)))
    return areas


def render(
    axis: npt.ArrayLike,
    lines: npt.ArrayLike,
    shape: Shape = "pseudo-voigt",
    wavelengths: tuple[float, float, float] | None = None,
) -> Array:
    """Return the sum of lines, without the background.

    Parameters
    ----------
    axis
        Shape ``(points,)``.
    lines
        Shape ``(lines, parameters)`` with at least the first four of :data:`LINE_PARAMETERS`; rows with a NaN
        centre are unused slots.
    shape
        The profile they describe: :attr:`Fit.shape`.
    wavelengths
        K-alpha-1, K-alpha-2 and their intensity ratio: adds the companion of each line. The axis is
        2-theta in degrees then.
    """
    x = np.asarray(axis, dtype=np.float64)
    table = np.atleast_2d(np.asarray(lines, dtype=np.float64))
    out = np.zeros(x.shape)
    for row in table[np.isfinite(table[:, 0])] if table.size else ():
        center, height, fwhm, eta = row[:4]
        out += height * profile(x, center, fwhm, eta, shape)
        if wavelengths is not None:
            first, second, share = wavelengths
            out += share * height * profile(x, companion_center(center, second / first), fwhm, eta, shape)
    return out


def companion_center(center: float, ratio: float) -> float:
    """Return where a line at ``center`` (degrees 2-theta) lies for a wavelength ``ratio`` times as long."""
    sine = min(max(ratio * float(np.sin(np.deg2rad(center / 2.0))), -0.999999), 0.999999)
    return float(2.0 * np.rad2deg(np.arcsin(sine)))


def lorentz_share(eta: npt.ArrayLike) -> Array:
    """Return the share of the Lorentzian in the full width, ``q = f_L / f``, that has the mixing ``eta``.

    Inverts P. Thompson, D. E. Cox, J. B. Hastings, *J. Appl. Cryst.* **20** (1987) 79:
    ``eta = 1.36603 q - 0.47719 q**2 + 0.11116 q**3``.
    """
    target = np.asarray(eta, dtype=np.float64)
    q = target.copy()
    for _ in range(20):
        q = q - (q * (1.36603 + q * (-0.47719 + q * 0.11116)) - target) / (1.36603 + q * (-0.95438 + q * 0.33348))
    result: Array = np.clip(q, 0.0, 1.0)
    return result


def thompson_cox_hastings(gauss_fwhm: npt.ArrayLike, lorentz_fwhm: npt.ArrayLike) -> tuple[Array, Array]:
    """Return full width and Lorentzian fraction (of the height) of the pseudo-Voigt nearest to a Voigt line.

    P. Thompson, D. E. Cox, J. B. Hastings, *J. Appl. Cryst.* **20** (1987) 79, equations for Gamma and eta. Their
    eta mixes profiles of unit area; here it is turned into the one that mixes profiles of unit height.
    """
    g, w = np.asarray(gauss_fwhm, dtype=np.float64), np.asarray(lorentz_fwhm, dtype=np.float64)
    fwhm: Array = _fifth_power(g, w) ** 0.2
    q = w / fwhm
    of_area = q * (1.36603 + q * (-0.47719 + q * 0.11116))
    lorentz, gauss = of_area / (np.pi / 2.0), (1.0 - of_area) / (0.5 * np.sqrt(np.pi / np.log(2.0)))
    eta: Array = lorentz / (lorentz + gauss)
    return fwhm, eta


def gauss_and_lorentz_widths(fwhm: npt.ArrayLike, eta: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the Gaussian and the Lorentzian width of a line, which size and strain are told from.

    The inverse of :func:`thompson_cox_hastings`: ``fwhm`` and ``eta`` are what a fit of that shape reports. All widths
    are full ones, in the unit of ``fwhm``.
    """
    w, s = np.asarray(fwhm, dtype=np.float64), np.asarray(eta, dtype=np.float64)
    lorentz_area, gauss_area = s * np.pi / 2.0, (1.0 - s) * 0.5 * np.sqrt(np.pi / np.log(2.0))
    lorentz: Array = w * lorentz_share(lorentz_area / (lorentz_area + gauss_area))
    low, high = np.zeros_like(lorentz), np.broadcast_to(w, lorentz.shape).copy()
    # The fifth power grows with either width, so that halving the interval always works.
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = _fifth_power(middle, lorentz) < w**5
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high), lorentz


def _fifth_power(g: Array, w: Array) -> Array:
    fifth: Array = g**5 + 2.69269 * g**4 * w + 2.42843 * g**3 * w**2 + 4.47163 * g**2 * w**3 + 0.07842 * g * w**4 + w**5
    return fifth


def _voigt_widths(fwhm: Array, q: Array) -> tuple[Array, Array]:
    from spectroflow.peaks.voigt import SIGMA_PER_FWHM

    a = 0.5343205
    root = np.sqrt(np.maximum((1.0 - a * q) ** 2 - ((1.0 - a) * q) ** 2, 1e-12))
    return SIGMA_PER_FWHM * fwhm * root, 0.5 * fwhm * q


def _voigt(distance: Array, fwhm: float, eta: float) -> Array:
    from scipy.special import wofz

    from spectroflow.peaks.voigt import LARGEST_SHARE

    q = np.minimum(lorentz_share(eta), LARGEST_SHARE)
    sigma, gamma = _voigt_widths(np.asarray(fwhm), q)
    scale = sigma * np.sqrt(2.0)
    result: Array = wofz((distance + 1j * gamma) / scale).real / wofz(1j * gamma / scale).real
    return result
