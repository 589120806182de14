"""What may be wrong with a spectrum that can still be used: named flags, kept as a bit mask."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np

from spectroflow.formats.base import FloatArray
from spectroflow.formats.survey import extent, steps

LEAST_SNR = 5.0
"""A thousand points of nothing but noise reach about 3.3; above this there is a line."""

HELD = 4
"""Neighbouring points at the highest value that make it look cut off."""

_FEWEST = 16
"""Points below which nothing is said of single ones."""

FLAGS: MappingProxyType[str, int] = MappingProxyType(
    {
        name: 1 << bit
        for bit, name in enumerate(
            (
                "DESCENDING",  # the axis descended and was reversed
                "UNSORTED",  # the axis went to and fro and was sorted
                "REPEATED_AXIS",  # points at the same position were averaged
                "MISSING_POINTS",  # NaN or infinite values were masked or dropped
                "ZERO_PADDED",  # exact zeros at the ends were masked
                "GAPS",  # a step of the axis is far wider than the usual one
                "SATURATED",  # the highest value is held over several points
                "SPIKES",  # single points stand out as cosmic rays do
                "FLAT",  # every value is the same
                "NEGATIVE",  # more than a tenth of the values are clearly below zero
                "AXIS_CONVERTED",  # the axis came in another unit
                "INTENSITY_CONVERTED",  # the intensities came in another unit
                "AXIS_UNIT_ASSUMED",  # the file does not say the unit of the axis
                "INTENSITY_UNIT_ASSUMED",  # the file does not say the unit of the intensities
                "INTENSITY_ARBITRARY",  # the intensities are in arbitrary units where absorbance is usual
                "SUSPECT_TRANSMITTANCE",  # called absorbance, but looks like transmittance
                "PERCENT_ASSUMED",  # transmittance above one was taken as percent
                "FROM_REFLECTANCE",  # apparent absorbance, log10(1/R)
                "COLUMNS_ASSUMED",  # the meaning of a column was taken from its values
                "STICKS",  # a list of positions and heights, not a measured profile
                "LOW_SNR",  # the highest point is less than five times the noise above the median
                "OTHER_WAVELENGTH",  # X-rays of another wavelength than the modality's, so lines lie elsewhere
            )
        )
    }
)
"""The bits are part of the archive: a name never changes its bit, and new ones are added at the end."""


def mask_of(names: Iterable[str]) -> int:
    """Return the bit mask of some flag names; raise ``KeyError`` for a name that is no flag."""
    mask = 0
    for name in names:
        mask |= FLAGS[name]
    return mask


def names_of(mask: int) -> list[str]:
    """Return the names of the flags set in a bit mask."""
    return [name for name, bit in FLAGS.items() if mask & bit]


def padding(intensity: FloatArray) -> tuple[int, int]:
    """Return how many points at the start and at the end are zero padding.

    Exact zeros at an end are padding where zero is not a value that this spectrum takes: at most one
    point in fifty between the ends is zero as well. So a single zero is padding in a spectrum that has
    no other, and is not in a count of few photons or in a computed pattern that was rounded to zero.
    """
    _, first, last, zeros = extent(intensity, np.inf)
    inside = last - first + 1
    if first < 0 or zeros > 0.02 * inside:
        return 0, 0
    return first, intensity.size - 1 - last


def has_gaps(axis: FloatArray) -> bool:
    """Say whether a step of an ascending axis is more than ten times the median step."""
    if axis.size < 4:
        return False
    least, widest = steps(axis)
    # The median is at least the least step, which is cheaper to find and decides nearly always.
    return widest > 10.0 * least and bool(widest > 10.0 * np.median(np.diff(axis)))


def is_saturated(known: FloatArray, held: int) -> bool:
    """Say whether a highest value that so many points hold, several neighbours among them, is a full detector's.

    A spectrum of few different values repeats its highest one by chance.
    """
    return bool(known.size >= _FEWEST and held < known.size // 2 and np.unique(known).size > 8)


def has_spikes(known: FloatArray) -> bool:
    """Say whether single points stand far above both neighbours, as a cosmic ray does.

    The height of each point above the mean of its neighbours is compared with a robust estimate of the
    noise of that quantity (1.4826 times its median absolute deviation): beyond 20 of those, and larger
    than half of the spectrum's own span above its median, it is not a line.
    """
    if known.size < _FEWEST:
        return False
    second = known[1:-1] - 0.5 * (known[:-2] + known[2:])
    top = int(np.argmax(second)) + 1
    height = float(second[top - 1])
    if height <= 0.5 * float(np.ptp(known)):
        return False
    noise = 1.4826 * float(np.median(np.abs(second)))
    # One point wide: both neighbours are nearer to the rest than to the top.
    middle = float(np.median(known))
    beside = max(float(known[top - 1]), float(known[top + 1])) - middle
    return height > 20.0 * noise and beside < 0.3 * (float(known[top]) - middle)


def looks_like_transmittance(known: FloatArray) -> bool:
    """Say whether values that are called absorbance behave like transmittance.

    An absorbance above 10 means that one photon in ten thousand million came through, which no
    instrument measures; percent transmittance sits near 100 with lines that point down.
    """
    if known.size < 8 or 2 * np.count_nonzero(known > 0.3) < known.size:
        return False
    low, median, high = np.quantile(known, (0.02, 0.5, 0.98))
    percent = median > 10.0 and high <= 150.0
    down = high > low and (median - low) > 2.0 * (high - median)
    fraction = median > 0.3 and high <= 1.1 and low >= -0.05 and down and high > 0.8
    return bool((percent and down) or fraction)
