"""Two answers to one question: what the ranked structures say, and what can be said without them.

For a diffraction pattern these are the expectation of the simulated patterns over the ranking, and the mean
pattern. For any other modality they are the experts of the generator that are fed with the composition of
the ranked structures, with two more that know them as crystals, and the generator as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spectroflow.models.blend import unit_rows
from spectroflow.models.experts import experts_of
from spectroflow.models.generator import Generator, Query
from spectroflow.models.library.analogue import Analogues
from spectroflow.models.library.diffraction import Instrument, InstrumentFit, spread
from spectroflow.models.library.ranking import Ranker, Ranking
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import build_targets

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What may be the spectra of some samples.

    Attributes
    ----------
    experts
        ``{name: (queries, points)}`` of those who know the ranking.
    plain
        ``(queries, points)`` without the ranking.
    spread
        ``(queries, points)`` how far the likely structures differ.
    evidence
        ``(queries, 3)``: probability of the best structure; correlation that the expectation has with the right
        structure's spectrum if the probabilities are right; how well the best one fits.
    """

    experts: dict[str, Float]
    plain: Float
    spread: Float
    evidence: Double


class Answerer:
    """Answers by what was learned without some folds of the training materials."""

    def __init__(self, generator: Generator, library: StructureLibrary, ranker: Ranker) -> None:
        self.generator, self.library, self.ranker = generator, library, ranker
        self._instruments: dict[str, tuple[Int, InstrumentFit]] = {}
        self._patterns: dict[tuple[str, Instrument], Float] = {}
        self._means: dict[tuple[str, tuple[int, ...]], Float] = {}
        self._analogues: dict[str, Analogues] = {}

    def simulates(self, target: str) -> bool:
        """Say whether spectra of a modality are simulated from structures."""
        return self.generator.modalities[target].wavelengths is not None

    def answers(self, query: Query, ranking: Ranking, without: tuple[int, ...]) -> Answers:
        """Answer for queries whose structures are ranked.

        Parameters
        ----------
        without
            Folds that nothing is learned from; the first one is the member's own, whose blend is used.
        """
        if self.simulates(query.target):
            table = self.patterns(query.target, without)
            simulated = (ranking.probability @ table).astype(np.float32)
            plain = np.tile(self._mean(query.target, without), (len(simulated), 1))
            between = spread(table, ranking.probability, simulated)
            return Answers({"simulated": simulated}, plain, between, _evidence(ranking, table))
        told = np.isfinite(query.composition[:, :1]) & (query.track == "formula")
        ranked = (ranking.probability @ self.library.composition).astype(np.float32)
        ranked[ranking.probability.sum(axis=1) <= 0] = np.nan
        fed = replace(query, composition=np.where(told, query.composition, ranked), track="formula")
        heard, _ = self._heard(fed, without)
        experts = {name: heard[name] for name in experts_of("formula") if name in heard}
        tables = self._analogue(query.target).predictions(without)
        experts |= {name: (ranking.probability @ table).astype(np.float32) for name, table in tables.items()}
        evidence = _evidence(ranking, tables["like structure"])
        plain = self._plain(query, without)
        return Answers(experts, plain, np.zeros_like(plain), evidence)

    def patterns(self, target: str, without: tuple[int, ...]) -> Float:
        """Return the patterns of all structures, of unit length, drawn by the instrument of the other folds."""
        if target not in self._instruments:
            agreement = self.ranker.agreement(target)
            rows = np.flatnonzero(agreement.structure >= 0)
            table = self.generator.data.spectra[target]
            fit = InstrumentFit(
                self.library,
                self.generator.modalities[target],
                table.values[rows],
                table.valid[rows],
                agreement.structure[rows],
                agreement.material[rows],
            )
            self._instruments[target] = rows, fit
        rows, fit = self._instruments[target]
        instrument = fit.best(np.flatnonzero(~np.isin(self.generator.folds[target][rows], without)))
        key = (target, instrument)
        if key not in self._patterns:
            modality = self.generator.modalities[target]
            self._patterns[key] = unit_rows(self.library.patterns(modality, instrument.widths, instrument.zero))
        return self._patterns[key]

    def _heard(self, query: Query, without: tuple[int, ...]) -> tuple[dict[str, Float], Float | None]:
        """Return the experts of the generator, and its blend of them where it has one for the track."""
        similar = self.generator.similarity(query)
        decoded, _ = self.generator.network_predictions(query, without)
        opinion = self.generator.member_opinion(query, without, similar, decoded)
        blend = self.generator.blends.get((without[0], query.source, query.target, query.track))
        if blend is None:
            return dict(opinion.predictions), None
        heard, evidence = opinion.with_materials(blend.posterior)
        return dict(heard.predictions), blend.combine(heard.predictions, evidence)

    def _plain(self, query: Query, without: tuple[int, ...]) -> Float:
        told = np.isfinite(query.composition[:, :1]) & (query.track != "spectrum")
        result: Float | None = None
        for track, chosen in ((query.track, told), ("spectrum", ~told)):
            if not chosen.any():
                continue
            _, made = self._heard(replace(query, track=track), without)
            assert made is not None
            result = made if result is None else np.where(chosen, made, result)
        assert result is not None
        return result

    def _mean(self, target: str, without: tuple[int, ...]) -> Float:
        key = (target, tuple(sorted(without)))
        if key not in self._means:
            rows = np.flatnonzero(~np.isin(self.generator.folds[target], without))
            self._means[key] = build_targets(self.generator.data, target, rows).mean()
        return self._means[key]

    def _analogue(self, target: str) -> Analogues:
        if target not in self._analogues:
            self._analogues[target] = Analogues(self.generator, self.library, target)
        return self._analogues[target]


def _evidence(ranking: Ranking, table: Float) -> Double:
    expected = ranking.probability @ table
    moved = expected - expected.mean(axis=1, keepdims=True)
    length = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    own = unit_rows(table - table.mean(axis=1, keepdims=True))
    agreement = (ranking.probability * ((moved / length) @ own.T)).sum(axis=1)
    return np.stack([ranking.probability.max(axis=1), agreement, ranking.top], axis=1)
