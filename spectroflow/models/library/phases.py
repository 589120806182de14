"""The phases of a mixture: which known structures, in which shares, a powder pattern consists of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from spectroflow.materials.powder import Widths, scattered
from spectroflow.modality import Modality
from spectroflow.models.library.diffraction import MATCHING, ZERO_SHIFTS, PatternMatcher, shifted
from spectroflow.models.library.structures import StructureLibrary

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

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
        Share of the pattern's squared intensity that the phases account for.
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
    widths
        How lines are broadened.
    """

    def __init__(
        self,
        library: StructureLibrary,
        modality: Modality,
        *,
        most: int = 3,
        least_share: float = 0.03,
        widths: Widths = MATCHING,
    ) -> None:
        self.modality, self.most, self.least_share = modality, most, least_share
        self._drawn = library.patterns(modality, widths).astype(np.float64)
        self._scale = _per_volume(library, modality, widths)
        self._matcher = PatternMatcher(library, modality)

    def find(self, values: Float) -> list[Phases]:
        """Return the phases of each pattern; ``values`` is ``(n, points)``, prepared, on the modality's grid."""
        overall = np.sum(list(self._matcher.agreement(values).values()), axis=0)
        chosen = np.argsort(-overall, axis=1, kind="stable")[:, :CANDIDATES]
        return [
            _one(self._drawn, self._scale, candidates, row, self.modality, self.most, self.least_share)
            for row, candidates in zip(values, chosen, strict=True)
        ]


def _one(
    drawn: Double,
    scale: Double,
    candidates: npt.NDArray[np.int64],
    row: Float,
    modality: Modality,
    most: int,
    least: float,
) -> Phases:
    best = Phases((), (), -1.0, 0.0)
    for zero in ZERO_SHIFTS[::2]:
        measured = shifted(row[None], modality, zero)[0].astype(np.float64)
        found = _shares(drawn[candidates], measured, most, least)
        if found is not None and found[2] > best.explained:
            kept, weight, explained = found
            volume = weight * scale[candidates[kept]]
            order = np.argsort(-volume, kind="stable")
            best = Phases(
                tuple(int(i) for i in candidates[kept][order]),
                tuple(float(v) for v in (volume / volume.sum())[order]),
                explained,
                float(zero),
            )
    return best


def _shares(
    table: Double, measured: Double, most: int, least: float
) -> tuple[npt.NDArray[np.int64], Double, float] | None:
    """Return which candidates take part, their factors, and the share explained."""
    total = float(measured @ measured)
    if not total > 0:
        return None
    # Forward selection: with all candidates at once, the tails of many stand in for one that fits.
    kept: list[int] = []
    weight = np.zeros(0)
    residual = measured
    lengths = np.maximum(np.linalg.norm(table, axis=1), 1e-12)
    for _ in range(most):
        gain = table @ residual / lengths
        gain[kept] = -np.inf
        candidate = [*kept, int(np.argmax(gain))]
        found, _ = nnls(table[candidate].T, measured)
        area = found * table[candidate].sum(axis=1)
        if area[-1] < least * area.sum():
            break
        kept, weight = candidate, found
        residual = measured - found @ table[candidate]
    area = weight * table[kept].sum(axis=1)
    strong = area >= least * area.sum()
    chosen = np.asarray(kept, np.int64)[strong]
    weight, distance = nnls(table[chosen].T, measured)
    return chosen, weight, 1.0 - distance**2 / total


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
