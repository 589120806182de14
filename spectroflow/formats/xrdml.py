"""PANalytical XRDML: powder patterns as XML, versions 1.0 to 2.x."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, linear_axis, number, suffix
from spectroflow.formats.packed import find_all, local_name, numbers_in, parse_xml, text_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class Xrdml:
    """One record per ``scan`` of each ``xrdMeasurement``."""

    name = "xrdml"
    extensions: tuple[str, ...] = (".xrdml",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is XML of that vocabulary."""
        return b"<xrdMeasurements" in head or suffix(name) == ".xrdml"

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the scans."""
        return Probe(tuple(_modality(scan) for _, scan in _scans(_root(data, name), name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one pattern per scan."""
        root = _root(data, name)
        scans = _scans(root, name)
        records = []
        for index, (measurement, scan) in enumerate(scans):
            intensity, unit = _intensities(scan, name)
            axis_name, axis = _positions(scan, intensity.size, name)
            metadata = _metadata(root, measurement, scan)
            metadata["scan_axis"] = axis_name
            if len(scans) > 1:
                metadata["spectrum"] = index
            records.append(
                RawRecord(
                    axis=axis,
                    intensity=intensity,
                    axis_unit="deg",
                    intensity_unit=unit,
                    modality=_modality(scan),
                    sample_id=text_of(_first(root, "sample"), "id") or None,
                    label=text_of(_first(root, "sample"), "name") or None,
                    metadata=metadata,
                )
            )
        return records


def _root(data: bytes, name: str) -> Element:
    if not data.strip():
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy=_EXPORT)
    return parse_xml(data, where=name)


_EXPORT = "Export the measurement again."


def _first(root: Element, name: str) -> Element:
    return next((element for element in root.iter() if local_name(element) == name), root)


def _scans(root: Element, name: str) -> list[tuple[Element, Element]]:
    found = [(each, scan) for each in find_all(root, "xrdMeasurement") for scan in find_all(each, "scan")]
    if not found:
        raise RecordError("NO_DATA", "there is no scan in it", where=name, remedy=_EXPORT)
    return found


def _axes(scan: Element) -> dict[str, Element]:
    return {element.get("axis", ""): element for element in find_all(scan, "positions")}


def _modality(scan: Element) -> str | None:
    """Return ``xrd`` for a scan of 2-theta; a rocking curve is none."""
    positions = _axes(scan).get("2Theta")
    return "xrd" if positions is not None and not text_of(positions, "commonPosition") else None


def _positions(scan: Element, points: int, name: str) -> tuple[str, FloatArray]:
    axes = _axes(scan)
    ordered = sorted(axes, key=lambda axis: axis != "2Theta")
    for axis in ordered:
        listed = text_of(axes[axis], "listPositions")
        if listed:
            values = numbers_in(listed, where=name)
            if values.size != points:
                raise RecordError(
                    "TRUNCATED", f"{values.size} positions for {points} intensities", where=name, remedy=_EXPORT
                )
            return axis, values
        first, last = (number(text_of(axes[axis], key)) for key in ("startPosition", "endPosition"))
        if first is not None and last is not None and first != last:
            return axis, linear_axis(first, last, points, where=name)
    raise RecordError("BAD_AXIS", "no axis moves during the scan", where=name, remedy=_EXPORT)


def _intensities(scan: Element, name: str) -> tuple[FloatArray, str]:
    for key in ("intensities", "counts"):
        element = _first(scan, key)
        if element is scan:
            continue
        values = numbers_in(element.text or "", where=name)
        factors = numbers_in(text_of(scan, "beamAttenuationFactors"), where=name)
        # Counts are as the detector gave them; intensities have the attenuation in them already.
        if key == "counts" and factors.size == values.size:
            values = values * factors
        return values, element.get("unit", "counts")
    raise RecordError("NO_DATA", "the scan has no intensities", where=name, remedy=_EXPORT)


def _metadata(root: Element, measurement: Element, scan: Element) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    wavelength = number(text_of(measurement, "kAlpha1"))
    if wavelength:
        metadata["wavelength"] = wavelength
    seconds = number(text_of(scan, "commonCountingTime"))
    if seconds is not None:
        metadata["seconds_per_step"] = seconds
    for key, column in (
        ("startTimeStamp", "date"),
        ("instrumentControlSoftware", "instrument"),
        ("anodeMaterial", "anode"),
    ):
        value = text_of(measurement, key)
        if value:
            metadata[column] = re.sub(r"\s+", " ", value)[:200]
    comment = " ".join(text_of(root, "comment").split())
    if comment:
        metadata["comment"] = comment[:200]
    if np.isfinite(number(text_of(measurement, "ratioKAlpha2KAlpha1")) or np.nan):
        metadata["k_alpha_ratio"] = number(text_of(measurement, "ratioKAlpha2KAlpha1")) or 0.0
    return metadata
