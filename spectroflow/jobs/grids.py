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


def load_spectra(opened: Archive, modality: Modality, where: str | None) -> SpectraOf:
    """Return all usable spectra of a modality that have a label or a sample, ready for a model."""
    parts: list[Gridded] = []
    tables: list[pa.Table] = []
    for segment in opened.segments(modality.name):
        table = select(opened.segment_records(segment), where)
        gridded = grid_rows(opened.root, segment, opened.lines_layer(segment.id), modality, 0, segment.rows)
        rows = table["row"].to_numpy()
        named = np.array(
            [bool(a or b) for a, b in zip(table["label"].to_pylist(), table["sample_id"].to_pylist(), strict=True)],
            bool,
        )
        usable = named & gridded.ok[rows] & gridded.valid[rows].any(axis=1)
        rows = rows[usable]
        parts.append(Gridded(gridded.values[rows], gridded.valid[rows], gridded.lines[rows], gridded.ok[rows]))
        tables.append(table.filter(pa.array(usable)))
    slots = max((part.lines.shape[1] for part in parts), default=0)
    points = modality.grid.points
    columns = {
        name: [value or "" for table in tables for value in table[name].to_pylist()]
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


def pad_lines(lines: Float, slots: int) -> Float:
    """Return lines with unused slots added up to ``slots``."""
    missing = slots - lines.shape[1]
    return np.pad(lines, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan) if missing else lines
