"""The names and order of what a fit yields. They are part of the archive format."""

from __future__ import annotations

from enum import IntFlag

LINE_PARAMETERS = (
    "center",
    "height",
    "fwhm",
    "shape",
    "area",
    "center_sigma",
    "height_sigma",
    "fwhm_sigma",
    "shape_sigma",
    "area_sigma",
    "flags",
)
"""Last axis of the lines array. Positions and widths in axis units, heights in intensity units."""

FIT_QUANTITIES = ("lines", "noise_sigma", "chi2_reduced", "snr", "baseline_rms", "iterations", "flags")
"""Last axis of the fit array: one value of each per spectrum."""


class Flag(IntFlag):
    """What a reader should know about a line or about a whole spectrum.

    Values are bits; they are stored as float32, which holds integers up to 2**24 exactly.
    """

    NO_PEAKS = 1
    """Spectrum: no line stands out of the noise."""
    MAX_ITER = 2
    """Spectrum: the fit was still improving when its iterations were used up."""
    AT_BOUND = 4
    """Line: centre, width or shape lies on its bound."""
    SINGULAR_COV = 8
    """Line: no uncertainty, because the data do not determine some parameter."""
    BLENDED = 16
    """Line: another line lies within half the sum of the two widths."""
    SATURATED = 32
    """The detector was at its limit there; those points were left out."""
    MASKED = 64
    """Spectrum: some points inside the range were not finite or masked."""
    SIGMA_ESTIMATED = 128
    """Spectrum: the noise was estimated from second differences, not known from counts."""
    BAD_CHI2 = 256
    """The reduced chi-square is above 2: the model does not describe the data to the noise."""
    EDGE = 512
    """Line: its centre is within one width of an end of the data."""
    CAP = 1024
    """Spectrum: more lines were found than there are slots; the weakest were dropped."""
    NO_NOISE = 2048
    """Spectrum: the data vary too little to estimate a noise; a millionth of the range was taken."""
    AXIS_REPAIRED = 4096
    """Spectrum: the axis did not ascend strictly; points were sorted and repeats averaged."""
    TOO_SHORT = 8192
    """Spectrum: fewer points than a line has parameters; nothing was fitted."""
    COUNTS = 16384
    """Spectrum: the noise was taken from counting statistics."""
    CORRELATED = 32768
    """Spectrum: the noise is correlated (smoothed or interpolated data); its standard deviation was raised to
    what it is on the scale of lines."""
