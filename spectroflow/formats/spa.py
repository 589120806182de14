"""Thermo OMNIC SPA: one spectrum behind a table of sections.

Nicolet never published the layout; the fields read here are the ones that spectrochempy and other open
readers agree on, and every one is checked.
"""

from __future__ import annotations

import struct

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import Probe, RawRecord, decode, linear_axis

_MAGIC = b"Spectral Data File"
_EXPORT = "Export the spectrum as JCAMP-DX or CSV."
_FIRST_SECTION = 304
_SECTION = 16
_MOST_SECTIONS = 512
_HEADER, _NUMBERS = 2, 3
_X_UNITS = {1: "cm-1", 3: "nm", 4: "um", 32: "cm-1"}
_RAMAN_SHIFT = 32
_Y_UNITS = {11: "%reflectance", 12: "log(1/R)", 16: "%transmittance", 17: "absorbance", 20: "kubelka-munk",
            21: "reflectance", 31: "counts"}  # fmt: skip
_RAMAN_INTENSITY = 31


class Spa:
    """One record."""

    name = "spa"
    extensions: tuple[str, ...] = (".spa",)

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether it begins with OMNIC's line."""
        return head.startswith(_MAGIC)

    def probe(self, data: bytes, name: str) -> Probe:
        """Read the header."""
        (_, x_unit, y_unit, _, _), _ = _sections(data, name)
        return Probe((_modality(x_unit, y_unit),))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectrum."""
        (points, x_unit, y_unit, first, last), (at, size) = _sections(data, name)
        if 4 * points > size:
            raise RecordError("TRUNCATED", f"{points} points do not fit into it", where=name, remedy=_EXPORT)
        return [
            RawRecord(
                axis=linear_axis(first, last, points, where=name),
                intensity=np.frombuffer(data, "<f4", points, at).astype(np.float64),
                axis_unit=_X_UNITS.get(x_unit, f"OMNIC unit {x_unit}"),
                intensity_unit=_Y_UNITS.get(y_unit, f"OMNIC unit {y_unit}"),
                modality=_modality(x_unit, y_unit),
                label=decode(data[30:286].split(b"\0", 1)[0]).strip() or None,
            )
        ]


def _sections(data: bytes, name: str) -> tuple[tuple[int, int, int, float, float], tuple[int, int]]:
    header: tuple[int, int, int, float, float] | None = None
    numbers: tuple[int, int] | None = None
    try:
        for index in range(_MOST_SECTIONS):
            at = _FIRST_SECTION + index * _SECTION
            kind = data[at] if at < len(data) else 0
            if kind in {0, 1}:
                break
            start, size = struct.unpack_from("<II", data, at + 2)
            if kind == _HEADER and header is None:
                points, x_unit = struct.unpack_from("<IB", data, start + 4)
                first, last = struct.unpack_from("<ff", data, start + 16)
                header = points, x_unit, data[start + 12], first, last
            elif kind == _NUMBERS and numbers is None and start + size <= len(data):
                numbers = start, size
    except (struct.error, IndexError):
        raise RecordError(
            "TRUNCATED", "a section lies beyond the end of the file", where=name, remedy=_EXPORT
        ) from None
    if header is None or numbers is None:
        raise RecordError("TRUNCATED", "it has no header or no numbers", where=name, remedy=_EXPORT)
    return header, numbers


def _modality(x_unit: int, y_unit: int) -> str | None:
    if x_unit == _RAMAN_SHIFT or y_unit == _RAMAN_INTENSITY:
        return "raman"
    return "ir" if _X_UNITS.get(x_unit) == "cm-1" and y_unit in _Y_UNITS else None
