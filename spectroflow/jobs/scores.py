"""What generated spectra are scored by against the spectra measured on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.metrics import MEASURES, compare, match_line_sets
from spectroflow.modality import Modality
from spectroflow.models.lines import line_points, within

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Measured spectra to compare others with.

    Attributes
    ----------
    values
        Shape ``(rows, points)`` on the modality's grid, background removed, relative to the maximum.
    valid
        Where they were measured; nothing else counts.
    modality
        Gives grid, resolution and the tolerance of line positions.
    """

    values: Float
    valid: Bool
    modality: Modality

    @cached_property
    def centers(self) -> Array:
        """Where they have lines, shape ``(rows, most lines)``."""
        return line_centers(self.values, self.valid, self.modality)

    def score(self, generated: Float, centers: npt.NDArray[Any] | None = None) -> Array:
        """Compare others with these row by row.

        Parameters
        ----------
        generated
            Shape ``(rows, points)``.
        centers
            Their lines where their maker tells them, ``(rows, slots)`` in axis units, NaN in unused slots.
            If None, lines are found as in the measured spectra, so that neither profits from a better detector.

        Returns
        -------
        ndarray
            Shape ``(rows, measures)``, float64, in the order of :data:`spectroflow.metrics.MEASURES`.
        """
        modality = self.modality
        if centers is None:
            told = line_centers(generated, self.valid, modality)
        else:
            kept = within(np.asarray(centers, np.float32)[:, :, None], self.valid, modality)
            told = kept[:, :, 0].astype(np.float64)
        found = compare(generated, self.values, self.valid, axis=modality.grid.axis(), resolution=modality.resolution)
        found |= match_line_sets(told, self.centers, modality.match_tolerance)
        return np.stack([np.asarray(found[name], np.float64) for name in MEASURES], axis=1)

    def score_comb(self) -> Array:
        """Return what lines everywhere would reach, two tolerances apart, so that every line has one near it.

        The control of the measures of lines, which reward whoever names many; NaN in all measures of intensity.
        """
        grid, reach = self.modality.grid, self.modality.match_tolerance
        comb = np.arange(grid.start + reach, grid.stop, 2.0 * reach)
        centers = np.broadcast_to(comb, (len(self.values), comb.size))
        scores = self.score(np.ones_like(self.values), centers)
        of_lines = [name in ("precision", "recall", "f1", "position_error") for name in MEASURES]
        return np.where(of_lines, scores, np.nan)


def line_centers(values: Float, valid: Bool, modality: Modality) -> Array:
    """Return where gridded spectra have lines: local maxima that stand out.

    Returns
    -------
    ndarray
        Shape ``(rows, most lines)``, axis units, NaN in unused slots.
    """
    axis = modality.grid.axis()
    found = [axis[places] for places in line_points(values, valid)]
    centers = np.full((len(found), max((len(f) for f in found), default=0)), np.nan)
    for row, places in zip(centers, found, strict=True):
        row[: len(places)] = places
    return centers


def mean_by(owner: npt.NDArray[np.int64], values: Array, count: int) -> Array:
    """Return the means of rows that share an owner, NaN left out, shape ``(count, columns)``."""
    finite = np.isfinite(values)
    total, number = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    np.add.at(total, owner, np.where(finite, values, 0.0))
    np.add.at(number, owner, finite)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
