"""Bruker OPUS: blocks of parameters and spectra behind a directory.

The layout is the one that the ``brukeropus`` package documents (https://github.com/joshduran/brukeropus);
with that package the tests compare. Here every length is checked before it is followed, since a damaged
file sends a trusting parser round in circles. Read are spectra as measured or computed (absorbance,
transmittance, reflectance, Raman, ATR, Kubelka-Munk, single channels where there is nothing else); not
read are interferograms, phases, and series of spectra.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import MetadataValue, Probe, RawRecord, linear_axis, number

_MAGIC = b"\n\n\xfe\xfe"
_EXPORT = "Export the spectrum as JCAMP-DX."
_MOST_BLOCKS = 4096
_MOST_PARAMETERS = 2000
_ENTRY = struct.Struct("<iii")

_KINDS = {1: "single channel", 4: "absorbance", 5: "transmittance", 6: "kubelka-munk", 10: "raman", 11: "emission",
          12: "reflectance", 15: "log(1/R)", 16: "absorbance", 18: "transmittance", 19: "absorbance"}  # fmt: skip
_RESULTS = frozenset(_KINDS) - {1}
_STATUS, _SERIES, _HISTORY = 1, 2, 5
_COLUMNS = {
    "ins": "instrument",
    "acc": "accessory",
    "dtc": "detector",
    "src": "light_source",
    "bms": "beamsplitter",
    "res": "resolution",
    "nss": "scans",
    "sfm": "sample_form",
    "cnm": "operator",
    "apf": "apodization",
}
_X_UNITS = {"WN": "cm-1", "MI": "um", "NM": "nm"}


@dataclass(frozen=True, slots=True)
class _Block:
    part: int
    source: int
    parameters: int
    kind: int
    derivative: int
    extra: int
    size: int
    start: int

    @property
    def key(self) -> tuple[int, ...]:
        return self.part, self.source, self.kind, self.derivative, self.extra


@dataclass(frozen=True, slots=True)
class _Spectrum:
    kind: int
    values: bytes
    status: dict[str, MetadataValue]


class Opus:
    """One record per result spectrum; single channels only where there is no result."""

    name = "opus"
    extensions: tuple[str, ...] = (".0", ".1", ".2", ".3")

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether it begins with OPUS' four bytes."""
        return head.startswith(_MAGIC)

    def probe(self, data: bytes, name: str) -> Probe:
        """Walk over the directory."""
        return Probe(tuple(_modality(each) for each in _spectra(data, name)[0]))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra."""
        found, parameters = _spectra(data, name)
        records = []
        for index, each in enumerate(found):
            points = _count(each.status, name)
            factor = number(each.status.get("csf", 1.0)) or 1.0
            first, last = (number(each.status.get(key, "")) for key in ("fxv", "lxv"))
            if first is None or last is None:
                raise RecordError("BAD_AXIS", "a spectrum has no limits", where=name, remedy=_EXPORT)
            if 4 * points > len(each.values):
                raise RecordError("TRUNCATED", f"{points} points do not fit into it", where=name, remedy=_EXPORT)
            kind = "<i4" if each.status.get("dpf") == 2 else "<f4"
            values = np.frombuffer(each.values, kind, points).astype(np.float64) * factor
            metadata = _metadata(parameters, each.status)
            metadata["data_type"] = _KINDS[each.kind % 32]
            if len(found) > 1:
                metadata["spectrum"] = index
            records.append(
                RawRecord(
                    axis=linear_axis(first, last, points, where=name),
                    intensity=values,
                    axis_unit=_X_UNITS.get(str(each.status.get("dxu", "WN")), str(each.status.get("dxu"))),
                    intensity_unit="counts" if each.kind % 32 in {1, 10} else _KINDS[each.kind % 32],
                    modality=_modality(each),
                    label=str(parameters.get("snm", "")).strip() or None,
                    metadata=metadata,
                )
            )
        return records


def _spectra(data: bytes, name: str) -> tuple[list[_Spectrum], dict[str, MetadataValue]]:
    blocks = _directory(data, name)
    parameters: dict[str, MetadataValue] = {}
    statuses: dict[tuple[int, ...], dict[str, MetadataValue]] = {}
    for block in blocks:
        content = data[block.start : block.start + block.size]
        if block.parameters == _STATUS:
            statuses.setdefault(block.key, _parameters(content))
        elif block.parameters and block.source != 2:
            parameters = _parameters(content) | parameters
    found = [
        _Spectrum(block.kind, data[block.start : block.start + block.size], statuses[block.key])
        for block in blocks
        if not block.parameters
        and block.kind % 32 in _KINDS
        and block.extra not in {_SERIES, _HISTORY}
        and block.source != 2
        and block.key in statuses
    ]
    results = [each for each in found if each.kind % 32 in _RESULTS]
    if not found:
        raise RecordError(
            "UNSUPPORTED_DIALECT", "it holds no single spectrum, only series or interferograms", where=name,
            remedy=_EXPORT,
        )  # fmt: skip
    return results or found, parameters


def _directory(data: bytes, name: str) -> list[_Block]:
    if len(data) < 24 or not data.startswith(_MAGIC):
        raise RecordError("TRUNCATED", "the file ends inside its header", where=name, remedy=_EXPORT)
    at, most = struct.unpack_from("<ii", data, 12)
    blocks: list[_Block] = []
    for index in range(min(max(most, 0), _MOST_BLOCKS)):
        entry = at + index * _ENTRY.size
        if at < 0 or entry + _ENTRY.size > len(data):
            break
        kind, words, start = _ENTRY.unpack_from(data, entry)
        if start <= 0:
            break
        if words < 0 or start + 4 * words > len(data):
            raise RecordError("TRUNCATED", "a block reaches beyond the end of the file", where=name, remedy=_EXPORT)
        kind &= 0xFFFFFFFF
        blocks.append(
            _Block(kind & 3, kind >> 2 & 3, kind >> 4 & 63, kind >> 10 & 127, kind >> 17 & 3, kind >> 19 & 7, 4 * words,
                   start)
        )  # fmt: skip
    if not blocks:
        raise RecordError("TRUNCATED", "its directory is empty", where=name, remedy=_EXPORT)
    return blocks


def _parameters(block: bytes) -> dict[str, MetadataValue]:
    """Return the parameters of a block up to the first that is damaged."""
    found: dict[str, MetadataValue] = {}
    at = 0
    for _ in range(_MOST_PARAMETERS):
        key = block[at : at + 3]
        if at + 8 > len(block) or key == b"END" or not key.isalnum():
            break
        kind, words = struct.unpack_from("<HH", block, at + 4)
        value = block[at + 8 : at + 8 + 2 * words]
        if kind == 0 and len(value) >= 4:
            found[key.decode("ascii", "replace").lower()] = int(struct.unpack_from("<i", value)[0])
        elif kind == 1 and len(value) >= 8:
            found[key.decode("ascii", "replace").lower()] = float(struct.unpack_from("<d", value)[0])
        elif kind > 1:
            found[key.decode("ascii", "replace").lower()] = value.split(b"\0", 1)[0].decode("latin-1")
        at += 8 + 2 * words
    return found


def _count(status: dict[str, MetadataValue], name: str) -> int:
    points = status.get("npt")
    if not isinstance(points, int) or points < 0:
        raise RecordError("BAD_NUMBER", "a spectrum has no number of points", where=name, remedy=_EXPORT)
    return points


def _modality(spectrum: _Spectrum) -> str | None:
    kind = spectrum.kind % 32
    if kind == 10:
        return "raman"
    return "ir" if kind in _RESULTS - {11} and spectrum.status.get("dxu", "WN") in _X_UNITS else None


def _metadata(parameters: dict[str, MetadataValue], status: dict[str, MetadataValue]) -> dict[str, MetadataValue]:
    metadata = {column: parameters[key] for key, column in _COLUMNS.items() if parameters.get(key) not in {None, ""}}
    when = " ".join(str(status.get(key, "")) for key in ("dat", "tim")).strip()
    if when:
        metadata["date"] = when
    line = number(parameters.get("rlw", ""))
    if line is not None and 5000 < line < 50000:
        metadata["laser"] = 1e7 / line
    return metadata
