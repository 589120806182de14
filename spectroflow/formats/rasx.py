"""Rigaku RASX: a zip of profiles as text and measurement conditions as XML."""

from __future__ import annotations

import re

from spectroflow.errors import RecordError
from spectroflow.formats.base import MetadataValue, Probe, RawRecord, number, suffix
from spectroflow.formats.columns import WHITESPACE, Dialect, parse_columns
from spectroflow.formats.packed import Zip, find_all, parse_xml, text_of

_EXPORT = "Export the measurement again."
_MEMBER = re.compile(rb"Data\d+/(Profile\d+\.txt|Mea?surementConditions\d+\.xml)|PKroot\.xml", re.IGNORECASE)


class Rasx:
    """One record per profile."""

    name = "rasx"
    extensions: tuple[str, ...] = (".rasx",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether its first members are a measurement's, or it is called so."""
        return suffix(name) == ".rasx" or (head.startswith(b"PK") and _MEMBER.search(head) is not None)

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the profiles."""
        return Probe(("xrd",) * len(_profiles(_open(data, name), name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one pattern per profile; counts are multiplied by the attenuator's factor beside them."""
        packed = _open(data, name)
        profiles = _profiles(packed, name)
        records = []
        for index, member in enumerate(profiles):
            text = packed.read(member)
            start = 3 if text.startswith(b"\xef\xbb\xbf") else 0
            values = parse_columns(text, Dialect(WHITESPACE, columns=(0, 1, 2)), start, where=name)
            metadata, label = _conditions(packed, member, name)
            if len(profiles) > 1:
                metadata["spectrum"] = index
            records.append(
                RawRecord(
                    axis=values[:, 0].copy(),
                    intensity=values[:, 1] * values[:, 2],
                    axis_unit="deg",
                    intensity_unit="counts",
                    modality="xrd",
                    label=label or None,
                    metadata=metadata,
                )
            )
        return records


def _open(data: bytes, name: str) -> Zip:
    if not data:
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    return Zip(data, where=name)


def _profiles(packed: Zip, name: str) -> list[str]:
    found = packed.find(r"Data\d+/Profile\d+\.txt")
    if not found:
        raise RecordError("NO_DATA", "there is no profile in it", where=name, remedy=_EXPORT)
    return found


def _conditions(packed: Zip, profile: str, name: str) -> tuple[dict[str, MetadataValue], str]:
    """Return what the conditions beside a profile say; Rigaku spells their file's name without an ``a``."""
    folder = profile.rsplit("/", 1)[0]
    members = packed.find(rf"{folder}/Mea?surementConditions\d+\.xml")
    if not members:
        return {}, ""
    root = parse_xml(packed.read(members[0]), where=name)
    metadata: dict[str, MetadataValue] = {}
    wavelength = number(text_of(root, "WavelengthKalpha1"))
    if wavelength:
        metadata["wavelength"] = wavelength
    scan = next(iter(find_all(root, "ScanInformation")), root)
    for element, key, column in (
        (root, "SystemName", "instrument"),
        (root, "TargetName", "anode"),
        (scan, "AxisName", "scan_axis"),
        (scan, "StartTime", "date"),
        (scan, "Mode", "scan_mode"),
    ):
        if text_of(element, key):
            metadata[column] = text_of(element, key)[:100]
    return metadata, text_of(root, "SampleName")
