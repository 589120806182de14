"""Open Specy's wide CSV: wavenumbers and then names of facts in the first line, one spectrum per line below."""

from __future__ import annotations

import csv
import io

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, Probe, RawRecord, decode, number, suffix

_FEWEST_POINTS = 16
_EXPORT = "Export the spectra again."
_LABEL = "spectrum_identity"
_KIND = "spectrum_type"


class OpenSpecy:
    """One record per line."""

    name = "openspecy"
    extensions: tuple[str, ...] = (".csv",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether the first line is an ascending row of numbers that names a kind of spectrum after them."""
        if suffix(name) != ".csv":
            return False
        first = head.split(b"\n", 1)[0].decode("latin-1")
        return f",{_KIND}" in first and number(first.split(",", 1)[0]) is not None

    def probe(self, data: bytes, name: str) -> Probe:
        """Look at the kind in each line."""
        _, titles, rows = _table(data, name)
        return Probe(tuple(_modality(titles, row) for row in rows))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra."""
        axis, titles, rows = _table(data, name)
        records = []
        for index, row in enumerate(rows):
            if len(row) < len(titles):
                raise RecordError("TRUNCATED", f"line {index + 2} is too short", where=name, remedy=_EXPORT)
            facts = dict(zip(titles[axis.size :], (cell.strip()[:200] for cell in row[axis.size :]), strict=False))
            label = facts.pop(_LABEL, "")
            facts.pop(_KIND, "")
            records.append(
                RawRecord(
                    axis=axis.copy(),
                    intensity=_numbers(row[: axis.size], index + 2, name),
                    axis_unit="cm-1",
                    modality=_modality(titles, row),
                    label=label or None,
                    metadata={"spectrum": index, **{key: value for key, value in facts.items() if value}},
                )
            )
        return records


def _table(data: bytes, name: str) -> tuple[FloatArray, list[str], list[list[str]]]:
    try:
        lines = list(csv.reader(io.StringIO(decode(data), newline="")))
    except csv.Error as error:
        raise RecordError("BAD_NUMBER", f"not a valid CSV file: {error}", where=name, remedy=_EXPORT) from None
    rows = [line for line in lines[1:] if any(cell.strip() for cell in line)]
    titles = [cell.strip() for cell in lines[0]] if lines else []
    points = next((i for i, title in enumerate(titles) if number(title) is None), len(titles))
    if points < _FEWEST_POINTS or not rows:
        raise RecordError("NO_DATA", "there is no spectrum below its wavenumbers", where=name, remedy=_EXPORT)
    return _numbers(titles[:points], 1, name), titles, rows


def _numbers(cells: list[str], line: int, name: str) -> FloatArray:
    try:
        return np.array([cell if cell.strip() not in {"", "NA"} else "nan" for cell in cells], dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"line {line}: {error}"[:120], where=name, remedy=_EXPORT) from None


def _modality(titles: list[str], row: list[str]) -> str | None:
    place = titles.index(_KIND) if _KIND in titles else len(row)
    return row[place].strip().lower() or None if place < len(row) else None
