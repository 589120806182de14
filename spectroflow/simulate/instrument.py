"""What a sample and an instrument make of a material: the measured axis and intensity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from spectroflow.simulate.diffraction import powder_lines
from spectroflow.simulate.material import Material, rng_for
from spectroflow.simulate.profiles import draw, total_fwhm, true_lines, voigt_fwhm
from spectroflow.simulate.prototypes import Array

COPPER = (1.54056, 1.54439, 0.5)  # K-alpha-1 and K-alpha-2 in angstrom, second to first intensity
_GRUENEISEN = 1.2
_SPREAD_OF_SNR = 0.35  # of its logarithm


@dataclass(frozen=True, slots=True)
class Sample:
    """What the modalities of one physical sample share.

    Attributes
    ----------
    strain
        Relative change of all lengths; it moves Bragg lines and, by the Grueneisen relation, vibrations.
    crystallinity
        Factor on the natural width of vibrations.
    grains
        Crystals in the laser spot; few of them leave the orientation visible. 0 stands for a fine powder.
    texture
        March-Dollase parameter of the packed powder.
    size
        Size of coherently scattering domains in angstrom.
    """

    strain: float
    crystallinity: float
    grains: int
    texture: float
    size: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured spectrum and what is true of it: ``clean`` is without noise and cosmic rays."""

    axis: Array
    intensity: Array
    clean: Array
    background: Array
    lines: Array
    facts: dict[str, str | float | int]


def sample(seed: int, material: int, index: int) -> Sample:
    """Return sample ``index`` of a material."""
    rng = rng_for(seed, "sample", material, index)
    return Sample(
        strain=5e-4 * float(rng.standard_normal()),
        crystallinity=float(np.exp(0.15 * rng.standard_normal())),
        grains=int(rng.choice([0, 1, 3, 12], p=[0.45, 0.15, 0.2, 0.2])),
        texture=float(np.clip(1 - np.abs(0.12 * rng.standard_normal()), 0.6, 1.0)),
        size=float(np.clip(600 * np.exp(0.5 * rng.standard_normal()), 150, 4000)),
    )


def raman(material: Material, sample: Sample, snr: float, rng: np.random.Generator) -> Measurement:
    """Measure Raman counts: dispersive pixels, fluorescence, Poisson and readout noise, rare cosmic rays."""
    laser = float(rng.choice([532.0, 780.0, 785.0], p=[0.5, 0.3, 0.2]))
    axis = _raman_axis(laser, rng)
    offset = 0.5 * float(rng.standard_normal())
    gaussian = float(rng.uniform(2.5, 5.0)) * (1.0 if laser < 600 else 1.2)
    bands = material.raman
    strength = _oriented(bands.tensors, bands.strength, sample.grains, rng)
    shape = _vibration_lines(bands.center, strength, bands.lorentzian, sample, offset, gaussian, axis)
    signal = draw(axis, shape, kind="voigt")
    fluorescence = float(np.exp(rng.normal(-1.2 if laser > 600 else -0.5, 0.9)))
    background = fluorescence * _smooth(axis, 4, rng) + 0.02
    wanted = snr * float(np.exp(_SPREAD_OF_SNR * rng.standard_normal()))
    # Counts h of the strongest line such that h / sqrt(b h + readout^2) is the ratio wanted.
    level, readout = float(np.median(background)), 6.0
    height = (wanted**2 * level + np.sqrt(wanted**4 * level**2 + 4 * wanted**2 * readout**2)) / 2
    clean = height * (signal + background)
    counts = rng.poisson(clean) + readout * rng.standard_normal(len(axis))
    hits = int(rng.poisson(0.12))
    for _ in range(hits):
        place = int(rng.integers(len(axis) - 1))
        counts[place : place + int(rng.integers(1, 3))] += height * float(rng.uniform(0.3, 2.0))
    shape[:, [1, 4]] *= height
    facts: dict[str, str | float | int] = {
        "laser_nm": laser,
        "axis_offset_cm-1": round(offset, 4),
        "cosmic_rays": hits,
        "orientation": "unoriented" if sample.grains == 0 else f"{sample.grains} grains",
        "snr": round(float(height / np.sqrt(height * level + readout**2)), 3),
    }
    return Measurement(axis, np.round(counts, 3), clean, height * background, shape, facts)


def infrared(material: Material, sample: Sample, snr: float, rng: np.random.Generator) -> Measurement:
    """Measure infrared absorbance: interferometer sampling, scattering baseline, noise of transmission."""
    step = float(rng.choice([0.9643, 1.9285, 1.9285, 3.857]))
    start = step * np.ceil(float(rng.uniform(380.0, 402.0)) / step)
    stop = float(rng.choice([1800.0, 2200.0, 4000.0], p=[0.3, 0.4, 0.3]))
    axis = np.arange(start, stop, step)
    offset = 0.3 * float(rng.standard_normal())
    gaussian = float(rng.uniform(3.0, 9.0)) + step
    bands = material.infrared
    shape = _vibration_lines(bands.center, bands.strength, bands.lorentzian, sample, offset, gaussian, axis)
    top = float(rng.uniform(0.15, 0.9))
    scatter = 0.12 * float(rng.random()) * (axis / axis[-1]) ** 2
    background = top * (scatter + 0.05 * float(rng.random()) * _smooth(axis, 3, rng)) + 0.002
    signal = draw(axis, shape, kind="voigt")
    clean = top * signal + background
    sigma = top / (snr * float(np.exp(_SPREAD_OF_SNR * rng.standard_normal())))
    # The detector's noise is even in transmission; in absorbance it grows as 10^A.
    intensity = clean + sigma * 10 ** np.clip(clean, 0.0, 2.0) * rng.standard_normal(len(axis))
    shape[:, [1, 4]] *= top
    facts: dict[str, str | float | int] = {"axis_offset_cm-1": round(offset, 4), "snr": round(float(top / sigma), 3)}
    return Measurement(axis, np.round(intensity, 7), clean, background, shape, facts)


def diffraction(material: Material, sample: Sample, snr: float, rng: np.random.Generator) -> Measurement:
    """Measure a powder pattern: copper K-alpha pairs, Caglioti and Scherrer widths, Poisson counts."""
    step = float(rng.choice([0.01, 0.02, 0.02]))
    axis = np.round(np.arange(5.0, 90.0 + step / 2, step), 4)
    zero = 0.03 * float(rng.standard_normal())
    two_theta, strength = powder_lines(material.diffraction, COPPER[0] / (1 + sample.strain), sample.texture)
    theta = np.radians(two_theta / 2)
    # Caglioti's U, V, W in degrees^2 of a laboratory diffractometer; Scherrer and strain broadening in degrees.
    u, v, w = 0.004 * float(rng.uniform(0.5, 2)), -0.003, 0.005 * float(rng.uniform(0.7, 2.0))
    gaussian = np.sqrt(np.maximum(u * np.tan(theta) ** 2 + v * np.tan(theta) + w, 4e-4))
    size = np.degrees(0.9 * COPPER[0] / (sample.size * np.cos(theta)))
    lorentzian = size + np.degrees(4 * (3e-4 + 8e-4 * material.disorder) * np.tan(theta))
    strength = strength / total_fwhm(gaussian, lorentzian)
    inside = (two_theta > axis[0]) & (two_theta < axis[-1])
    strength, two_theta = strength[inside] / strength[inside].max(), two_theta[inside]
    shape = true_lines(two_theta + zero, strength, gaussian[inside], lorentzian[inside], kind="pseudo-voigt")
    shape = shape[shape[:, 1] > 1e-3]
    level = float(np.exp(rng.normal(np.log(60.0), 0.3)))
    amorphous = np.exp(-(((axis - 25.0) / 9.0) ** 2)) * float(rng.random()) * 0.4
    background = level * (0.75 + 1.6 * np.exp(-(axis - 5.0) / 9.0) + amorphous)
    wanted = snr * float(np.exp(_SPREAD_OF_SNR * rng.standard_normal()))
    height = wanted * float(np.sqrt(np.median(background)))
    clean = height * draw(axis, shape, kind="pseudo-voigt", partner=COPPER) + background
    shape[:, [1, 4]] *= height
    facts: dict[str, str | float | int] = {"zero_shift_deg": round(zero, 5), "snr": round(wanted, 3)}
    return Measurement(axis, rng.poisson(clean).astype(np.float64), clean, background, shape, facts)


def _vibration_lines(
    center: Array, strength: Array, lorentzian: Array, sample: Sample, offset: float, gaussian: float, axis: Array
) -> Array:
    """Return true lines with the strongest height 1, those outside the axis left out."""
    place = center * (1 - 3 * _GRUENEISEN * sample.strain) + offset
    width = lorentzian * sample.crystallinity
    inside = (place > axis[0]) & (place < axis[-1])
    place, width = place[inside], width[inside]
    height = strength[inside] / voigt_fwhm(np.full(len(width), gaussian), width)
    height = height / height.max(initial=1e-300)
    seen = height > 1e-3
    return true_lines(place[seen], height[seen], np.full(int(seen.sum()), gaussian), width[seen], kind="voigt")


def _raman_axis(laser: float, rng: np.random.Generator) -> Array:
    """Return shifts of pixels that are even in wavelength (nm), as a grating spreads them."""
    start, stop = float(rng.uniform(60.0, 140.0)), float(rng.uniform(1310.0, 1520.0))
    step = float(rng.choice([0.5, 1.0, 1.4, 2.0]))
    first, last = (1 / (1 / laser - shift * 1e-7) for shift in (start, stop))
    pixels = int((stop - start) / step)
    return np.asarray(1e7 * (1 / laser - 1 / np.linspace(first, last, pixels)))


def _smooth(axis: Array, degree: int, rng: np.random.Generator) -> Array:
    """Return a random positive smooth curve with mean 1."""
    x = np.linspace(-1, 1, len(axis))
    coefficients = rng.standard_normal(degree + 1) / (1 + np.arange(degree + 1)) ** 1.2
    curve = np.exp(0.7 * chebyshev.chebval(x, coefficients))
    return np.asarray(curve / curve.mean())


def _oriented(tensors: Array, powder: Array, grains: int, rng: np.random.Generator) -> Array:
    """Return band strengths of a few crystals at random orientations, or of the powder for none.

    Back scattering along z, polarised along x, no analyser: ``sum over s in x, y of (e_s R e_x)^2``.
    """
    if grains == 0:
        return powder
    total = np.zeros(len(powder))
    for _ in range(grains):
        matrix, triangle = np.linalg.qr(rng.standard_normal((3, 3)))
        matrix = matrix * np.sign(np.diag(triangle))
        seen = np.einsum("bmij,is,j->bms", tensors, matrix[:, :2], matrix[:, 0])
        total += (seen**2).sum(axis=(1, 2))
    return np.asarray(total / grains)
