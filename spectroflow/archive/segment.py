"""Segments: immutable runs of records of one modality, one zarr group and one record table each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from spectroflow import status
from spectroflow.archive.arrays import ArraySpec, Layout, choose_shard_rows
from spectroflow.config import ArchiveConfig
from spectroflow.modality import Modality
from spectroflow.storage import Location

Origin = Literal["measured", "generated", "simulated"]


def spectra_path(segment: str) -> str:
    """Return where the arrays of a segment are, relative to the archive."""
    return f"segments/{segment}/spectra.zarr"


def records_key(segment: str, shard: int) -> str:
    """Return where the record table of one shard is, relative to the archive."""
    return f"segments/{segment}/records/part-{shard:06d}.parquet"


def segment_layout(
    segment: str,
    rows: int,
    modality: Modality,
    config: ArchiveConfig,
    *,
    generated: bool = False,
    shard_rows: int | None = None,
    capacity: int | None = None,
) -> Layout:
    """Return the arrays of a segment.

    Parameters
    ----------
    segment, rows
        Its id and number of records.
    modality
        Gives the point capacity.
    config
        Gives shards and chunks.
    generated
        Whether spectra are generated and so carry uncertainty, confidence and verdict.
    shard_rows
        Fixed by the caller where rows must align with another segment's shards.
    capacity
        Points per row where it is not the modality's.
    """
    points = capacity or modality.capacity
    chunk = (min(config.chunk_points, points),)
    spectrum = ("spectrum", "point")
    nan = float("nan")
    arrays = [
        ArraySpec("intensity", (points,), "float32", nan, spectrum, chunk),
        ArraySpec("axis", (points,), "float64", nan, spectrum, chunk, noisy=False),
    ]
    if generated:
        arrays += [
            ArraySpec("uncertainty", (points,), "float32", nan, spectrum, chunk),
            ArraySpec("confidence", (), "float32", nan, ("spectrum",)),
            ArraySpec("verdict", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
        ]
    # Written last, so that a row whose status is set has its data.
    arrays.append(ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False))
    chosen = shard_rows or choose_shard_rows(rows, [array.row_bytes for array in arrays], config)
    return Layout(spectra_path(segment), rows, chosen, config.chunk_rows, tuple(arrays))


def create_segment(
    root: Location, layout: Layout, modality: Modality, origin: Origin, extra: Mapping[str, Any] | None = None
) -> None:
    """Write the metadata of a segment's arrays, with what a reader must know as attributes."""
    attributes = {
        "modality": modality.name,
        "axis_unit": modality.axis_unit,
        "intensity_unit": modality.intensity_unit,
        "origin": origin,
        "status_codes": status.table(),
        **({"verdict_codes": {"0": "accept", "1": "review", "2": "reject"}} if origin == "generated" else {}),
        **(extra or {}),
    }
    layout.create(root, attributes)
