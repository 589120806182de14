"""Reading an archive: one version of it, whole, as one thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zarr

from spectroflow import status
from spectroflow.archive.arrays import Array, open_array, read_rows
from spectroflow.archive.layer import LINES, layer_path
from spectroflow.archive.records import SCHEMA, read_part
from spectroflow.archive.segment import records_key, spectra_path
from spectroflow.archive.version import LayerEntry, SegmentEntry, Version, latest_version, read_version
from spectroflow.archive.where import parse_where, select
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location, LocationStore


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One spectrum of an archive.

    Attributes
    ----------
    segment, row
        Where it stands.
    axis
        Shape ``(n,)``, float64, ascending, in the modality's axis unit.
    intensity
        Shape ``(n,)``, float32; NaN where a point is masked.
    record
        Its row of the record table.
    """

    segment: str
    row: int
    axis: npt.NDArray[np.float64]
    intensity: npt.NDArray[np.float32]
    record: dict[str, Any]


class Archive:
    """One version of an archive, for reading.

    The version stays what it is while the object lives, whatever others commit.

    Parameters
    ----------
    location
        Path or URL of the archive.
    number
        The version to open; the newest if not given.

    Raises
    ------
    ArchiveError
        There is no archive there, or no such version.
    """

    def __init__(self, location: str | Location, number: int | None = None) -> None:
        self.root = Location.parse(location)
        self.version: Version = latest_version(self.root) if number is None else read_version(self.root, number)
        if self.version.number == 0:
            raise ArchiveError(
                "there is no archive here", where=str(self.root), remedy="Make one with spectroflow convert."
            )

    def __repr__(self) -> str:
        return f"<Archive {self.root} version {self.version.number}: {len(self.segments())} segments>"

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities that have records."""
        return sorted({entry.modality for entry in self.version.segments if entry.modality != "unknown"})

    def segments(self, modality: str | None = None) -> list[SegmentEntry]:
        """Return the segments, of one modality if given."""
        return [entry for entry in self.version.segments if modality in (None, entry.modality)]

    def records(
        self, where: str | None = None, *, modality: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the record table of the archive, without superseded records.

        Parameters
        ----------
        where
            A filter such as ``label == "Quartz" and status == 0``.
        modality
            Only records of that modality.
        columns
            Only these columns, after ``segment``, ``modality`` and ``row``, which are always there.
        """
        if where:
            parse_where(where, [*SCHEMA.names, "segment", "modality"])
        tables = [select(self.segment_records(entry), where) for entry in self.segments(modality)]
        table = pa.concat_tables(tables) if tables else self._tag(SCHEMA.empty_table(), "", "")
        if columns is None:
            return table
        return table.select(["segment", "modality", "row", *(name for name in columns if name != "row")])

    def segment_records(self, entry: SegmentEntry) -> pa.Table:
        """Return the record table of one segment, without superseded records."""
        shards = range(-(-entry.rows // entry.shard_rows))
        parts = [self.shard_records(entry, shard) for shard in shards]
        table = self._tag(pa.concat_tables([SCHEMA.empty_table(), *parts]), entry.id, entry.modality)
        hidden = self.superseded_rows(entry.id)
        return table if not hidden.size else table.filter(~np.isin(table["row"].to_numpy(), hidden))

    def shard_records(self, entry: SegmentEntry, shard: int) -> pa.Table:
        """Return the record table of one shard as it was written, superseded records included."""
        location = self.root / records_key(entry.id, shard)
        try:
            return read_part(location)
        except FileNotFoundError:
            raise ArchiveError(
                "a part of the record table is missing", where=str(location), remedy="Run spectroflow verify."
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise ArchiveError(
                f"a part of the record table cannot be read ({error})",
                where=str(location),
                remedy="Run spectroflow verify.",
            ) from None

    def superseded_rows(self, segment: str) -> npt.NDArray[np.int64]:
        """Return the rows of a segment that newer records replace."""
        spans = self.version.superseded.get(segment, ())
        return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans] or [np.empty(0, np.int64)])

    def array(self, segment: str, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Return rows of one array of a segment: ``intensity``, ``axis``, ``status``..."""
        entry = self.version.segment(segment)
        return read_rows(self.root, spectra_path(segment), name, start, entry.rows if stop is None else stop)

    def layer_array(self, layer: LayerEntry, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Return rows of one array of a layer."""
        entry = self.version.segment(layer.segment)
        return read_rows(self.root, layer_path(layer.id, layer.kind), name, start, entry.rows if stop is None else stop)

    def layer_names(self, layer: LayerEntry) -> dict[str, Any]:
        """Return the attributes of a layer, among them the names of what its last axes hold."""
        return self._attributes(layer_path(layer.id, layer.kind))

    def segment_attributes(self, segment: str) -> dict[str, Any]:
        """Return the attributes of a segment: modality, units, origin, and whatever its job added."""
        return self._attributes(spectra_path(segment))

    def lines_layer(self, segment: str) -> LayerEntry | None:
        """Return the newest lines layer of a segment, or None."""
        layers = self.version.layers_of(segment, LINES)
        return layers[-1] if layers else None

    def spectrum(self, segment: str, row: int) -> Spectrum:
        """Return one spectrum with its record.

        Raises
        ------
        ArchiveError
            The segment has no such row, or the row holds no spectrum.
        """
        entry = self.version.segment(segment)
        if not 0 <= row < entry.rows:
            raise ArchiveError(f"there is no row {row}", where=segment, remedy=f"Rows are 0 to {entry.rows - 1}.")
        shard = row // entry.shard_rows
        record = self.shard_records(entry, shard).slice(row - shard * entry.shard_rows, 1).to_pylist()[0]
        if record["status"] != status.OK:
            raise ArchiveError(
                f"row {row} holds no spectrum: {status.NAMES.get(record['status'], record['status'])}",
                where=segment,
                remedy="Run spectroflow status on the archive for the reason.",
            )
        axis = self.array(segment, "axis", row, row + 1)[0]
        return self._spectrum(segment, record, axis, self.array(segment, "intensity", row, row + 1)[0])

    def spectra(self, where: str | None = None, *, modality: str | None = None) -> Iterator[Spectrum]:
        """Yield the spectra whose records match, in the order of segments and rows, a shard at a time."""
        for entry in self.segments(modality):
            table = select(self.segment_records(entry), where)
            table = table.filter(np.asarray(table["status"]) == status.OK)
            rows = table["row"].to_numpy()
            for shard in np.unique(rows // entry.shard_rows):
                start, stop = int(shard) * entry.shard_rows, min(entry.rows, int(shard + 1) * entry.shard_rows)
                axes = self.array(entry.id, "axis", start, stop)
                intensities = self.array(entry.id, "intensity", start, stop)
                inside = (rows >= start) & (rows < stop)
                for record in table.filter(inside).to_pylist():
                    local = record["row"] - start
                    yield self._spectrum(entry.id, record, axes[local], intensities[local])

    def _spectrum(self, segment: str, record: dict[str, Any], axis: Array, intensity: Array) -> Spectrum:
        axis, intensity = trim(axis, intensity)
        if len(axis) != (record["points"] or len(axis)) or not len(axis):
            # A shard that is missing reads as if nothing had been written.
            raise ArchiveError(
                f"row {record['row']} has {len(axis)} points, and its record says {record['points']}",
                where=str(self.root / spectra_path(segment)),
                remedy="Run spectroflow verify.",
            )
        return Spectrum(segment, record["row"], axis, intensity, record)

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Number of records by modality and status name, superseded records left out."""
        result: dict[str, dict[str, int]] = {}
        for entry in self.segments():
            for counted in pc.value_counts(self.segment_records(entry)["status"]).to_pylist():
                name = status.NAMES.get(counted["values"], str(counted["values"]))
                table = result.setdefault(entry.modality, {})
                table[name] = table.get(name, 0) + counted["counts"]
        return result

    def open_array(self, segment: str, name: str) -> Any:
        """Open one array of a segment as a zarr array, without reading it."""
        return open_array(self.root, spectra_path(segment), name)

    def _attributes(self, path: str) -> dict[str, Any]:
        return dict(zarr.open_group(LocationStore(self.root / path, read_only=True), mode="r").attrs)

    @staticmethod
    def _tag(table: pa.Table, segment: str, modality: str) -> pa.Table:
        table = table.add_column(0, "segment", pa.array([segment] * table.num_rows, pa.string()))
        return table.add_column(1, "modality", pa.array([modality] * table.num_rows, pa.string()))


def trim(axis: Array, intensity: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Return a stored row without the padding after its last point; shapes ``(n,)`` and ``(n,)``."""
    points = int(np.count_nonzero(np.isfinite(axis)))
    return axis[:points], intensity[:points]
