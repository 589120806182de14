"""The phases of a mixture: which known structures, in which shares, a powder pattern consists of.

Phases are added one by one, each the one that explains most of what the others leave, and every time zero shift,
widths and strains are refined. Three things keep what is left from being taken for another phase:

- A model of a phase is never exact: grains lie on their faces, lines have other shapes. So a pattern may differ from
  the model by a share of the phases found so far, and by a share of their strongest point nearby. What stands on the
  shoulders of strong lines counts little, what stands where nothing was expected counts in full.
- No single line vouches for a phase, unless it is much of what is left: without the 0.8 degrees that speak most for
  it, the rest must still do so.
- The first phase must be like the pattern, or none is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d

from spectroflow.materials.powder import Widths
from spectroflow.modality import Modality
from spectroflow.models.features import unit
from spectroflow.models.library.phase_fit import Drawer, Fit, Measured, Phase, Setting, Weighing, refined
from spectroflow.models.library.structures import StructureLibrary

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]
Double = npt.NDArray[np.float64]

WIDTHS = tuple(Widths.plain(fwhm) for fwhm in (0.06, 0.08, 0.1, 0.14, 0.2))
FIRST_WIDTH = 2
COARSE = Widths.plain(0.14)  # for a first look at all structures
ZEROS = np.arange(-0.12, 0.121, 0.02)  # degrees 2-theta
STRAINS = np.linspace(-0.002, 0.002, 9)
STIFFNESS = 1.5e-4  # a strain of this size costs as much as the misfit of one point

LEAST_NOISE = 2e-4  # of the highest point
MODEL_ERROR = 0.2  # of a phase's own pattern
NEARBY_ERROR = 0.25  # of its highest point within
NEARBY = 0.65  # degrees 2-theta, to both sides together
POSITION_ERROR = 0.01  # degrees 2-theta
LEAST_LIKENESS = 0.38  # of the first phase; noise reaches 0.1, half of the patterns whose structure is missing 0.35
FIRST_ERROR, FIRST_COUNTS = 0.1, 1e-3  # of the pattern, and of its variance, as long as no phase is known
FIT_ERROR = 0.05  # of the pattern, while parameters are refined
ONE_LINE = 0.8  # degrees 2-theta
DISCOUNT = 0.7  # of what a single line says, in choosing among structures
MUCH = 0.4  # of the misfit: so much may be a single line, as of grains that all lie on one face
FINALISTS = 4  # structures that are looked at closely


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one more phase, in squares of the error that a model is allowed.

    Attributes
    ----------
    gain
        By how much the misfit falls.
    share
        The same as a share of the misfit.
    support
        The same without the line that says most.
    """

    gain: float
    share: float
    support: float


@dataclass(frozen=True)
class _State:
    """Phases found so far, refined."""

    phases: tuple[Phase, ...]
    setting: Setting
    fit: Fit
    cost: float


class PhaseFinder:
    """Finds the phases of powder patterns.

    Parameters
    ----------
    library, modality
        The structures, and the diffraction modality.
    most
        Most phases that are named.
    least_share
        A phase with a smaller share of the pattern's area is not named.
    least
        A further phase needs at least this evidence.
    widths
        How lines may be broadened, in ascending order.
    """

    def __init__(
        self,
        library: StructureLibrary,
        modality: Modality,
        *,
        most: int = 4,
        least_share: float = 0.005,
        least: Evidence = Evidence(gain=200.0, share=0.1, support=50.0),
        widths: Sequence[Widths] = WIDTHS,
    ) -> None:
        self.most, self.least_share, self.least = most, least_share, least
        self._drawer = Drawer(library, modality, widths)
        self._first_width = min(FIRST_WIDTH, len(widths) - 1)
        self._coarse = library.patterns(modality, COARSE)
        self._squares, self._roots = self._coarse**2, unit(np.sqrt(self._coarse))
        step = modality.grid.step
        self._nearby, self._line = (max(1, round(span / step)) for span in (NEARBY, ONE_LINE))

    def find(self, values: Float, valid: Bool | None = None) -> list[Phases]:
        """Return the phases of each pattern.

        Parameters
        ----------
        values, valid
            ``(n, points)`` prepared, on the modality's grid, and where it was measured; everywhere if None.
        """
        known = np.ones(values.shape, bool) if valid is None else valid
        return [self._one(row, where) for row, where in zip(values, known, strict=True)]

    def _one(self, row: Float, valid: Bool) -> Phases:
        measured = Measured.of(row.astype(np.float64), valid, self._drawer.axis, LEAST_NOISE)
        state: _State | None = None
        for further, evidence in self.additions(measured):
            if evidence is not None and not self._convincing(evidence):
                break
            state = further
        return Phases((), (), 0.0, 0.0) if state is None else self._named(measured, state)

    def _convincing(self, evidence: Evidence) -> bool:
        least = self.least
        supported = evidence.support >= least.support or evidence.share >= MUCH
        return supported and evidence.gain >= least.gain and evidence.share >= least.share

    def additions(self, measured: Measured) -> Iterator[tuple[_State, Evidence | None]]:
        """Yield what is known with one phase, with two and so on, and what speaks for the last one."""
        if not measured.values.any():
            return
        state = self._first(measured)
        if state is None:
            return
        yield state, None
        while len(state.phases) < min(self.most, len(self._coarse)):
            further, evidence = self._further(measured, state)
            if further is None:
                return
            state = self._reconsidered(measured, self._refined(measured, further, state.setting))
            yield state, evidence

    def _first(self, measured: Measured) -> _State | None:
        """Return the one phase that is most like the pattern, every finalist refined before they are compared.

        Two first looks name the finalists, by what a phase would explain and by likeness; which of them it is, is
        decided by likeness. Phases that are still unknown spoil the first one, grains that lie on a face both.
        """
        nothing = np.zeros((0, len(measured.values)))
        weighing = Weighing(measured, _variance(measured, FIRST_ERROR) + FIRST_COUNTS * measured.values)
        before = weighing.fit(nothing)
        finalists: dict[int, float] = {}
        for chosen, zeros in (self._likely(measured, weighing, before, ZEROS, FINALISTS), self._alike(measured)):
            finalists |= dict(zip(chosen.tolist(), zeros.tolist(), strict=True))
        states = []
        for structure, zero in finalists.items():
            starts = []
            for setting in (Setting(zero - 0.01, self._first_width), Setting(zero + 0.01, self._first_width)):
                gains = weighing.gains(nothing, self._drawer.draw_strained(structure, setting, STRAINS))
                starts.append((float(gains.max()), Phase(structure, float(STRAINS[np.argmax(gains)])), setting))
            _, phase, setting = max(starts, key=lambda start: start[0])
            states.append(self._refined(measured, (phase,), setting))
        alike = [state for state in states if _likeness(measured, state.fit) >= LEAST_LIKENESS]
        return max(alike, key=lambda state: _likeness(measured, state.fit), default=None)

    def _alike(self, measured: Measured) -> tuple[Int, Double]:
        """Return the structures whose patterns are most like the whole one, and their zero shifts."""
        axis = self._drawer.axis
        moved = np.stack([np.interp(axis + zero, axis, measured.values) for zero in ZEROS])
        likeness = unit(np.sqrt(moved).astype(np.float32)) @ self._roots.T
        chosen = np.argsort(-likeness.max(axis=0), kind="stable")[:FINALISTS]
        return chosen, ZEROS[likeness.argmax(axis=0)[chosen]]

    def _further(self, measured: Measured, state: _State) -> tuple[tuple[Phase, ...] | None, Evidence]:
        """Return the phases with one more, and what speaks for it."""
        weighing = Weighing(measured, self._allowed(measured, state.fit.model))
        own = self._drawn(state)
        before = weighing.fit(own)
        zeros = state.setting.zero + np.array([-0.02, 0.0, 0.02])
        present = [phase.structure for phase in state.phases]
        likely, _ = self._likely(measured, weighing, before, zeros, FINALISTS, present)
        best: tuple[float, tuple[Phase, ...] | None, Evidence] = -np.inf, None, Evidence(0.0, 0.0, 0.0)
        for structure in likely.tolist():
            drawn = self._drawer.draw_strained(structure, state.setting, STRAINS)
            strain = int(np.argmax(weighing.gains(own, drawn)))
            after = weighing.fit(np.vstack([own, drawn[strain]]))
            evidence = self._evidence(measured, weighing, before, after)
            # What one line says is discounted, or whatever has a line at the highest point left would be chosen.
            worth = (1 - DISCOUNT) * evidence.gain + DISCOUNT * evidence.support
            if after.amounts[-1] > 0 and worth > best[0]:
                best = worth, (*state.phases, Phase(structure, float(STRAINS[strain]))), evidence
        return best[1], best[2]

    def _drawn(self, state: _State) -> Double:
        return np.stack([self._drawer.draw(phase, state.setting) for phase in state.phases])

    def _evidence(self, measured: Measured, weighing: Weighing, before: Fit, after: Fit) -> Evidence:
        gain = before.misfit - after.misfit
        line = _greatest_window(weighing.improvement(before, after), self._line)
        scale = max(1.0, after.misfit / len(measured.values))
        return Evidence(gain / scale, gain / before.misfit if before.misfit else 0.0, (gain - line) / scale)

    def _reconsidered(self, measured: Measured, state: _State) -> _State:
        """Look for a better structure in the place of each phase but the last: it was chosen when less was known."""
        for place in range(len(state.phases) - 1):
            others = state.phases[:place] + state.phases[place + 1 :]
            found, _ = self._further(measured, self._fitted(measured, others, state.setting))
            if found is None or found[-1].structure == state.phases[place].structure:
                continue
            changed = self._refined(measured, (*others[:place], found[-1], *others[place:]), state.setting)
            state = min(state, changed, key=lambda one: one.cost)
        return state

    def _likely(
        self, measured: Measured, weighing: Weighing, fit: Fit, zeros: Double, count: int, but: Sequence[int] = ()
    ) -> tuple[Int, Double]:
        """Return the structures that explain most of what a fit leaves, by a first look, and their zero shifts."""
        axis, knots = self._drawer.axis, measured.knots
        rest = measured.values - fit.model - fit.background
        gains = []
        for zero in zeros:
            left, weight = (np.interp(axis + zero, axis, each) for each in (rest, weighing.weight))
            weighted = knots * weight
            gram = weighted @ knots.T + 1e-9 * np.eye(len(knots))
            onto = self._coarse @ weighted.T.astype(np.float32)
            level = np.linalg.solve(gram, weighted @ left)
            agreement = self._coarse @ (left * weight).astype(np.float32) - onto @ level
            own = self._squares @ weight.astype(np.float32) - (onto * np.linalg.solve(gram, onto.T).T).sum(axis=1)
            gains.append(np.maximum(agreement, 0.0) ** 2 / np.maximum(own, 1e-9))
        best = np.max(gains, axis=0)
        best[list(but)] = -1.0
        chosen = np.argsort(-best, kind="stable")[: min(count, len(best) - len(but))]
        return chosen, zeros[np.argmax(gains, axis=0)[chosen]]

    def _allowed(self, measured: Measured, model: Double) -> Double:
        """Return the variance of a pattern around phases that are known, ``(points,)``."""
        near = maximum_filter1d(model, self._nearby)
        slope = np.gradient(model, self._drawer.axis)
        return np.asarray(
            measured.noise**2 + (MODEL_ERROR * model) ** 2 + (NEARBY_ERROR * near) ** 2 + (POSITION_ERROR * slope) ** 2
        )

    def _fitted(self, measured: Measured, phases: tuple[Phase, ...], setting: Setting) -> _State:
        fit = Weighing(measured, _variance(measured, FIT_ERROR)).fit(
            np.stack([self._drawer.draw(phase, setting) for phase in phases])
        )
        return _State(phases, setting, fit, np.inf)

    def _refined(self, measured: Measured, phases: Sequence[Phase], setting: Setting) -> _State:
        weighing = Weighing(measured, _variance(measured, FIT_ERROR))
        return _State(*refined(self._drawer, weighing, phases, setting, STIFFNESS))

    def _named(self, measured: Measured, state: _State) -> Phases:
        drawn = self._drawn(state)
        area = state.fit.amounts * drawn.sum(axis=1)
        kept = np.flatnonzero(area >= self.least_share * area.sum())
        structures = np.array([state.phases[i].structure for i in kept], np.int64)
        per_height = [self._drawer.volume(i, state.setting.width) for i in structures.tolist()]
        volume = state.fit.amounts[kept] * np.array(per_height)
        order = np.argsort(-volume, kind="stable")
        weighing = Weighing(measured, _variance(measured, FIT_ERROR))
        nothing = weighing.fit(drawn[:0]).misfit
        return Phases(
            tuple(structures[order].tolist()),
            tuple((volume / volume.sum())[order].tolist()),
            1.0 - state.fit.misfit / nothing if nothing else 0.0,
            state.setting.zero,
        )


def _likeness(measured: Measured, fit: Fit) -> float:
    """Return the correlation of a pattern and a model, of both the square roots.

    Roots make weak lines count: which lines there are tells more than how strong texture made them.
    """
    above = np.where(measured.valid, np.sqrt(np.clip(measured.values - fit.background, 0.0, None)), 0.0)
    own = np.where(measured.valid, np.sqrt(fit.model), 0.0)
    return float((unit(above[None].astype(np.float32)) * unit(own[None].astype(np.float32))).sum())


def _variance(measured: Measured, error: float) -> Double:
    return np.asarray(measured.noise**2 + (error * measured.values) ** 2)


def _greatest_window(values: Double, points: int) -> float:
    """Return the greatest sum over so many neighbouring points."""
    running = np.concatenate([[0.0], np.cumsum(values)])
    return float((running[points:] - running[:-points]).max())
