"""Bruker/Siemens UXD: diffraction ranges as text, ``_KEY=value`` lines and blocks of counts."""

from __future__ import annotations

import re

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, decode, number, suffix

_BLOCK = re.compile(r"^_(2THETA)?(COUNTS|CPS)\s*(=.*)?$", re.IGNORECASE)
_EXPORT = "Export the measurement again."
_COLUMNS = {
    "_DATEMEASURED": "date",
    "_ANODE": "anode",
    "_WL1": "wavelength",
    "_STEPTIME": "seconds_per_step",
    "_USER": "user",
}


class Uxd:
    """One record per range."""

    name = "uxd"
    extensions: tuple[str, ...] = (".uxd",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is called so, or begins with the version line."""
        return suffix(name) == ".uxd" or b"\n_FILEVERSION=" in b"\n" + head[:4096]

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the ranges."""
        lines = decode(data).splitlines()
        return Probe(("xrd",) * _require(sum(bool(_BLOCK.match(line.strip())) for line in lines), data, name))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one pattern per range."""
        keys: dict[str, str] = {}
        records: list[RawRecord] = []
        body: list[str] = []
        block: re.Match[str] | None = None
        for line in [*decode(data).splitlines(), "_END=1"]:
            text = line.strip()
            if not text or text.startswith(";"):
                continue
            if not text.startswith("_"):
                body.append(text)
                continue
            if block is not None:
                records.append(_record(keys, block, body, name))
            block, body = _BLOCK.match(text), []
            if block is None:
                key, _, value = text.partition("=")
                keys[key.strip().upper()] = value.strip().strip("'\"")
        _require(len(records), data, name)
        for index, record in enumerate(records):
            if len(records) > 1:
                record.metadata["spectrum"] = index
        return records


def _require(count: int, data: bytes, name: str) -> int:
    if not data.strip():
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    if not count:
        raise RecordError("NO_DATA", "there is no range of counts in it", where=name, remedy=_EXPORT)
    return count


def _record(keys: dict[str, str], block: re.Match[str], body: list[str], name: str) -> RawRecord:
    try:
        values = np.array(" ".join(body).replace(",", " ").split(), dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"{error}"[:120], where=name, remedy=_EXPORT) from None
    if block.group(1):
        if values.size % 2:
            raise RecordError("TRUNCATED", "an angle lacks its count", where=name, remedy=_EXPORT)
        axis, intensity = values[::2].copy(), values[1::2].copy()
    else:
        axis, intensity = _regular(keys, values.size, name), values
    metadata: dict[str, MetadataValue] = {}
    for key, column in _COLUMNS.items():
        if keys.get(key):
            told = number(keys[key]) if column in {"wavelength", "seconds_per_step"} else None
            metadata[column] = keys[key] if told is None else told
    return RawRecord(
        axis=axis,
        intensity=intensity,
        axis_unit="deg",
        intensity_unit="cps" if block.group(2).upper() == "CPS" else "counts",
        modality="xrd",
        label=keys.get("_SAMPLE") or None,
        metadata=metadata,
    )


def _regular(keys: dict[str, str], points: int, name: str) -> FloatArray:
    start = number(keys.get("_2THETA") or keys.get("_START", ""))
    step = number(keys.get("_STEPSIZE", ""))
    if start is None or not step:
        raise RecordError("BAD_AXIS", "a range has no start or no step", where=name, remedy=_EXPORT)
    count = number(keys.get("_STEPCOUNT", ""))
    if count is not None and points < count:
        raise RecordError("TRUNCATED", f"{points} counts where {count:.0f} were announced", where=name, remedy=_EXPORT)
    return start + step * np.arange(points, dtype=np.float64)
