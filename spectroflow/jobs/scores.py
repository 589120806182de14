"""What generated spectra are scored by against the spectra measured on the same samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.signal import find_peaks

from spectroflow.metrics import MEASURES, compare, match_line_sets
from spectroflow.modality import Modality

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]

LEAST_PROMINENCE = 0.05
"""A line of a gridded spectrum stands out by this share of the maximum."""


def score(generated: Float, measured: Float, valid: Bool, modality: Modality) -> Array:
    """Compare generated with measured spectra row by row.

    Parameters
    ----------
    generated, measured
        Shape ``(rows, points)`` on the modality's grid, background removed, relative to the maximum.
    valid
        Where the target was measured; nothing else counts.
    modality
        Gives grid, resolution and the tolerance of line positions.

    Returns
    -------
    ndarray
        Shape ``(rows, measures)``, float64, in the order of :data:`spectroflow.metrics.MEASURES`. Lines of
        both sides are found the same way, so that neither profits from a better detector.
    """
    found = compare(generated, measured, valid, axis=modality.grid.axis(), resolution=modality.resolution)
    found |= match_line_sets(
        line_centers(generated, valid, modality), line_centers(measured, valid, modality), modality.match_tolerance
    )
    return np.stack([np.asarray(found[name], np.float64) for name in MEASURES], axis=1)


def line_centers(values: Float, valid: Bool, modality: Modality) -> Array:
    """Return where gridded spectra have lines: local maxima that stand out.

    Returns
    -------
    ndarray
        Shape ``(rows, most lines)``, axis units, NaN in unused slots.
    """
    axis = modality.grid.axis()
    found = []
    for row, usable in zip(np.where(valid, values, 0.0), valid, strict=True):
        top = float(row.max(initial=0.0))
        places = find_peaks(row, prominence=LEAST_PROMINENCE * top)[0] if top > 0 else np.empty(0, np.int64)
        found.append(axis[places[usable[places]]])
    centers = np.full((len(found), max((len(f) for f in found), default=0)), np.nan)
    for row, places in zip(centers, found, strict=True):
        row[: len(places)] = places
    return centers


def column_names(predictors: Iterable[str]) -> list[str]:
    """Return the names of score columns, ``predictor:measure`` for every pair."""
    return [f"{predictor}:{measure}" for predictor in predictors for measure in MEASURES]
