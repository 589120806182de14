"""Structure libraries as they are stored: reading one for a model."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive import Archive, LayerEntry, SegmentEntry
from spectroflow.archive.layer import STRUCTURE
from spectroflow.errors import InvalidInput
from spectroflow.materials.reflections import Reflections
from spectroflow.materials.traits import BLOCKS
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.storage import Location


def load_library(location: str | Location, number: int | None = None) -> StructureLibrary:
    """Read a structure library.

    Parameters
    ----------
    location
        The archive that ``spectroflow library build`` wrote.
    number
        The version to read; the newest if not given.

    Raises
    ------
    InvalidInput
        It holds no structures, or another version of SpectroFlow described them otherwise.
    """
    opened = Archive(location, number)
    parts = [_read(opened, segment, layer) for segment, layer in _layers(opened)]
    columns: dict[str, list[Any]] = {key: [value for part in parts for value in part[key]] for key in parts[0]}
    if not columns["name"]:
        raise InvalidInput(
            "no structure of the library is usable", where=str(location), remedy="See spectroflow status."
        )
    return StructureLibrary(
        tuple(columns["name"]),
        tuple(columns["formula"]),
        tuple(columns["label"]),
        tuple(columns["sample"]),
        np.asarray(columns["composition"], np.float32),
        np.asarray(columns["traits"], np.float32),
        np.asarray(columns["volume"], np.float64),
        tuple(columns["reflections"]),
        max(columns["shortest"]),
    )


def digest_of_library(location: str | Location) -> str:
    """Return a digest of what a library holds: its segments and layers, which never change, and what is superseded."""
    version = Archive(location).version
    parts = [*(entry.id for entry in version.segments), *(layer.id for layer in version.layers)]
    text = json.dumps([sorted(parts), {key: list(value) for key, value in version.superseded.items()}], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _layers(opened: Archive) -> list[tuple[SegmentEntry, LayerEntry]]:
    found = []
    for segment in opened.segments():
        layers = opened.version.layers_of(segment.id, STRUCTURE)
        if layers:
            found.append((segment, layers[-1]))
    if not found:
        raise InvalidInput(
            "this archive is no structure library",
            where=str(opened.root),
            remedy="Make one with spectroflow library build.",
        )
    return found


def _read(opened: Archive, segment: SegmentEntry, layer: LayerEntry) -> dict[str, list[Any]]:
    attributes = opened.layer_names(layer)
    if attributes.get("traits") != BLOCKS:
        raise InvalidInput(
            "the library describes its structures otherwise than this version of SpectroFlow",
            where=str(opened.root),
            remedy="Build it again.",
        )
    state = opened.layer_array(layer, "status")
    records = {record["row"]: record for record in opened.segment_records(segment).to_pylist()}
    rows = [row for row in np.flatnonzero(state == status.OK).tolist() if row in records]
    lines = opened.layer_array(layer, "reflection")
    names = [json.loads(records[row]["metadata"] or "{}").get("name") or "" for row in rows]
    return {
        "name": names,
        "formula": [records[row]["formula"] or "" for row in rows],
        "label": [records[row]["label"] or "" for row in rows],
        "sample": [records[row]["sample_id"] or "" for row in rows],
        "composition": list(opened.layer_array(layer, "composition")[rows]),
        "traits": list(opened.layer_array(layer, "traits")[rows]),
        "volume": opened.layer_array(layer, "cell")[rows, 6].tolist(),
        "reflections": [_reflections(lines[row]) for row in rows],
        "shortest": [float(attributes["library"]["shortest"])] * len(rows),
    }


def _reflections(stored: np.ndarray[Any, Any]) -> Reflections:
    kept = stored[np.isfinite(stored[:, 0])].astype(np.float64)
    return Reflections(kept[:, 0], kept[:, 1], np.rint(kept[:, 2]).astype(np.int64))
