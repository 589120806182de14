"""Structures drawn into a measured pattern: where their lines stand, and how much of each there is.

A pattern is a smooth background and a sum of phases. All of them share a zero shift and widths of lines; each has a
strain, because the cell of a sample is never quite that of the library. What enters linearly (background, amounts) is
solved for whatever the rest is, as in variable projection (Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973, 413).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from spectroflow.materials.powder import Widths, scattered
from spectroflow.modality import Modality
from spectroflow.models.library.structures import StructureLibrary, require_wavelengths

Bool = npt.NDArray[np.bool_]
Double = npt.NDArray[np.float64]

FINE = 5  # points that patterns are kept at, for each of the grid; odd, so that a mean over a step has a middle
MARGIN = 1.0  # degrees 2-theta beyond the grid
KEPT = 2000  # drawn patterns; 35 kB each on the grid of 5 to 90 degrees
KNOTS = 7.0  # degrees 2-theta between those of the background
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Phase:
    """A structure, and by how much the lengths of its cell exceed those of the library."""

    structure: int
    strain: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Zero shift in degrees 2-theta, and which of the widths all lines have."""

    zero: float
    width: int


class Drawer:
    """Draws structures of a library on the grid of a modality.

    Parameters
    ----------
    library, modality
        The structures, and the diffraction modality with its wavelengths.
    widths
        How lines may be broadened.
    """

    def __init__(self, library: StructureLibrary, modality: Modality, widths: Sequence[Widths]) -> None:
        self.axis, self.widths = modality.grid.axis(), tuple(widths)
        self._library, self._wavelengths = library, require_wavelengths(library, modality)
        self._step, self._start = modality.grid.step / FINE, self.axis[0] - MARGIN
        self._fine = np.arange(self._start, self.axis[-1] + MARGIN, self._step)
        self._shift = np.degrees(2 * np.tan(np.radians(self.axis / 2)))
        self._kept = lru_cache(maxsize=KEPT)(self._at_fine_points)

    def draw(self, phase: Phase, setting: Setting) -> Double:
        """Return the pattern of a phase, ``(points,)``, the highest point about 1."""
        place = self._places(setting.zero, np.array([phase.strain]))[0]
        return _read(self._kept(phase.structure, setting.width)[0], place)

    def draw_strained(self, structure: int, setting: Setting, strains: Double) -> Double:
        """Return the patterns of a structure at several strains, ``(strains, points)``."""
        return _read(self._kept(structure, setting.width)[0], self._places(setting.zero, strains))

    def volume(self, structure: int, width: int) -> float:
        """Return the volume that draws a pattern with a highest point of 1, in units that all structures share.

        What a volume scatters is its structure factors over the squared volume of the cell (Hill and Howard, J. Appl.
        Cryst. 20, 1987, 467).
        """
        return float(self._library.volume[structure] ** 2 / self._kept(structure, width)[1])

    def _places(self, zero: float, strains: Double) -> Double:
        """Return where, in fine points, a cell of the library shows what a strained one shows on the grid.

        Bragg's law to first order: lengths that grow by a share e lower 2-theta by 2 e tan(theta).
        """
        at = self.axis - zero + strains[:, None] * self._shift
        return np.asarray(np.clip((at - self._start) / self._step, 0, len(self._fine) - 1.001))

    def _at_fine_points(self, structure: int, width: int) -> tuple[npt.NDArray[np.float32], float]:
        """Return a pattern with a highest point of 1, and how high it is."""
        lines, widths = self._library.reflections[structure], self.widths[width]
        drawn = scattered(lines, self._fine, wavelengths=self._wavelengths, widths=widths)
        # A point of the grid stands for the mean over its step; each fine point does for its own already.
        mean = np.convolve(drawn, np.full(FINE, 1 / FINE), mode="same")
        top = max(float(mean.max()), _TINY)
        return (mean / top).astype(np.float32), top


def _read(fine: npt.NDArray[np.float32], place: Double) -> Double:
    low = place.astype(np.int64)
    share = place - low
    return np.asarray(fine[low] * (1 - share) + fine[low + 1] * share, np.float64)


@dataclass(frozen=True)
class Measured:
    """A prepared pattern.

    Attributes
    ----------
    values, valid
        ``(points,)``; the highest point is 1, and 0 stands where nothing was measured.
    noise
        Standard deviation of the background's noise.
    knots
        ``(knots, points)`` hat functions, whose sum with any factors is the background.
    """

    values: Double
    valid: Bool
    noise: float
    knots: Double

    @classmethod
    def of(cls, values: Double, valid: Bool, axis: Double, least_noise: float) -> Measured:
        """Judge the noise by second differences, which a line hardly has at most points.

        Parameters
        ----------
        least_noise
            What a pattern without noise is taken to have.
        """
        values = np.where(valid, values, 0.0)
        bend = np.diff(values, 2)
        known = (bend != 0) & valid[2:] & valid[:-2]  # cut off at 0, noise stands still there
        noise = 1.4826 * float(np.median(np.abs(bend[known]))) / np.sqrt(6) if known.any() else 0.0
        knots = np.linspace(axis[0], axis[-1], max(2, round((axis[-1] - axis[0]) / KNOTS) + 1))
        hats = np.clip(1 - np.abs(axis - knots[:, None]) / (knots[1] - knots[0]), 0.0, None)
        return cls(values, valid, max(noise, least_noise), hats)


@dataclass(frozen=True)
class Fit:
    """Phases at their best amounts over the best background.

    Attributes
    ----------
    misfit
        Weighted sum of squared differences.
    amounts
        ``(phases,)``, none negative.
    model, background
        ``(points,)``
    """

    misfit: float
    amounts: Double
    model: Double
    background: Double


class Weighing:
    """Linear fits to a pattern under given weights.

    Parameters
    ----------
    measured
        The pattern.
    variance
        ``(points,)`` by which a model may be off.
    """

    def __init__(self, measured: Measured, variance: Double) -> None:
        self.values = measured.values
        self.weight = measured.valid / variance
        self._knots = measured.knots
        self._weighted = measured.knots * self.weight
        self._gram = self._weighted @ measured.knots.T + _TINY * np.eye(len(measured.knots))

    def fit(self, drawn: Double) -> Fit:
        """Fit amounts of drawn phases, ``(phases, points)``, and the background; there may be no phase."""
        rows = np.vstack([self.values, drawn])
        onto = np.linalg.solve(self._gram, self._weighted @ rows.T)
        square = (rows * self.weight) @ rows.T - (rows @ self._weighted.T) @ onto
        total, mixed, gram = square[0, 0], square[0, 1:], square[1:, 1:]
        amounts = np.zeros(len(drawn))
        if len(drawn):
            lower = np.linalg.cholesky(gram + _TINY * (np.trace(gram) + _TINY) * np.eye(len(gram)))
            amounts, _ = nnls(lower.T, np.linalg.solve(lower, mixed))
        misfit = float(total - 2 * amounts @ mixed + amounts @ gram @ amounts)
        background = (onto[:, 0] - onto[:, 1:] @ amounts) @ self._knots
        return Fit(max(misfit, 0.0), amounts, amounts @ drawn, background)

    def gains(self, drawn: Double, more: Double) -> Double:
        """Return by how much the misfit would fall with one more phase, ``(candidates,)``.

        Parameters
        ----------
        drawn
            ``(phases, points)`` that are there already; their amounts are free.
        more
            ``(candidates, points)``, each alone.
        """
        basis = np.vstack([self._knots, drawn])
        weighted = basis * self.weight
        gram = weighted @ basis.T + _TINY * np.eye(len(basis))
        rest = self.values - np.linalg.solve(gram, weighted @ self.values) @ basis
        onto = more @ weighted.T
        own = (more * more) @ self.weight - (onto * np.linalg.solve(gram, onto.T).T).sum(axis=1)
        agreement = np.maximum(more @ (self.weight * rest), 0.0)
        return np.asarray(agreement**2 / np.maximum(own, _TINY))

    def improvement(self, before: Fit, after: Fit) -> Double:
        """Return how much nearer the second fit is at every point, ``(points,)``, in squares of the allowed error."""
        old, new = (self.values - fit.model - fit.background for fit in (before, after))
        return np.asarray(self.weight * (old**2 - new**2))


def refined(
    drawer: Drawer, weighing: Weighing, phases: Sequence[Phase], setting: Setting, stiffness: float
) -> tuple[tuple[Phase, ...], Setting, Fit, float]:
    """Move zero shift, widths and strains to where phases fit best; return also the misfit with its penalty.

    Parameters
    ----------
    stiffness
        A strain of this size costs as much as the mean squared error of one point.
    """

    def judged(some: tuple[Phase, ...], where: Setting) -> tuple[float, tuple[Phase, ...], Setting, Fit]:
        fit = weighing.fit(np.stack([drawer.draw(phase, where) for phase in some]))
        scale = max(1.0, fit.misfit / len(weighing.values))
        bent = sum((phase.strain / stiffness) ** 2 for phase in some)
        return fit.misfit + scale * bent, some, where, fit

    best = judged(tuple(phases), setting)
    for by, strain in ((0.01, 5e-4), (0.004, 2.5e-4)):
        for sign in (-1, 1):
            best = min(best, judged(best[1], replace(best[2], zero=best[2].zero + sign * by)), key=_cost)
        for width in (best[2].width - 1, best[2].width + 1):
            if 0 <= width < len(drawer.widths):
                best = min(best, judged(best[1], replace(best[2], width=width)), key=_cost)
        for place in range(len(phases)):
            for sign in (-1, 1):
                moved = list(best[1])
                moved[place] = replace(moved[place], strain=moved[place].strain + sign * strain)
                best = min(best, judged(tuple(moved), best[2]), key=_cost)
    cost, some, where, fit = best
    return some, where, fit, cost


def _cost(judged: tuple[float, tuple[Phase, ...], Setting, Fit]) -> float:
    return judged[0]
