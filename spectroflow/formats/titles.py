"""What the title of a column says: its unit, and whether it is the axis, an intensity or an uncertainty."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from spectroflow.formats.units import axis_unit, intensity_unit

Kind = Literal["axis", "intensity", "uncertainty"]

_AXIS_WORDS = re.compile(
    r"wave\s*_?(number|length)|raman\s*_?shift|\bshift\b|2\s*-?\s*(theta|θ)|two\s*_?theta|\btth\b|d-?spacing|^x$|"
    r"\bangle\b|\benergy\b|\bfrequency\b|^q$|^d$|cm-1|cm\^-1|1/cm|cm⁻¹",
    re.IGNORECASE,
)
_UNCERTAINTY_WORDS = re.compile(r"sigma|error|e\.?s\.?d|std|uncert|σ", re.IGNORECASE)
_INTENSITY_WORDS = re.compile(
    r"intens|counts?|abs|trans|refl|signal|^y$|\by\d*$|cps|amplitude|spectrum|a\.\s?u\.?|%[rt]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Title:
    """The title of one column.

    Attributes
    ----------
    text
        As the file has it.
    kind
        What the column holds, or None where the title does not tell.
    unit
        Its canonical unit, or None.
    """

    text: str
    kind: Kind | None
    unit: str | None


def read_title(text: str) -> Title:
    """Return what one title says."""
    text = text.strip().strip("\"'#").strip()
    if _UNCERTAINTY_WORDS.search(text):
        return Title(text, "uncertainty", None)
    if _AXIS_WORDS.search(text):
        return Title(text, "axis", axis_unit(text))
    if _INTENSITY_WORDS.search(text):
        return Title(text, "intensity", intensity_unit(text))
    return Title(text, None, None)


def modality_of(titles: tuple[Title, ...]) -> str | None:
    """Return the modality that column titles imply: a Raman shift, a diffraction angle, an absorbance.

    >>> modality_of((read_title("Raman shift (cm-1)"), read_title("Intensity")))
    'raman'
    """
    words = " ".join(title.text.lower() for title in titles)
    if re.search(r"raman", words):
        return "raman"
    units = {title.unit for title in titles}
    if "deg" in units or "d" in units:
        return "xrd"
    optical = {"absorbance", "transmittance", "%transmittance", "reflectance", "%reflectance"}
    return "ir" if "cm-1" in units and units & optical else None
