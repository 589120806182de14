"""PerkinElmer ASP: a count, the ends of the axis, three codes, then one intensity per line."""

from __future__ import annotations

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import Probe, RawRecord, linear_axis, suffix

_EXPORT = "Export the spectrum again."
_HEAD_LINES = 6


class Asp:
    """One infrared record; the file says neither its units nor whether it is absorbance."""

    name = "asp"
    extensions: tuple[str, ...] = (".asp",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is called so and begins with a count."""
        return suffix(name) == ".asp" and (not head or head.split(b"\n", 1)[0].strip().isdigit())

    def probe(self, data: bytes, name: str) -> Probe:
        """Look at the first line."""
        _values(data[:64], name)
        return Probe(("ir",))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectrum."""
        values = _values(data, name)
        if values.size < _HEAD_LINES or not 0 < values[0] < 1e7:
            raise RecordError("TRUNCATED", "the file ends inside its header", where=name, remedy=_EXPORT)
        points = int(values[0])
        if values.size - _HEAD_LINES < points:
            raise RecordError(
                "TRUNCATED", f"it holds {values.size - _HEAD_LINES} of {points} points", where=name, remedy=_EXPORT
            )
        return [
            RawRecord(
                axis=linear_axis(float(values[1]), float(values[2]), points, where=name),
                intensity=values[_HEAD_LINES : _HEAD_LINES + points].copy(),
                axis_unit="cm-1",
                modality="ir",
            )
        ]


def _values(data: bytes, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if not data.strip():
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    try:
        return np.array(data.split(), dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"{error}"[:120], where=name, remedy=_EXPORT) from None
