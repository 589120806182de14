"""Galactic SPC: the binary files of GRAMS and many spectrometers.

Laid out as in Galactic's "A Brief Guide to SPC File Format" and its ``SPC.H``: the header of version
``K`` (new, least significant byte first) and ``M`` (old), one or many subfiles, with regular, common or
own abscissas. Refused: version ``L`` (most significant byte first) and Shimadzu's and others' variants.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, decode, linear_axis, number, suffix

_NEW_HEADER = struct.Struct("<BBBbIddIBBBBI9s9sH32s130s30sIIBBHf48sfIfB187s")
_OLD_HEADER = struct.Struct("<BBhfffBBHBBBB8sHH28s130s30s32s")
_SUBHEADER = struct.Struct("<BbHfffIIf4s")
_NEW, _OLD, _BIG_ENDIAN = 0x4B, 0x4D, 0x4C
_SHORT, _MANY, _LABELS, _OWN_X, _GIVEN_X = 0x01, 0x04, 0x20, 0x40, 0x80
_FLOATS = -128

_X_UNITS = {1: "cm-1", 2: "um", 3: "nm", 4: "s", 6: "Hz", 9: "m/z", 10: "ppm", 13: "cm-1", 14: "eV", 18: "deg"}
_Y_UNITS = {
    0: "arbitrary units", 2: "absorbance", 3: "kubelka-munk", 4: "counts", 10: "log(1/R)", 11: "percent",
    12: "intensity", 13: "intensity", 128: "transmittance", 129: "reflectance", 131: "emission",
}  # fmt: skip
_TECHNIQUES = {5: "near infrared", 7: "uv-vis", 8: "xrd", 9: "mass spectrum", 10: "nmr spectrum", 11: "raman",
               12: "fluorescence"}  # fmt: skip
_RAMAN_SHIFT = 13
_OPTICAL = frozenset({2, 3, 10, 11, 128, 129})
_MOST_LOG_LINES = 64


@dataclass(frozen=True, slots=True)
class _Header:
    old: bool
    flags: int
    exponent: int
    points: int
    first: float
    last: float
    subfiles: int
    x_type: int
    y_type: int
    technique: int
    memo: bytes
    labels: bytes
    log_at: int
    date: str
    start: int


class Spc:
    """Thermo Galactic SPC, versions ``K`` and ``M``."""

    name = "spc"
    extensions: tuple[str, ...] = (".spc",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether every field of a new header is possible, or it is called so and is no text."""
        if _is_new_header(head):
            return True
        return suffix(name) == ".spc" and (not head or (len(head) < 2 or b"\0" in head[:512]))

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the subfiles by walking over their headers."""
        header = _header(data, name)
        return Probe((_modality(header),) * len(_subfiles(data, header, name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one spectrum per subfile."""
        header = _header(data, name)
        found = _subfiles(data, header, name)
        common = _metadata(data, header)
        records = []
        for index, (at, sub) in enumerate(found):
            metadata = dict(common)
            if len(found) > 1:
                metadata |= {"spectrum": index, "z": round(sub.z, 9)}
                if sub.w:
                    metadata["w"] = round(sub.w, 9)
            records.append(_record(data, header, at, sub, metadata, name))
        return records


def _is_new_header(head: bytes) -> bool:
    """Say whether bytes can only be a new header: two of them alone prove nothing, but all its fields do."""
    if len(head) < _NEW_HEADER.size or head[1] != _NEW:
        return False
    h = _NEW_HEADER.unpack_from(head)
    exponent, first, last, subfiles, x_type, y_type = h[3], h[5], h[6], h[7], h[8], h[9]
    ends = bool(np.isfinite(first) and np.isfinite(last)) and max(abs(first), abs(last)) < 1e9
    types = (x_type <= 30 or x_type == 255) and (y_type <= 26 or 128 <= y_type <= 131)
    return ends and types and -128 <= exponent <= 64 and 0 < subfiles < 1 << 20 and not any(h[-1])


@dataclass(frozen=True, slots=True)
class _Sub:
    exponent: int
    points: int
    z: float
    w: float


def _header(data: bytes, name: str) -> _Header:
    if not data:
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    version = data[1] if len(data) > 1 else -1
    if version == _NEW and len(data) >= _NEW_HEADER.size:
        h = _NEW_HEADER.unpack_from(data)
        day = h[12]
        date = f"{_year(day >> 20):04d}-{day >> 16 & 15:02d}-{day >> 11 & 31:02d} {day >> 6 & 31:02d}:{day & 63:02d}"
        start = _NEW_HEADER.size
        return _Header(
            False, h[0], h[3], h[4], h[5], h[6], max(1, h[7]), h[8], h[9], h[2], h[17], h[18], h[19],
            date if day else "", start,
        )  # fmt: skip
    if version == _OLD and len(data) >= _OLD_HEADER.size:
        h = _OLD_HEADER.unpack_from(data)
        year = h[8] & 0x0FFF
        date = f"{_year(year):04d}-{h[9]:02d}-{h[10]:02d} {h[11]:02d}:{h[12]:02d}" if year else ""
        points = h[3] if np.isfinite(h[3]) and 0 <= h[3] < 2**31 else -1.0
        return _Header(
            True, h[0], h[2], int(points), h[4], h[5], 0, h[6], h[7], 0, h[17], h[18], 0, date, _OLD_HEADER.size - 32
        )
    if version in {_NEW, _OLD}:
        raise _truncated(name)
    dialect = (
        "with the most significant byte first" if version == _BIG_ENDIAN else f"of version 0x{max(version, 0):02x}"
    )
    raise RecordError(
        "UNSUPPORTED_DIALECT",
        f"SPC files {dialect} are not read",
        where=name,
        remedy="Save it as a new-format SPC file or as JCAMP-DX.",
    )


_EXPORT = "Export the spectrum again."


def _year(year: int) -> int:
    """Return a year; some writers count from 1900."""
    return year + 1900 if 0 < year < 200 else year


def _truncated(name: str) -> RecordError:
    return RecordError("TRUNCATED", "the file ends before its data do", where=name, remedy=_EXPORT)


def _width(header: _Header) -> int:
    return 2 if header.flags & _SHORT and not header.old else 4


def _subfiles(data: bytes, header: _Header, name: str) -> list[tuple[int, _Sub]]:
    """Return where the numbers of each subfile begin, and what its header says; nothing is read past the end."""
    at = header.start
    if header.points < 0:
        raise RecordError("BAD_NUMBER", "its header has no count of points", where=name, remedy=_EXPORT)
    if header.flags & _GIVEN_X and not header.flags & _OWN_X:
        at += 4 * header.points
    found: list[tuple[int, _Sub]] = []
    wanted = header.subfiles if header.subfiles else (1 << 31 if header.flags & _MANY else 1)
    while len(found) < wanted:
        if at + _SUBHEADER.size > len(data):
            if header.old and found:
                break
            raise _truncated(name)
        _, exponent, _, z, _, _, points, _, w, _ = _SUBHEADER.unpack_from(data, at)
        at += _SUBHEADER.size
        own = bool(header.flags & _OWN_X)
        count = points if own else header.points
        if not header.flags & _MANY:
            exponent = header.exponent
        as_floats = exponent == _FLOATS
        size = count * ((4 if as_floats else _width(header)) + (4 if own else 0))
        if at + size > len(data):
            if header.old and found:
                break
            raise _truncated(name)
        found.append((at, _Sub(exponent, count, z, w)))
        at += size
    return found


def _record(
    data: bytes, header: _Header, at: int, sub: _Sub, metadata: dict[str, MetadataValue], name: str
) -> RawRecord:
    if header.flags & _OWN_X:
        axis = np.frombuffer(data, "<f4", sub.points, at).astype(np.float64)
        at += 4 * sub.points
    elif header.flags & _GIVEN_X:
        axis = np.frombuffer(data, "<f4", sub.points, header.start).astype(np.float64)
    else:
        axis = linear_axis(header.first, header.last, sub.points, where=name)
    x_label, y_label = _labels(header)
    return RawRecord(
        axis=axis,
        intensity=_ordinates(data, header, at, sub),
        axis_unit=_X_UNITS.get(header.x_type) or x_label,
        intensity_unit=_Y_UNITS.get(header.y_type) or y_label,
        modality=_modality(header),
        metadata=metadata,
    )


def _ordinates(data: bytes, header: _Header, at: int, sub: _Sub) -> FloatArray:
    if sub.exponent == _FLOATS:
        return np.frombuffer(data, "<f4", sub.points, at).astype(np.float64)
    if header.old:
        # Two 16-bit words per number, the more significant one first.
        words = np.frombuffer(data, "<u2", 2 * sub.points, at).reshape(-1, 2).astype(np.uint32)
        whole = ((words[:, 0] << np.uint32(16)) | words[:, 1]).view(np.int32)
        return np.ldexp(whole.astype(np.float64), sub.exponent - 32)
    width = _width(header)
    integers = np.frombuffer(data, "<i2" if width == 2 else "<i4", sub.points, at)
    return np.ldexp(integers.astype(np.float64), sub.exponent - 8 * width)


def _labels(header: _Header) -> tuple[str | None, str | None]:
    if not header.flags & _LABELS:
        return None, None
    parts = [decode(part).strip() for part in header.labels.split(b"\0")]
    return (parts[0] or None), (parts[1] or None) if len(parts) > 1 else None


def _modality(header: _Header) -> str | None:
    if header.x_type == _RAMAN_SHIFT:
        return "raman"
    if header.technique in _TECHNIQUES:
        return _TECHNIQUES[header.technique]
    return "ir" if header.x_type == 1 and header.y_type in _OPTICAL else None


def _metadata(data: bytes, header: _Header) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    memo = decode(header.memo.split(b"\0", 1)[0]).strip()
    if memo:
        metadata["description"] = memo
    if header.date:
        metadata["date"] = header.date
    for line in _log(data, header.log_at):
        key, separator, value = line.partition("=")
        if separator and key.strip() and value.strip() and len(metadata) < _MOST_LOG_LINES:
            metadata.setdefault("_".join(key.lower().split())[:60], value.strip()[:200])
    laser = number(metadata.pop("laser", ""))
    if laser is not None:
        metadata["laser"] = laser
    return metadata


def _log(data: bytes, at: int) -> list[str]:
    if not at or at + 64 > len(data):
        return []
    size, _, offset = struct.unpack_from("<III", data, at)
    text = data[at + offset : at + min(size, 1 << 16)]
    return decode(text.replace(b"\0", b"\n")).splitlines()[:1000]
