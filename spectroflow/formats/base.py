"""What a file format is: bytes in, records out.

A format is an object with a name, the extensions people give such files, and three functions:
``claims`` looks at the first bytes, ``probe`` tells cheaply how many spectra there are and of which
modality, ``read`` reads them. None of them touches the file system, so that the same code serves a
folder, a bucket and a member of an archive, and can be run in a child process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spectroflow.errors import RecordError

HEAD_BYTES = 64 << 10
"""How much of a file ``claims`` sees."""

FloatArray = npt.NDArray[np.float64]
MetadataValue = str | float | int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a cheap look at a file tells.

    Attributes
    ----------
    modalities
        One entry per spectrum in the file, in the order in which ``read`` returns them; None where
        the content does not tell.
    payload_start
        Bytes before this are names and remarks. Two files that are equal from here on hold the same
        measurement under two names.
    """

    modalities: tuple[str | None, ...]
    payload_start: int = 0


@dataclass(slots=True)
class RawRecord:
    """One spectrum as its file has it, before units and quality are dealt with.

    Attributes
    ----------
    axis, intensity
        float64 arrays of shape ``(points,)``. NaN stands for a missing value.
    axis_unit, intensity_unit
        As the file spells them, or None where it does not say.
    modality
        Name or alias of a modality, or None where the file does not say.
    sample_id, label, formula
        Which specimen was measured, the name of the material, and its composition.
    metadata
        Everything else worth a column in the record table. ``wavelength`` (in angstrom) and ``laser``
        (in nm) are used by unit conversion.
    flags
        Names of quality flags that only the reader can know.
    """

    axis: FloatArray
    intensity: FloatArray
    axis_unit: str | None = None
    intensity_unit: str | None = None
    modality: str | None = None
    sample_id: str | None = None
    label: str | None = None
    formula: str | None = None
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


@runtime_checkable
class Format(Protocol):
    """One file format; see ``docs/adding-a-format.md``."""

    name: str
    extensions: tuple[str, ...]

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether a file is of this format, from its first 64 KiB and then from its name."""
        ...

    def probe(self, data: bytes, name: str) -> Probe:
        """Return the modality of each spectrum in the file; raise :class:`RecordError` if there is none."""
        ...

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra of the file; raise :class:`RecordError` if one cannot be read."""
        ...


def suffix(name: str) -> str:
    """Return the extension of a file name in lower case with its dot, or an empty string."""
    base = name.rsplit("/", 1)[-1]
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def decode(data: bytes) -> str:
    """Return the text of a file's header: UTF-8 where it is, else Windows-1252, which cannot fail."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def number(text: object) -> float | None:
    """Return a header value as a float, or None if it is not a finite number."""
    try:
        value = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def linear_axis(first: float, last: float, points: int, *, where: str = "") -> FloatArray:
    """Return ``points`` regularly spaced values from ``first`` to ``last``, both included.

    Raises
    ------
    RecordError
        ``BAD_AXIS`` if an end is not finite or the step is zero.
    """
    if not (math.isfinite(first) and math.isfinite(last)) or (points > 1 and first == last):
        raise RecordError(
            "BAD_AXIS",
            f"an axis of {points} points from {first:g} to {last:g} has no step",
            where=where,
            remedy="The header of the file is damaged; export the spectrum again.",
        )
    return np.linspace(first, last, points, dtype=np.float64)
