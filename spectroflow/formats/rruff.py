"""RRUFF text: ``##KEY=value`` lines, then ``x, y`` lines (Raman, infrared, powder diffraction).

The header does not say which modality it is, except where it describes a diffraction sample or the
orientation of a Raman sample; the names that RRUFF gives its files do, as in
``Quartz__R040031__Raman__532__0__unoriented__Raman_Data_Processed__12345.txt``.
"""

from __future__ import annotations

import html
import re

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, decode, number
from spectroflow.formats.columns import WHITESPACE, Dialect, parse_columns
from spectroflow.formats.names import modality_in

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FIRST_ROW = re.compile(rb"^[ \t]*" + _NUMBER + rb"[ \t]*([, \t])[ \t]*" + _NUMBER + rb"[ \t]*\r?$", re.MULTILINE)
_FILE_NAME = re.compile(r"__(Raman|Infrared|Xray)_Data_(?:XY_)?(\w+?)(?:__|\.|$)", re.IGNORECASE)
_LASER = re.compile(r"__(\d{3,4})__")
_OPTICS = re.compile(r"__(\d{3,4})__([^_]*)__((?:un)?oriented)__", re.IGNORECASE)

_MODALITY_KEYS = {
    "DIFFRACTION SAMPLE DESCRIPTION": "xrd",
    "CELL PARAMETERS": "xrd",
    "CELL PARAMETERS REFINED": "xrd",
    "X-RAY WAVELENGTH": "xrd",
    "RAMAN WAVELENGTH": "raman",
    "ORIENTATION": "raman",
    "PIN_ID": "raman",
}
_IDENTITY_KEYS = frozenset({"NAMES", "RRUFFID", "IDEAL CHEMISTRY"})
_COLUMN_NAMES = {"SOURCE": "specimen_source", "STATUS": "identification", "RAMAN WAVELENGTH": "laser"}
_AXIS_UNIT = {"raman": "cm-1", "ir": "cm-1", "xrd": "deg"}


class Rruff:
    """The text files of the RRUFF database (Lafuente et al., 2015, https://rruff.info)."""

    name = "rruff"
    extensions: tuple[str, ...] = (".txt",)

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether the header has RRUFF's own keys."""
        if b"##" not in head[:4096]:
            return False
        start = head[:16384]
        return b"##RRUFFID=" in start or (b"##NAMES=" in start and b"##TITLE" not in start)

    def probe(self, data: bytes, name: str) -> Probe:
        """Return the modality that the header or the file name tells."""
        start, _ = _payload(data, name)
        return Probe((_modality(_header(data[:start]), name),), payload_start=start)

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the one spectrum of the file."""
        start, delimiter = _payload(data, name)
        header = _header(data[:start])
        values = parse_columns(data, Dialect(delimiter), start, where=name)
        modality = _modality(header, name)
        axis: FloatArray = values[:, 0].copy()
        intensity: FloatArray = values[:, 1].copy()
        return [
            RawRecord(
                axis=axis,
                intensity=intensity,
                axis_unit=_AXIS_UNIT.get(modality or ""),
                modality=modality,
                sample_id=header.get("RRUFFID") or None,
                label=header.get("NAMES") or None,
                formula=plain_formula(header.get("IDEAL CHEMISTRY", "")) or None,
                metadata=_metadata(header, name),
            )
        ]


def plain_formula(marked_up: str) -> str:
    """Return a formula without RRUFF's marks for subscripts (``_2_``) and charges (``^2+^``).

    >>> plain_formula("NaAlSi_2_O_6_&#183;H_2_O")
    'NaAlSi2O6·H2O'
    """
    text = re.sub(r"\^[^^]*\^", "", html.unescape(marked_up))
    return text.replace("_", "").replace("[box]", "□").strip()


def _payload(data: bytes, name: str) -> tuple[int, int]:
    """Return where the numbers begin and the delimiter between them."""
    first = _FIRST_ROW.search(data)
    if first is None:
        raise RecordError(
            "NO_DATA",
            "the header is not followed by any line of two numbers",
            where=name,
            remedy="Download or export the file again.",
        )
    comma = first.group(1) == b"," or b"," in first.group(0)
    return first.start(), ord(",") if comma else WHITESPACE


def _header(data: bytes) -> dict[str, str]:
    """Return the header's keys in upper case; a line without ``##`` continues the value before it."""
    header: dict[str, str] = {}
    last = ""
    for line in decode(data).splitlines():
        key, separator, value = line.partition("=")
        if line.startswith("##") and separator:
            last = key[2:].strip().upper()
            header.setdefault(last, value.strip())
        elif separator and key.strip().upper() in _IDENTITY_KEYS:
            header.setdefault(key.strip().upper(), value.strip())
        elif line.strip() and last:
            header[last] = f"{header[last]} {line.strip()}".strip()
    return header


def _modality(header: dict[str, str], name: str) -> str | None:
    told = {_MODALITY_KEYS[key] for key in header if key in _MODALITY_KEYS}
    if len(told) == 1:
        return told.pop()
    match = _FILE_NAME.search(name.rsplit("/", 1)[-1])
    if match:
        return {"raman": "raman", "infrared": "ir", "xray": "xrd"}[match.group(1).lower()]
    return modality_in(name)


def _metadata(header: dict[str, str], name: str) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for key, value in header.items():
        if key not in _IDENTITY_KEYS and key != "END" and value:
            metadata[_COLUMN_NAMES.get(key, re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_"))] = html.unescape(value)
    base = name.rsplit("/", 1)[-1]
    kind = _FILE_NAME.search(base)
    if kind:
        metadata["processing"] = kind.group(2).lower()
    optics = _OPTICS.search(base)
    if optics:
        metadata.setdefault("orientation", f"{optics.group(2)} {optics.group(3)}".strip())
    laser = number(metadata.get("laser", "")) or (number(match.group(1)) if (match := _LASER.search(base)) else None)
    if laser is not None and kind and kind.group(1).lower() == "raman":
        metadata["laser"] = laser
    return metadata
