"""Bruker/Siemens DIFFRAC RAW: versions 1 and 2 (DIFFRAC-AT), 1.01 (DIFFRACplus) and 4.00.

The layouts of the first three are described with xylib (https://github.com/wojdyr/xylib); 4.00 was never
published, and is read as far as its fixed fields go: one float per step, checked against the length of the
file. Steps of several values are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import MetadataValue, Probe, RawRecord, decode

_EXPORT = "Export the measurement as XY or UXD."
_MOST_RANGES = 10_000
_MARKS = frozenset(bytes([each]) for each in b" 123456789")
_RANGE_HEADER_1 = 152
_FIRST_RANGE_2 = 256
_RANGE_HEADER_2 = 48
_FIRST_RANGE_3 = 712
_FIRST_SEGMENT_4 = 61
_RANGE_HEADER_4 = 160
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class _Range:
    start: float
    step: float
    points: int
    at: int
    seconds: float
    wavelength: float
    sample: str = ""


class BrukerRaw:
    """One record per range."""

    name = "bruker-raw"
    extensions: tuple[str, ...] = (".raw",)

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether it begins with the mark of a version, known or not, and is binary."""
        return head[:3] == b"RAW" and head[3:4] in _MARKS and b"\0" in head[:256]

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the ranges."""
        return Probe(("xrd",) * len(list(_ranges(data, name))))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one pattern per range."""
        ranges = list(_ranges(data, name))
        common = _metadata(data)
        records = []
        for index, each in enumerate(ranges):
            metadata = dict(common)
            if each.wavelength > 0:
                metadata["wavelength"] = each.wavelength
            if each.seconds > 0:
                metadata["seconds_per_step"] = each.seconds
            if len(ranges) > 1:
                metadata["spectrum"] = index
            label = str(metadata.pop("sample", "")) or each.sample or None
            records.append(
                RawRecord(
                    axis=each.start + each.step * np.arange(each.points, dtype=np.float64),
                    intensity=np.frombuffer(data, "<f4", each.points, each.at).astype(np.float64),
                    axis_unit="deg",
                    intensity_unit="counts",
                    modality="xrd",
                    label=label,
                    metadata=metadata,
                )
            )
        return records


def _ranges(data: bytes, name: str) -> Iterator[_Range]:
    read = next((reader for mark, reader in _VERSIONS.items() if data.startswith(mark)), None)
    if read is None:
        version = data[3:7].decode("latin-1").strip("\0")
        raise RecordError(
            "UNSUPPORTED_DIALECT", f"RAW files of version {version!r} are not read", where=name, remedy=_EXPORT
        )
    try:
        found = list(read(data, name))
    except struct.error:
        raise RecordError("TRUNCATED", "the file ends inside a header", where=name, remedy=_EXPORT) from None
    if not found:
        raise RecordError("NO_DATA", "there is no range in it", where=name, remedy=_EXPORT)
    for each in found:
        if not (np.isfinite(each.start) and np.isfinite(each.step)) or each.step == 0:
            raise RecordError("BAD_AXIS", f"a range has a step of {each.step:g}", where=name, remedy=_EXPORT)
    yield from found


def _version_1(data: bytes, name: str) -> Iterator[_Range]:
    at, more, count = 0, 1, 0
    while more:
        # Early programs began only the first range with the mark, later ones every range.
        at += 4 if data.startswith(b"RAW ", at) else 0
        (points,) = struct.unpack_from("<I", data, at)
        seconds, step = struct.unpack_from("<ff", data, at + 4)
        (start,) = struct.unpack_from("<f", data, at + 20)
        (wavelength,) = struct.unpack_from("<f", data, at + 68)
        (more,) = struct.unpack_from("<I", data, at + 148)
        sample = _text(data, at + 36, 32)
        numbers = at + _RANGE_HEADER_1
        yield _range(
            data, _decimal(start), _decimal(step), points, numbers, _FLOAT, seconds, _decimal(wavelength), name, sample
        )
        at = numbers + _FLOAT * points
        count = _bounded(count + 1, name)


def _version_2(data: bytes, name: str) -> Iterator[_Range]:
    (count,) = struct.unpack_from("<H", data, 4)
    (wavelength,) = struct.unpack_from("<f", data, 190)
    at = _FIRST_RANGE_2
    for _ in range(_bounded(count, name)):
        length, points = struct.unpack_from("<HH", data, at)
        if length < _RANGE_HEADER_2:
            raise RecordError("TRUNCATED", f"a range's header has {length} bytes", where=name, remedy=_EXPORT)
        seconds, step, start = struct.unpack_from("<fff", data, at + 8)
        yield _range(
            data, _decimal(start), _decimal(step), points, at + length, _FLOAT, seconds, _decimal(wavelength), name
        )
        at += length + _FLOAT * points


def _decimal(value: float) -> float:
    """Return the number that a single-precision field stands for: 0.02, not 0.0199999996.

    Somebody set it in decimals, and its rounding would add up over thousands of steps.
    """
    return float(str(np.float32(value)))


def _version_3(data: bytes, name: str) -> Iterator[_Range]:
    (count,) = struct.unpack_from("<I", data, 12)
    at = _FIRST_RANGE_3
    for _ in range(_bounded(count, name)):
        length, points = struct.unpack_from("<II", data, at)
        (start,) = struct.unpack_from("<d", data, at + 16)
        (step,) = struct.unpack_from("<d", data, at + 176)
        (seconds,) = struct.unpack_from("<f", data, at + 192)
        (wavelength,) = struct.unpack_from("<d", data, at + 240)
        width, more = struct.unpack_from("<II", data, at + 252)
        yield _range(data, start, step, points, at + length + more, width, seconds, wavelength, name)
        at += length + more + _FLOAT * points


def _version_4(data: bytes, name: str) -> Iterator[_Range]:
    (count,) = struct.unpack_from("<I", data, 40)
    at = _FIRST_SEGMENT_4
    while True:
        kind, length = struct.unpack_from("<II", data, at)
        if kind in {0, _RANGE_HEADER_4}:
            break
        at += max(length, 8)
    for _ in range(_bounded(count, name)):
        start, step = struct.unpack_from("<dd", data, at + 72)
        points, seconds = struct.unpack_from("<If", data, at + 88)
        (wavelength,) = struct.unpack_from("<d", data, at + 112)
        width, more = struct.unpack_from("<II", data, at + 136)
        numbers = at + _RANGE_HEADER_4 + more
        yield _range(data, start, step, points, numbers, width, seconds, wavelength, name)
        at = numbers + _FLOAT * points


def _range(
    data: bytes,
    start: float,
    step: float,
    points: int,
    at: int,
    width: int,
    seconds: float,
    wavelength: float,
    name: str,
    sample: str = "",
) -> _Range:
    if width != _FLOAT:
        raise RecordError(
            "UNSUPPORTED_DIALECT", f"its steps have {width} bytes of values, not one number", where=name, remedy=_EXPORT
        )
    if at + _FLOAT * points > len(data):
        raise RecordError("TRUNCATED", f"{points} counts do not fit into it", where=name, remedy=_EXPORT)
    return _Range(start, step, points, at, seconds, wavelength, sample)


def _bounded(count: int, name: str) -> int:
    if count > _MOST_RANGES:
        raise RecordError("HOSTILE_FILE", f"its header declares {count} ranges", where=name, remedy=_EXPORT)
    return count


def _metadata(data: bytes) -> dict[str, MetadataValue]:
    texts = {key: _text(data, at, size) for key, (at, size) in _TEXTS.get(data[:4], {}).items()}
    return {key: text for key, text in texts.items() if text}


def _text(data: bytes, at: int, size: int) -> str:
    return decode(data[at : at + size].split(b"\0", 1)[0]).strip()


_VERSIONS = {b"RAW ": _version_1, b"RAW2": _version_2, b"RAW1.01": _version_3, b"RAW4.00": _version_4}
_TEXTS = {
    b"RAW2": {"date": (168, 20), "anode": (188, 2)},
    b"RAW1": {"date": (16, 10), "time": (26, 10), "user": (36, 72), "site": (108, 218), "sample": (326, 60),
              "comment": (386, 160), "anode": (608, 4)},
    b"RAW4": {"date": (12, 12), "time": (24, 10)},
}  # fmt: skip
"""Where the texts of a file's header stand, and how long they may be; version 1 has none but its ranges' own."""
