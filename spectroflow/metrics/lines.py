"""How well found lines match true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LineMatch:
    """Found lines against true ones in one spectrum.

    Attributes
    ----------
    found, true, matched
        Numbers of lines; each line is matched at most once.
    position_error
        Median distance of the matched pairs in axis units, NaN without any.
    pairs
        Indices of found and true line of each pair, shape ``(matched, 2)``.
    """

    found: int
    true: int
    matched: int
    position_error: float
    pairs: npt.NDArray[np.int64]

    @property
    def precision(self) -> float:
        """Share of the found lines that are true; NaN when none was found."""
        return self.matched / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true lines that were found; NaN when there is none."""
        return self.matched / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 0 when nothing matches; NaN when there is no line at all."""
        total = self.found + self.true
        return 2 * self.matched / total if total else float("nan")


def match_lines(found_centers: npt.ArrayLike, true_centers: npt.ArrayLike, tolerance: float) -> LineMatch:
    """Match lines one to one: as many pairs as possible, and of those the nearest.

    Parameters
    ----------
    found_centers, true_centers
        Positions in any order; NaN (an unused slot) counts as no line.
    tolerance
        Greatest distance of a pair, axis units, included.
    """
    found, true = (_present(centers) for centers in (found_centers, true_centers))
    index_found, index_true = (np.nonzero(_finite(centers))[0] for centers in (found_centers, true_centers))
    distance = np.abs(found[:, None] - true[None, :])
    # A pair that is too far costs more than all allowed pairs together, so the number of pairs goes first.
    forbidden = (tolerance + 1e-300) * (min(distance.shape) + 1)
    near = distance <= tolerance
    rows, columns = linear_sum_assignment(np.where(near, distance, forbidden))
    kept = near[rows, columns]
    rows, columns = rows[kept], columns[kept]
    error = float(np.median(distance[rows, columns])) if len(rows) else float("nan")
    pairs = np.stack([index_found[rows], index_true[columns]], axis=1).astype(np.int64)
    return LineMatch(len(found), len(true), len(rows), error, pairs)


def match_line_sets(found_centers: npt.ArrayLike, true_centers: npt.ArrayLike, tolerance: float) -> dict[str, Array]:
    """Match lines row by row.

    Parameters
    ----------
    found_centers, true_centers
        Shape ``(rows, slots)``, NaN in unused slots; the numbers of slots may differ.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1``, ``position_error``, each of shape ``(rows,)``.
    """
    found, true = (np.atleast_2d(np.asarray(c, dtype=np.float64)) for c in (found_centers, true_centers))
    matches = [match_lines(f, t, tolerance) for f, t in zip(found, true, strict=True)]
    names = ("precision", "recall", "f1", "position_error")
    return {name: np.array([getattr(match, name) for match in matches], dtype=np.float64) for name in names}


def _finite(centers: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    return np.isfinite(np.asarray(centers, dtype=np.float64).ravel())


def _present(centers: npt.ArrayLike) -> Array:
    values = np.asarray(centers, dtype=np.float64).ravel()
    return np.asarray(values[np.isfinite(values)])
