"""Spectra that show only a part of their axis, and the ranges that such spectra have in common.

A far-infrared instrument ends where a mid-infrared one has just begun. Beside whole spectra such a part looks unlike
everything, because what was not measured counts as different. So where enough spectra show the same range, all
others are cut to it and prepared again, as if nothing else of them had been measured, and a generator of its own
learns from them, a *specialist*; it answers for spectra that show this range and little else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spectroflow.modality import Modality
from spectroflow.models.data import SpectraOf, TrainingData
from spectroflow.models.generated import Query
from spectroflow.models.preprocess import prepare

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

LITTLE = 0.25  # of the axis: a spectrum that shows less of it shows a part; with more, whole ones are like it
SHOWN = 0.5  # of a range: a spectrum that shows less of it says nothing there
ALIKE = 0.8  # what two ranges have in common, of what either has, if they are the same one
FEWEST = 10  # spectra of a range that is worth a specialist
MOST = 3  # ranges of one modality


@dataclass(frozen=True, order=True)
class Range:
    """A part of the grid of a modality, from the first to the last grid point, both included."""

    modality: str
    first: int
    last: int

    def inside(self, points: int) -> Bool:
        """Return ``(points,)``, True within the range."""
        at = np.arange(points)
        return np.asarray((at >= self.first) & (at <= self.last))

    def described(self, modality: Modality) -> str:
        """Return the range for people, such as ``400 to 700 cm-1``."""
        axis = modality.grid.axis()
        return f"{axis[self.first]:g} to {axis[self.last]:g} {modality.axis_unit}"


def find_ranges(name: str, valid: Bool) -> list[Range]:
    """Return the ranges that spectra which show a part of the axis have in common, the most frequent first.

    Parameters
    ----------
    name
        The modality.
    valid
        ``(n, points)``, True where measured.
    """
    ends, points = _ends(valid), valid.shape[1]
    some = np.asarray(valid.any(axis=1))
    left = ends[(ends[:, 1] - ends[:, 0] + 1 < LITTLE * points) & some]
    found: list[Range] = []
    while len(left) >= FEWEST and len(found) < MOST:
        kinds, index, counts = np.unique(left, axis=0, return_inverse=True, return_counts=True)
        alike = _shared(kinds, kinds) >= ALIKE
        typical = int((alike @ counts).argmax())
        same = alike[typical][index.ravel()]
        if same.sum() < FEWEST:
            break
        found.append(Range(name, *kinds[typical].tolist()))
        left = left[~same]
    return found


def choose_range(valid: Bool, ranges: Sequence[Range]) -> Int:
    """Return for each spectrum which range it shows, or -1 where it has most in common with the whole axis.

    Parameters
    ----------
    valid
        ``(n, points)``, True where measured.
    """
    ends, points = _ends(valid), valid.shape[1]
    known = np.asarray([(0, points - 1), *((r.first, r.last) for r in ranges)], np.int64)
    likeness = np.where(np.asarray(valid.any(axis=1))[:, None], _shared(ends, known), 0.0)
    return np.asarray(likeness.argmax(axis=1) - 1, np.int64)


def cut_query(query: Query, kept: Range, modality: Modality) -> Query:
    """Return what is left of queries within a range."""
    values, valid, lines = _cut(query.values, query.valid, query.lines, kept, modality)
    return replace(query, values=values, valid=valid, lines=lines)


def cut_data(data: TrainingData, kept: Range) -> TrainingData:
    """Return training data with one modality cut to a range; spectra that show less than half of it are empty."""
    table, modality = data.spectra[kept.modality], data.modalities[kept.modality]
    shown = np.asarray(table.valid[:, kept.first : kept.last + 1].mean(axis=1) >= SHOWN)
    values, valid, lines = _cut(table.values, np.asarray(table.valid & shown[:, None]), table.lines, kept, modality)
    names = (table.sample, table.label, table.digest, table.formula)
    spectra: Mapping[str, SpectraOf] = {**data.spectra, kept.modality: SpectraOf(values, valid, lines, *names)}
    return replace(data, spectra=spectra)


def _cut(values: Float, valid: Bool, lines: Float, kept: Range, modality: Modality) -> tuple[Float, Bool, Float]:
    axis = modality.grid.axis()
    measured = np.asarray(valid & kept.inside(axis.size))
    centre = lines[:, :, :1]
    empty = ~np.asarray(measured.any(axis=1))
    outside = (centre < axis[kept.first]) | (centre > axis[kept.last]) | empty[:, None, None]
    return prepare(values, measured, modality), measured, np.where(outside, np.float32(np.nan), lines)


def _ends(valid: Bool) -> Int:
    """Return the first and the last measured point, ``(n, 2)``."""
    return np.stack([valid.argmax(axis=1), valid.shape[1] - 1 - valid[:, ::-1].argmax(axis=1)], axis=1)


def _shared(one: Int, other: Int) -> Double:
    """Return what two ranges have in common, of what either has, ``(n, m)``."""
    first = np.maximum(one[:, None, 0], other[None, :, 0])
    last = np.minimum(one[:, None, 1], other[None, :, 1])
    both = np.maximum(last - first + 1, 0)
    sizes = (ends[:, 1] - ends[:, 0] + 1 for ends in (one, other))
    either = next(sizes)[:, None] + next(sizes)[None] - both
    return np.asarray(both / either, np.float64)
