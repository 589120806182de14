"""Spectra of an archive on the regular grid of their modality, with their lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spectroflow import status
from spectroflow.archive import Archive, SegmentEntry
from spectroflow.archive.arrays import read_rows
from spectroflow.archive.layer import LINES, layer_path
from spectroflow.archive.version import LayerEntry
from spectroflow.archive.where import select
from spectroflow.jobs.fit import read_spectra
from spectroflow.modality import Modality
from spectroflow.models.data import SpectraOf, spectra_of
from spectroflow.models.selection import Names
from spectroflow.signal import resample
from spectroflow.storage import Location

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Gridded:
    """Rows of a segment on the grid of their modality.

    Attributes
    ----------
    values, valid
        ``(rows, points)``: intensity and whether it was measured there.
    lines
        ``(rows, slots, 4)``: centre, height, FWHM and shape; zero slots where nothing was fitted.
    ok
        ``(rows,)``, False where the row holds no spectrum.
    """

    values: Float
    valid: npt.NDArray[np.bool_]
    lines: Float
    ok: npt.NDArray[np.bool_]


def grid_rows(
    root: Location, segment: SegmentEntry, lines: LayerEntry | None, modality: Modality, start: int, stop: int
) -> Gridded:
    """Read rows of a segment and resample them to the grid of their modality.

    Parameters
    ----------
    root, segment
        Where the rows are.
    lines
        The lines layer to read, or None.
    modality
        Gives the grid.
    start, stop
        Rows.
    """
    axis, intensity, state = read_spectra(root, segment.id, start, stop)
    grid = modality.grid.axis()
    values = np.zeros((stop - start, grid.size), np.float32)
    valid = np.zeros((stop - start, grid.size), np.bool_)
    ok = state == status.OK
    for i in np.flatnonzero(ok):
        measured = np.isfinite(axis[i])
        values[i], valid[i] = resample(axis[i, measured], intensity[i, measured].astype(np.float64), grid)
    values[~valid] = 0.0
    if lines is None:
        found = np.zeros((stop - start, 0, 4), np.float32)
    else:
        found = read_rows(root, layer_path(lines.id, LINES), "lines", start, stop)[:, :, :4]
    return Gridded(values, valid, found, ok)


def not_selected(
    opened: Archive, segment: SegmentEntry, start: int, stop: int, where: str | None
) -> npt.NDArray[np.bool_]:
    """Return which rows a filter on the record table leaves out, shape ``(stop - start,)``."""
    left_out = np.zeros(stop - start, np.bool_)
    if where is None:
        return left_out
    left_out[:] = True
    for shard in range(start // segment.shard_rows, -(-stop // segment.shard_rows)):
        rows = select(opened.shard_records(segment, shard), where)["row"].to_numpy()
        left_out[rows[(rows >= start) & (rows < stop)] - start] = False
    return left_out


def usable_records(opened: Archive, modality: str, where: str | None) -> list[tuple[SegmentEntry, pa.Table]]:
    """Return the records of a modality's segments that hold a spectrum and have a label or a sample."""
    found = []
    for segment in opened.segments(modality):
        table = select(opened.segment_records(segment), where)
        named = [bool(a or b) for a, b in zip(_texts(table, "label"), _texts(table, "sample_id"), strict=True)]
        usable = np.array(named, bool) & (table["status"].to_numpy() == status.OK)
        found.append((segment, table.filter(pa.array(usable))))
    return found


def names_of(opened: Archive, modality: str, where: str | None) -> Names:
    """Return what the usable spectra of a modality are called."""
    tables = [table for _, table in usable_records(opened, modality, where)]
    label, sample, digest = (
        [text for table in tables for text in _texts(table, column)] for column in ("label", "sample_id", "digest")
    )
    return Names(label, sample, digest)


def load_spectra(
    opened: Archive, modality: Modality, where: str | None, chosen: npt.NDArray[np.bool_] | None = None
) -> SpectraOf:
    """Return usable spectra of a modality that have a label or a sample, ready for a model.

    Parameters
    ----------
    chosen
        Which of :func:`names_of` to read; all if None. Shards without any are not read.
    """
    parts: list[Gridded] = []
    tables: list[pa.Table] = []
    passed = 0
    for segment, table in usable_records(opened, modality.name, where):
        if chosen is not None:
            passed, mine = passed + len(table), chosen[passed : passed + len(table)]
            table = table.filter(pa.array(mine))
        row = table["row"].to_numpy()
        shard = row // segment.shard_rows
        lines = opened.lines_layer(segment.id)
        for number in np.unique(shard):
            start = int(number) * segment.shard_rows
            stop = min(start + segment.shard_rows, segment.rows)
            gridded = grid_rows(opened.root, segment, lines, modality, start, stop)
            own = np.flatnonzero(shard == number)
            rows = row[own] - start
            usable = gridded.ok[rows] & gridded.valid[rows].any(axis=1)
            rows = rows[usable]
            parts.append(Gridded(gridded.values[rows], gridded.valid[rows], gridded.lines[rows], gridded.ok[rows]))
            tables.append(table.take(pa.array(own[usable])))
    slots = max((part.lines.shape[1] for part in parts), default=0)
    points = modality.grid.points
    columns = {
        name: [text for table in tables for text in _texts(table, name)]
        for name in ("sample_id", "label", "digest", "formula")
    }
    return spectra_of(
        modality,
        np.concatenate([part.values for part in parts] or [np.zeros((0, points), np.float32)]),
        np.concatenate([part.valid for part in parts] or [np.zeros((0, points), np.bool_)]),
        lines=np.concatenate([pad_lines(part.lines, slots) for part in parts] or [np.zeros((0, 0, 4), np.float32)]),
        sample=columns["sample_id"],
        label=columns["label"],
        digest=columns["digest"],
        formula=columns["formula"],
    )


def _texts(table: pa.Table, column: str) -> list[str]:
    return [value or "" for value in table[column].to_pylist()]


def pad_lines(lines: Float, slots: int) -> Float:
    """Return lines with unused slots added up to ``slots``."""
    missing = slots - lines.shape[1]
    return np.pad(lines, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan) if missing else lines
