"""The phases of a mixture: which known structures, in which shares, a powder pattern consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from spectroflow.materials.powder import Widths, scattered
from spectroflow.modality import Modality
from spectroflow.models.library.diffraction import PatternMatcher, shifted
from spectroflow.models.library.structures import StructureLibrary

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]
Double = npt.NDArray[np.float64]

BACKGROUND = 0.02  # of the highest point; what counting noise has besides the lines
ZERO_STEPS = np.array([-0.025, -0.0125, 0.0, 0.0125, 0.025])
WIDTHS = (Widths.plain(0.08), Widths.plain(0.14), Widths.plain(0.22))
CANDIDATES = 60
"""Structures, of those that agree best with the pattern as a whole, that are thought of as phases."""


@dataclass(frozen=True, slots=True)
class Phases:
    """What one pattern consists of.

    Attributes
    ----------
    structures
        Rows of the library, the largest share first.
    shares
        Volume shares; they add up to 1.
    explained
        Share of the pattern's weighted square that the phases account for.
    zero
        Zero shift in degrees 2-theta.
    """

    structures: tuple[int, ...]
    shares: tuple[float, ...]
    explained: float
    zero: float


class PhaseFinder:
    """Finds the phases of powder patterns by non-negative least squares.

    Parameters
    ----------
    library, modality
        The structures, and the diffraction modality.
    most
        Most phases that are named.
    least_share
        A phase with a smaller share of the pattern's area is not named.
    least_gain
        A phase that explains less than this share of what the others leave is not named.
    widths
        How lines may be broadened.
    """

    def __init__(
        self,
        library: StructureLibrary,
        modality: Modality,
        *,
        most: int = 3,
        least_share: float = 0.02,
        least_gain: float = 0.1,
        widths: Sequence[Widths] = WIDTHS,
    ) -> None:
        self.modality, self.most, self.least_share, self.least_gain = modality, most, least_share, least_gain
        self._tables = [
            (library.patterns(modality, each).astype(np.float64), _per_volume(library, modality, each))
            for each in widths
        ]
        self._matcher = PatternMatcher(library, modality)

    def find(self, values: Float) -> list[Phases]:
        """Return the phases of each pattern; ``values`` is ``(n, points)``, prepared, on the modality's grid."""
        agreement = np.sum(list(self._matcher.agreement(values).values()), axis=0)
        zeros = self._matcher.zero_shifts(values)
        chosen = np.argsort(-agreement, axis=1, kind="stable")[:, :CANDIDATES]
        return [
            self._one(row, candidates, float(zero[candidates[0]]))
            for row, candidates, zero in zip(values, chosen, zeros, strict=True)
        ]

    def _one(self, row: Float, candidates: Int, zero: float) -> Phases:
        """Try widths and zero shifts around that of the structure that agrees best; keep what explains most."""
        best = Phases((), (), -1.0, 0.0)
        for shift in zero + ZERO_STEPS:
            measured = shifted(row[None], self.modality, float(shift))[0].astype(np.float64)
            if not measured.any():
                continue
            for table, per_volume in self._tables:
                kept, factor, explained = self._shares(table[candidates], measured)
                if explained > best.explained and len(kept):
                    volume = factor * per_volume[candidates[kept]]
                    order = np.argsort(-volume, kind="stable")
                    structures = tuple(int(i) for i in candidates[kept][order])
                    shares = tuple(float(v) for v in (volume / volume.sum())[order])
                    best = Phases(structures, shares, explained, float(shift))
        return best

    def _shares(self, table: Double, measured: Double) -> tuple[Int, Double, float]:
        """Return which candidates take part, their factors, and the share of the weighted square explained.

        Phases are added one by one while each explains enough of what is left: with all candidates at once, the
        tails of many stand in for one that fits. Weights are those of counting statistics over a background, so
        that weak lines of a second phase are heard beside the misfit of strong ones of the first.
        """
        weight = 1.0 / np.sqrt(measured + BACKGROUND)
        rows, wanted = table * weight, measured * weight
        total = left = float(wanted @ wanted)
        lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
        kept: list[int] = []
        factor, residual = np.zeros(0), wanted
        for _ in range(self.most):
            gain = rows @ residual / lengths
            gain[kept] = -np.inf
            candidate = [*kept, int(np.argmax(gain))]
            found, distance = nnls(rows[candidate].T, wanted)
            area = found * table[candidate].sum(axis=1)
            if area.min() < self.least_share * area.sum() or left - distance**2 < self.least_gain * left:
                break
            kept, factor, left = candidate, found, distance**2
            residual = wanted - found @ rows[candidate]
        return np.asarray(kept, np.int64), factor, 1.0 - left / total


def _per_volume(library: StructureLibrary, modality: Modality, widths: Widths) -> Double:
    """Return the volume of each phase that draws its pattern with a highest point of 1.

    The scattered intensity of a volume is its structure factors over the squared volume of the cell (Hill and
    Howard, J. Appl. Cryst. 20, 1987, 467); patterns are drawn relative to their highest point.
    """
    assert modality.wavelengths is not None
    axis = modality.grid.axis()
    heights = [
        scattered(one, axis, wavelengths=modality.wavelengths, widths=widths).max() for one in library.reflections
    ]
    return np.asarray(library.volume**2 / np.maximum(np.asarray(heights), 1e-12))
