"""One shard of spectra being put together: arrays and record table side by side."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow import status
from spectroflow.archive.arrays import Array, Layout
from spectroflow.archive.records import SCHEMA, encode, record_digest
from spectroflow.archive.segment import records_key
from spectroflow.engine.unit import Unit
from spectroflow.errors import RecordError
from spectroflow.storage import CheckedWriter

_COLUMNS = frozenset(SCHEMA.names) - {"metadata"}


class ShardBuilder:
    """Collects the rows of one shard and writes them at once.

    Parameters
    ----------
    layout
        Of the segment.
    shard
        Its number.
    """

    def __init__(self, layout: Layout, shard: int) -> None:
        self.layout = layout
        self.shard = shard
        self.start, self.stop = layout.span(shard)
        rows = self.stop - self.start
        self._points: dict[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]] = {}
        self._status = np.full(rows, status.NOT_DONE, np.uint8)
        self._records: list[dict[str, Any]] = [{} for _ in range(rows)]
        self.capacity = layout.arrays[0].inner[0]

    def put(self, row: int, axis: Array, intensity: Array, facts: dict[str, Any]) -> None:
        """Store a spectrum.

        Parameters
        ----------
        row
            Row of the segment.
        axis, intensity
            Shape ``(n,)``, ascending, NaN where masked.
        facts
            Columns of the record table; what has no column goes into ``metadata``.

        Raises
        ------
        RecordError
            ``TOO_LONG`` if it has more points than the modality's capacity.
        """
        points = len(axis)
        if points > self.capacity:
            raise RecordError(
                "TOO_LONG",
                f"it has {points:,} points, the modality's capacity is {self.capacity:,}",
                remedy=f"Set modality.NAME.capacity to at least {points} and convert again.",
            )
        i = row - self.start
        stored = np.asarray(axis, np.float64), np.asarray(intensity, np.float32)
        self._points[i] = stored
        self._status[i] = status.OK
        described = {
            "digest": record_digest(*stored),
            "points": points,
            "axis_min": float(axis[0]),
            "axis_max": float(axis[-1]),
        }
        self._records[i] = self._row(row, status.OK, {**facts, **described})

    def refuse(self, row: int, code: str, facts: dict[str, Any]) -> None:
        """Store that there is no spectrum in a row, and why."""
        number = status.code_of(code)
        self._status[row - self.start] = number
        self._records[row - self.start] = self._row(row, number, {**facts, "points": 0})

    def write(self, writer: CheckedWriter, segment: str) -> Counter[str]:
        """Write arrays and record table of the shard; return how many rows have which status."""
        used: npt.NDArray[np.uint8] = self._status
        assert not (used == status.NOT_DONE).any(), "every planned row has an outcome"
        # As wide as the longest spectrum needs: the capacity is many times what most spectra have.
        chunk = (self.layout.arrays[0].inner_chunks or (self.capacity,))[0]
        longest = max((len(axis) for axis, _ in self._points.values()), default=1)
        shape = self.stop - self.start, min(self.capacity, -(-max(1, longest) // chunk) * chunk)
        axes, intensities = np.full(shape, np.nan, np.float64), np.full(shape, np.nan, np.float32)
        for i, (axis, intensity) in self._points.items():
            axes[i, : len(axis)] = axis
            intensities[i, : len(axis)] = intensity
        values: dict[str, Array] = {"axis": axes, "intensity": intensities, "status": self._status}
        self.layout.write(writer.zarr_store(self.layout.path), self.shard, values)
        writer.put(records_key(segment, self.shard), encode(self._records))
        return Counter(status.NAMES[int(code)] for code in self._status)

    @staticmethod
    def _row(row: int, number: int, facts: dict[str, Any]) -> dict[str, Any]:
        extra = {key: value for key, value in facts.items() if key not in _COLUMNS and value not in (None, "")}
        known = {key: value for key, value in facts.items() if key in _COLUMNS}
        text = json.dumps(extra, sort_keys=True, ensure_ascii=False) if extra else None
        return {**known, "row": row, "status": number, "metadata": text}


def segment_keys(layout: Layout, segment: str, unit: Unit) -> frozenset[str]:
    """Return the keys of a unit's shards: arrays and record tables."""
    shards = range(unit.shard_start, unit.shard_stop)
    return frozenset(records_key(segment, shard) for shard in shards).union(*(layout.keys(shard) for shard in shards))
