"""Bruker BRML: a zip of XML files, as DIFFRAC.MEASUREMENT writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, number, suffix
from spectroflow.formats.packed import Zip, find_all, parse_xml, text_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_EXPORT = "Export the measurement again, as XY or XRDML."
_MEMBER = re.compile(rb"Experiment\d+/(RawData\d+|DataContainer|MeasurementContainer)\.xml", re.IGNORECASE)
_BEFORE_AXES = 2
"""Each datum begins with its counting time and the planned one; then come the axes, then the counts."""


class Brml:
    """One record per measured data route."""

    name = "brml"
    extensions: tuple[str, ...] = (".brml",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether its first members are a measurement's, or it is called so."""
        return suffix(name) == ".brml" or (head.startswith(b"PK") and _MEMBER.search(head) is not None)

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the data routes."""
        return Probe(("xrd",) * len(_routes(data, name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one pattern per data route."""
        routes = _routes(data, name)
        records = []
        for index, (root, route) in enumerate(routes):
            axis, intensity = _points(route, name)
            metadata = _metadata(root, route)
            if len(routes) > 1:
                metadata["spectrum"] = index
            records.append(
                RawRecord(
                    axis=axis,
                    intensity=intensity,
                    axis_unit="deg",
                    intensity_unit="counts",
                    modality="xrd",
                    metadata=metadata,
                )
            )
        return records


def _routes(data: bytes, name: str) -> list[tuple[Element, Element]]:
    if not data:
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    packed = Zip(data, where=name)
    found = []
    for member in packed.find(r"(.*/)?Experiment\d+/RawData\d+\.xml"):
        root = parse_xml(packed.read(member), where=name)
        routes = [route for route in find_all(root, "DataRoute") if find_all(route, "Datum")]
        found += [(root, route) for route in routes if route.get("RouteFlag", "Measured") != "Calculated"]
    if not found:
        raise RecordError("NO_DATA", "there is no measured data in it", where=name, remedy=_EXPORT)
    return found


def _points(route: Element, name: str) -> tuple[FloatArray, FloatArray]:
    rows = [(datum.text or "").split(",") for datum in find_all(route, "Datum")]
    widths = {len(row) for row in rows}
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"{error}"[:120], where=name, remedy=_EXPORT) from None
    axes = find_all(route, "ScanAxisInfo")
    place = next((i for i, axis in enumerate(axes) if axis.get("AxisId") == "TwoTheta"), None)
    if place is None or len(widths) != 1 or values.shape[1] < _BEFORE_AXES + len(axes) + 1:
        raise RecordError(
            "UNSUPPORTED_DIALECT", "it is not a scan of 2-theta with one detector", where=name, remedy=_EXPORT
        )
    axis = values[:, _BEFORE_AXES + place]
    start, step = (number(text_of(axes[place], key)) for key in ("Start", "Increment"))
    if start is not None and step and abs(axis[0] - start) > abs(step):
        raise RecordError("UNSUPPORTED_DIALECT", "its columns are not in the order we know", where=name, remedy=_EXPORT)
    return axis.copy(), values[:, -1].copy()


def _metadata(root: Element, route: Element) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    wavelength = next(iter(find_all(root, "WaveLengthAlpha1")), None)
    value = None if wavelength is None else number(wavelength.get("Value") or wavelength.text)
    if value:
        metadata["wavelength"] = value
    seconds = number(text_of(route, "TimePerStepEffective"))
    if seconds is not None:
        metadata["seconds_per_step"] = seconds
    for key, column in (("TimeStampStarted", "date"), ("TubeMaterial", "anode"), ("ScanModeVisibleName", "scan_mode")):
        if text_of(root, key):
            metadata[column] = text_of(root, key)[:100]
    return metadata
