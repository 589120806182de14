"""Renishaw WDF: single Raman spectra, series and maps.

The layout is the one that the ``renishawWiRE`` package documents (https://github.com/alchem0x2A/py-wdf-reader);
with that package the tests compare. Every length is checked before it is followed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, decode

_EXPORT = "Export the spectrum as text."
_BLOCK = struct.Struct("<4sIQ")
_HEADER = 512
_MOST_RECORDS = 1 << 22
_MOST_BLOCKS = 10_000

_UNITS = {1: "cm-1", 2: "nm", 3: "nm", 4: "eV"}
_RAMAN_SHIFT = 1
_ORIGINS = {3: "x", 4: "y", 5: "z", 11: "time"}
_SCANS = {1: "single", 2: "series", 3: "map"}


@dataclass(frozen=True, slots=True)
class _File:
    points: int
    count: int
    x_points: int
    origins: int
    capacity: int
    blocks: dict[bytes, tuple[int, int]]
    x_unit: int


class Wdf:
    """One record per spectrum, with its position on the sample."""

    name = "wdf"
    extensions: tuple[str, ...] = (".wdf",)

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether it begins with WiRE's header block."""
        return head.startswith(b"WDF1")

    def probe(self, data: bytes, name: str) -> Probe:
        """Read the header."""
        file = _open(data, name)
        return Probe((_modality(file),) * file.count)

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra in the order of measurement."""
        file = _open(data, name)
        axis = np.frombuffer(data, "<f4", file.x_points, file.blocks[b"XLST"][0] + 8).astype(np.float64)
        at = file.blocks[b"DATA"][0]
        spectra = np.frombuffer(data, "<f4", file.count * file.points, at).reshape(file.count, file.points)
        common = _metadata(data)
        places = _origins(data, file)
        records = []
        for index in range(file.count):
            metadata = dict(common)
            if file.count > 1:
                metadata["spectrum"] = index
                metadata |= {key: float(values[index]) for key, values in places.items()}
            records.append(
                RawRecord(
                    axis=axis.copy(),
                    intensity=spectra[index].astype(np.float64),
                    axis_unit=_UNITS.get(file.x_unit),
                    intensity_unit="counts",
                    modality=_modality(file),
                    metadata=metadata,
                )
            )
        return records


def _open(data: bytes, name: str) -> _File:
    if len(data) < _HEADER:
        raise RecordError("TRUNCATED", "the file ends inside its header", where=name, remedy=_EXPORT)
    points, capacity, count, _, _, x_points, origins = struct.unpack_from("<IQQIIII", data, 60)
    blocks: dict[bytes, tuple[int, int]] = {}
    at = 0
    for _ in range(_MOST_BLOCKS):
        if at + _BLOCK.size > len(data):
            break
        kind, _, size = _BLOCK.unpack_from(data, at)
        if size < _BLOCK.size or at + size > len(data):
            raise RecordError("TRUNCATED", "a block reaches beyond the end of the file", where=name, remedy=_EXPORT)
        blocks.setdefault(kind, (at + _BLOCK.size, size - _BLOCK.size))
        at += size
    if b"DATA" not in blocks or b"XLST" not in blocks:
        raise RecordError("TRUNCATED", "it has no spectra or no axis", where=name, remedy=_EXPORT)
    if count > _MOST_RECORDS:
        raise RecordError("HOSTILE_FILE", f"its header declares {count} spectra", where=name, remedy=_EXPORT)
    if count < 1 or points < 1:
        raise RecordError("NO_DATA", "it has no finished spectrum", where=name, remedy=_EXPORT)
    if 4 * count * points > blocks[b"DATA"][1] or 4 * x_points + 8 > blocks[b"XLST"][1] or x_points != points:
        raise RecordError(
            "TRUNCATED", f"{count} spectra of {points} points do not fit into it", where=name, remedy=_EXPORT
        )
    x_unit = struct.unpack_from("<I", data, blocks[b"XLST"][0] + 4)[0]
    return _File(points, int(count), x_points, origins, int(capacity), blocks, x_unit)


def _modality(file: _File) -> str | None:
    return "raman" if file.x_unit == _RAMAN_SHIFT else None


def _metadata(data: bytes) -> dict[str, MetadataValue]:
    measurement, laser = struct.unpack_from("<I", data, 132)[0], struct.unpack_from("<f", data, 156)[0]
    metadata: dict[str, MetadataValue] = {
        "instrument": "Renishaw",
        "operator": _text(data[208:240]),
        "title": _text(data[240:400]),
        "measurement": _SCANS.get(measurement, ""),
    }
    if np.isfinite(laser) and laser > 0:
        metadata["laser"] = 1e7 / float(laser)
    return {key: value for key, value in metadata.items() if value != ""}


def _text(data: bytes) -> str:
    return decode(data.split(b"\0", 1)[0]).strip()


def _origins(data: bytes, file: _File) -> dict[str, FloatArray]:
    """Return the positions on the sample of each spectrum."""
    if b"ORGN" not in file.blocks:
        return {}
    at, size = file.blocks[b"ORGN"]
    step = 24 + 8 * file.capacity
    found: dict[str, FloatArray] = {}
    for index in range(min(file.origins, 64)):
        start = at + 4 + index * step
        if file.capacity > size or start + 24 + 8 * file.count > at + size:
            break
        kind = struct.unpack_from("<I", data, start)[0] & 0x7FFFFFFF
        if kind in _ORIGINS and kind != 11:
            found[_ORIGINS[kind]] = np.frombuffer(data, "<f8", file.count, start + 24)
    return found
