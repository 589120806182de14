"""Diffraction patterns and structures: how well they agree, and what instrument drew them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.materials.powder import Widths
from spectroflow.modality import Modality
from spectroflow.models.blend import correlation
from spectroflow.models.evaluation import macro_mean
from spectroflow.models.features import unit
from spectroflow.models.library.structures import StructureLibrary

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

ZERO_SHIFTS = np.arange(-0.25, 0.2501, 0.0125)  # degrees 2-theta
POWERS = (0.35, 0.5, 0.8)
"""A root makes weak lines count: which lines there are tells more than how strong texture made them."""

MATCHING = Widths.plain(0.1)
_CANDIDATES = tuple(
    Widths(w=w, x=x, y=y) for w, x in ((0.0025, 0.05), (0.005, 0.075), (0.01, 0.1), (0.02, 0.15)) for y in (0.0, 0.1)
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What drew the patterns of an archive: widths and zero shift in degrees 2-theta."""

    widths: Widths
    zero: float


_LINES = 250  # strongest lines of a structure that are drawn to find the instrument


class InstrumentFit:
    """Widths and zero shifts, judged on measured patterns of known structures.

    Parameters
    ----------
    library, modality
        The structures, and the diffraction modality.
    values, valid
        ``(n, points)`` prepared patterns and where they were measured.
    structure, material
        ``(n,)`` what each is of.
    """

    def __init__(
        self, library: StructureLibrary, modality: Modality, values: Float, valid: Bool, structure: Int, material: Int
    ) -> None:
        self.material = material
        zeros = ZERO_SHIFTS[(ZERO_SHIFTS > -0.08) & (ZERO_SHIFTS < 0.13)][::2]
        self.choices = [Instrument(widths, float(zero)) for widths in _CANDIDATES for zero in zeros]
        used, at = np.unique(structure, return_inverse=True)
        few, scores = library.take(used).strongest(_LINES), []
        for widths in _CANDIDATES:
            drawn = few.patterns(modality, widths)
            scores += [correlation(shifted(drawn, modality, -zero)[at], values, valid) for zero in zeros]
        self._scores = np.stack(scores) if len(values) else np.zeros((len(self.choices), 0))

    def best(self, rows: Int) -> Instrument:
        """Return what agrees best with some of the patterns, every material counting once."""
        if not len(rows):
            return self.choices[0]
        means = [macro_mean(score[rows], self.material[rows]) for score in self._scores]
        return self.choices[int(np.argmax(means))]


def shifted(values: Float, modality: Modality, by: float) -> Float:
    """Return spectra as they would be read ``by`` degrees further up the axis: ``new(x) = old(x + by)``."""
    place = np.arange(values.shape[1]) + by / modality.grid.step
    low = np.clip(np.floor(place).astype(int), 0, values.shape[1] - 2)
    share = np.clip(place - low, 0.0, 1.0).astype(np.float32)
    return np.asarray(values[:, low] * (1 - share) + values[:, low + 1] * share, np.float32)


class PatternMatcher:
    """Compares measured patterns with those of all structures.

    Parameters
    ----------
    library, modality
        The structures, and the diffraction modality with its wavelengths and grid.
    """

    def __init__(self, library: StructureLibrary, modality: Modality) -> None:
        self.modality = modality
        drawn = library.patterns(modality, MATCHING)
        self._unit = {power: unit(drawn**power) for power in POWERS}

    def agreement(self, values: Float) -> dict[str, Float]:
        """Return the correlation with every structure at the best zero shift, ``{name: (queries, structures)}``.

        Parameters
        ----------
        values
            ``(queries, points)`` prepared patterns.
        """
        return {f"pattern {power:g}": self._best(values, power)[0] for power in POWERS}

    def zero_shifts(self, values: Float, power: float = 0.5) -> Double:
        """Return the zero shift in degrees at which each structure agrees best, ``(queries, structures)``."""
        return self._best(values, power)[1]

    def _best(self, values: Float, power: float) -> tuple[Float, Double]:
        best: Float | None = None
        at = np.zeros((len(values), len(self._unit[power])))
        for zero in ZERO_SHIFTS:
            moved = unit(np.clip(shifted(values, self.modality, zero), 0.0, None) ** power)
            found = moved @ self._unit[power].T
            if best is None:
                best, at[:] = found, zero
                continue
            better = found > best
            best, at = np.where(better, found, best), np.where(better, zero, at)
        assert best is not None
        return best, at


def spread(patterns: Float, probability: Double, mean: Float) -> Float:
    """Return one standard deviation per point of patterns weighted by probability about their mean."""
    second = probability @ patterns.astype(np.float64) ** 2
    return np.sqrt(np.maximum(second - mean.astype(np.float64) ** 2, 0.0)).astype(np.float32)
