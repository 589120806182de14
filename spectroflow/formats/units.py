"""Units of axes and intensities: how files spell them, and how they become a modality's own.

Every conversion is exact physics or it does not happen: a wavelength axis of a Raman spectrum needs
the laser, a d-spacing or momentum transfer needs the X-ray wavelength. What is missing is an error,
never a guess.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray

_AXIS_SPELLINGS = {
    "cm-1": ("cm-1", "cm^-1", "1/cm", "cm⁻¹", "cm−1", "/cm", "wavenumber", "wavenumbers", "rel.1/cm", "rcm-1",
             "wavenumber(cm-1)", "inversecentimetres", "inversecentimeters", "percm", "cm**-1", "ramanshift",
             "ramanshift(cm-1)", "delta1/cm", "rel.cm-1", "cm^{-1}", "shift", "wavenumbers(cm-1)",
             "ramanshift(1/cm)", "cm\\-1", "wn", "1\\cm", "1_over_cm", "1/centimeter"),
    "nm": ("nm", "nanometer", "nanometre", "nanometers", "nanometres", "wavelength(nm)", "wl"),
    "um": ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"),
    "angstrom": ("angstrom", "angstroms", "å", "å", "a"),
    "deg": ("deg", "degree", "degrees", "°", "2theta", "2-theta", "2θ", "twotheta", "tth", "degrees2theta",
            "2theta(deg)", "2θ(°)", "2θ(deg)", "angle", "°2th", "2th", "degrees2-theta", "deg2theta", "°2θ",
            "2theta(degrees)", "2-theta(deg)", "2theta°", "2thetadegrees"),
    "rad": ("rad", "radian", "radians"),
    "d": ("d", "d-spacing", "dspacing", "d(å)", "d-angstrom", "d(a)"),
    "q": ("q", "1/å", "å-1", "å^-1", "å⁻¹", "1/angstrom", "angstrom-1", "q(1/å)"),
    "q-nm": ("1/nm", "nm-1", "nm^-1", "nm⁻¹"),
    "eV": ("ev", "electronvolt", "electronvolts", "energy(ev)"),
    "meV": ("mev",),
    "THz": ("thz", "terahertz"),
    "GHz": ("ghz", "gigahertz"),
    "Hz": ("hz", "hertz"),
    "s": ("s", "sec", "second", "seconds", "time"),
    "ppm": ("ppm",),
    "m/z": ("m/z", "m/e", "mz", "mass"),
}  # fmt: skip
_INTENSITY_SPELLINGS = {
    "absorbance": ("absorbance", "abs", "abs.", "absorbanceunits", "a", "au(absorbance)", "ab",
                   "optical density", "od"),
    "transmittance": ("transmittance", "transmission", "t"),
    "%transmittance": ("%transmittance", "%t", "transmittance(%)", "percenttransmittance", "t%", "%transmission",
                       "percenttransmission", "transmission(%)", "t(%)", "transmittance[%]", "%", "percent"),
    "reflectance": ("reflectance", "r", "reflectivity"),
    "%reflectance": ("%reflectance", "%r", "percentreflectance", "reflectance(%)"),
    "log(1/R)": ("log(1/r)", "log1/r", "log(1/reflectance)"),
    "kubelka-munk": ("kubelka-munk", "kubelkamunk", "k-m", "km"),
    "absorptivity": ("absorptivity", "absorption coefficient", "extinction coefficient", "epsilon",
                     "(micromol/mol)-1m-1(base10)"),
    "counts": ("counts", "count", "cts", "cnt", "ccdcts", "arbitrary", "arbitraryunits", "a.u.", "a.u", "arb.units",
               "arb.u.", "arb", "intensity", "intensities", "ramanintensity", "relativeintensity", "y", "signal",
               "intensity(a.u.)", "intensity(counts)", "rel.int.", "relativeabundance", "intensity(arb.units)",
               "intensity(cnt)", "ccdcounts", "photons", "emission", "au", "arb.units", "fluorescence", "ccd cts"),
    "counts/s": ("cps", "counts/s", "cts/s", "counts/sec", "countspersecond", "c/s", "counts/second", "cnt/s", "cs-1"),
}  # fmt: skip


def _squeeze(text: str) -> str:
    return re.sub(r"[\s_]+", "", html.unescape(text).strip().strip("[]").lower())


_AXIS = {_squeeze(spelling): unit for unit, spellings in _AXIS_SPELLINGS.items() for spelling in spellings}
_INTENSITY = {_squeeze(spelling): unit for unit, spellings in _INTENSITY_SPELLINGS.items() for spelling in spellings}

# CODATA 2018, exact since the revision of the SI: hc in eV nm, and c in nm THz.
_EV_NM = 1239.8419843320026
_NM_THZ = 299792.458


def axis_unit(text: str | None) -> str | None:
    """Return the canonical name of an axis unit, or None if it is not one we know.

    >>> axis_unit("Wavenumber (cm-1)"), axis_unit("2Theta"), axis_unit("furlong")
    ('cm-1', 'deg', None)
    """
    return _find(text, _AXIS)


def intensity_unit(text: str | None) -> str | None:
    """Return the canonical name of an intensity unit, or None if it is not one we know.

    >>> intensity_unit("%T"), intensity_unit("Absorbance")
    ('%transmittance', 'absorbance')
    """
    return _find(text, _INTENSITY)


def _find(text: str | None, table: dict[str, str]) -> str | None:
    if not text:
        return None
    squeezed = _squeeze(text)
    if squeezed in table:
        return table[squeezed]
    inner = re.search(r"[(\[]([^()\[\]]+)[)\]]\s*$", text)
    if inner and _squeeze(inner.group(1)) in table:
        return table[_squeeze(inner.group(1))]
    for part in re.split(r"[/,]\s+|\s+[/|]\s*|\s+in\s+", text):
        if _squeeze(part) in table and _squeeze(part) != squeezed:
            return table[_squeeze(part)]
    outer = re.sub(r"[(\[].*$", "", text)
    return table.get(_squeeze(outer)) if _squeeze(outer) else None


@dataclass(frozen=True, slots=True)
class Optics:
    """What a conversion may need to know of the measurement.

    Attributes
    ----------
    laser
        Excitation wavelength in nm.
    wavelength
        X-ray wavelength in angstrom.
    """

    laser: float | None = None
    wavelength: float | None = None


def _to_nanometres(values: FloatArray, unit: str) -> FloatArray | None:
    """Turn any measure of a photon into its vacuum wavelength in nm."""
    scale: dict[str, Callable[[FloatArray], FloatArray]] = {
        "nm": lambda v: v,
        "um": lambda v: v * 1e3,
        "angstrom": lambda v: v / 10.0,
        "cm-1": lambda v: 1e7 / v,
        "eV": lambda v: _EV_NM / v,
        "meV": lambda v: 1e3 * _EV_NM / v,
        "THz": lambda v: _NM_THZ / v,
        "GHz": lambda v: 1e3 * _NM_THZ / v,
    }
    return scale[unit](values) if unit in scale else None


def _from_nanometres(values: FloatArray, unit: str) -> FloatArray | None:
    # Each of these is its own inverse up to scale, so the same laws serve both ways.
    scale: dict[str, Callable[[FloatArray], FloatArray]] = {
        "nm": lambda v: v,
        "um": lambda v: v / 1e3,
        "angstrom": lambda v: v * 10.0,
        "cm-1": lambda v: 1e7 / v,
        "eV": lambda v: _EV_NM / v,
        "meV": lambda v: 1e3 * _EV_NM / v,
        "THz": lambda v: _NM_THZ / v,
        "GHz": lambda v: 1e3 * _NM_THZ / v,
    }
    return scale[unit](values) if unit in scale else None


_PER_WAVENUMBER = {"meV": 1e7 / (1e3 * _EV_NM), "eV": 1e7 / _EV_NM, "THz": 1e7 / _NM_THZ, "GHz": 1e4 / _NM_THZ}


def convert_axis(values: FloatArray, unit: str, target: str, *, shift: bool, optics: Optics, where: str) -> FloatArray:
    """Return an axis in another unit.

    Parameters
    ----------
    values
        Axis of shape ``(points,)`` in ``unit``.
    unit, target
        Canonical names, as :func:`axis_unit` gives them.
    shift
        Whether ``target`` counts from the laser line, as a Raman shift does.
    optics
        Laser and X-ray wavelength, where they are known.
    where
        Named in errors.

    Raises
    ------
    RecordError
        ``UNKNOWN_UNIT`` if there is no such conversion, ``AMBIGUOUS_UNIT`` if it needs a laser or an
        X-ray wavelength that the file does not tell.
    """
    if unit == target:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        if target == "deg":
            return _to_two_theta(values, unit, optics, where)
        if shift and target == "cm-1":
            return _to_shift(values, unit, optics, where)
        photons = _to_nanometres(values, unit)
        result = None if photons is None else _from_nanometres(photons, target)
    if result is None:
        raise RecordError(
            "UNKNOWN_UNIT", f"an axis in {unit} cannot become {target}", where=where, remedy="Check the modality."
        )
    return result


def _to_shift(values: FloatArray, unit: str, optics: Optics, where: str) -> FloatArray:
    if unit in _PER_WAVENUMBER and unit in {"meV", "THz", "GHz"}:
        return values * _PER_WAVENUMBER[unit]
    photons = _to_nanometres(values, unit)
    if photons is None:
        raise RecordError(
            "UNKNOWN_UNIT", f"an axis in {unit} is not a Raman shift", where=where, remedy="Check the modality."
        )
    if optics.laser is None:
        raise RecordError(
            "AMBIGUOUS_UNIT",
            f"an axis in {unit} becomes a Raman shift only with the laser's wavelength, which is not given",
            where=where,
            remedy="Add a column 'laser' in nm to the manifest.",
        )
    return 1e7 / optics.laser - 1e7 / photons


def _to_two_theta(values: FloatArray, unit: str, optics: Optics, where: str) -> FloatArray:
    if unit == "rad":
        return np.rad2deg(values)
    if unit not in {"d", "angstrom", "q", "q-nm"}:
        raise RecordError(
            "UNKNOWN_UNIT", f"an axis in {unit} is not a diffraction angle", where=where, remedy="Check the modality."
        )
    if optics.wavelength is None:
        raise RecordError(
            "AMBIGUOUS_UNIT",
            f"an axis in {unit} becomes 2-theta only with the X-ray wavelength, which is not given",
            where=where,
            remedy="Add a column 'wavelength' in angstrom to the manifest.",
        )
    # Bragg: sin(theta) = wavelength / 2d, and q = 2 pi / d.
    sine = {
        "d": lambda v: optics.wavelength / (2.0 * v),
        "angstrom": lambda v: optics.wavelength / (2.0 * v),
        "q": lambda v: v * optics.wavelength / (4.0 * np.pi),
        "q-nm": lambda v: v * optics.wavelength / (40.0 * np.pi),
    }[unit](values)
    result: FloatArray = 2.0 * np.rad2deg(np.arcsin(sine))
    return result


def convert_intensity(values: FloatArray, unit: str, target: str, *, where: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Return intensities in another unit, and the names of the flags that this earns.

    Transmittance becomes absorbance, ``-log10(T)``, with points at or below zero masked. Reflectance
    becomes apparent absorbance, ``log10(1/R)``, and is flagged. ``counts`` take any unit that counts.

    Raises
    ------
    RecordError
        ``UNKNOWN_UNIT`` if there is no such conversion.
    """
    if unit == target or (target == "counts" and unit == "counts/s"):
        return values, ()
    if target in {"absorbance", "transmittance"}:
        fraction, flags = _fraction(values, unit)
        if fraction is not None and target == "transmittance":
            return fraction, flags
        if fraction is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                absorbance = np.where(fraction > 0, -np.log10(fraction), np.nan)
            return absorbance + 0.0, flags
        if unit == "log(1/R)":
            return values, ("FROM_REFLECTANCE",)
        if unit in {"counts", "absorptivity"}:
            return values, ("INTENSITY_ARBITRARY",)
    raise RecordError(
        "UNKNOWN_UNIT", f"intensities in {unit} cannot become {target}", where=where, remedy="Check the modality."
    )


def _fraction(values: FloatArray, unit: str) -> tuple[FloatArray | None, tuple[str, ...]]:
    if unit == "absorbance":
        return 10.0**-values, ()
    if unit in {"transmittance", "reflectance"}:
        flags = ("FROM_REFLECTANCE",) if unit == "reflectance" else ()
        # Files that say "transmittance" mean percent about as often as a fraction. A fraction passes 1
        # only by noise and drift, so a spectrum of which half is above 1.5 can only be percent.
        known = values[np.isfinite(values)]
        if known.size and np.median(known) > 1.5:
            return values / 100.0, (*flags, "PERCENT_ASSUMED")
        return values, flags
    if unit in {"%transmittance", "%reflectance"}:
        return values / 100.0, ("FROM_REFLECTANCE",) if unit == "%reflectance" else ()
    return None, ()
