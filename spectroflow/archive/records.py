"""The record table: what is known of each spectrum besides its points, one Parquet part per shard."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from spectroflow.storage import Location

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("sample_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("source", pa.string()),
        pa.field("record", pa.int32()),
        pa.field("digest", pa.string()),
        pa.field("status", pa.uint8(), nullable=False),
        pa.field("points", pa.int32()),
        pa.field("axis_min", pa.float64()),
        pa.field("axis_max", pa.float64()),
        pa.field("flags", pa.uint32()),
        pa.field("formula", pa.string()),
        pa.field("laser", pa.float64()),
        pa.field("instrument", pa.string()),
        pa.field("orientation", pa.string()),
        pa.field("date", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("metadata", pa.string()),
    ]
)
"""Columns of every record table. ``metadata`` is a JSON object of what has no column of its own."""


def encode(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the Parquet bytes of one part; equal rows give equal bytes."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    return encode_table(table)


def encode_table(table: pa.Table) -> bytes:
    """Return the Parquet bytes of a table."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=True)
    return sink.getvalue()


def read_part(location: Location, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one part, or some of its columns."""
    wanted = list(columns) if columns else None
    return location.read_decoded(lambda data: pq.read_table(pa.BufferReader(data), columns=wanted))


def record_digest(axis: npt.NDArray[np.float64], intensity: npt.NDArray[np.float32]) -> str:
    """Return the digest of a record's content: BLAKE2b-128 of its axis and intensity as stored."""
    content = hashlib.blake2b(np.ascontiguousarray(axis, "<f8").tobytes(), digest_size=16)
    content.update(np.ascontiguousarray(intensity, "<f4").tobytes())
    return content.hexdigest()
