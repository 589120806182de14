"""Identify, then simulate: what follows from the structures that a spectrum may belong to.

A diffraction pattern is simulated: the expectation over the ranked structures, with the widths and the
zero shift of the training archive. Any other modality is generated from what the structures are made of:
their composition goes to the generator, and two more experts know them as crystals (``analogue.py``).
How all of these are weighed, and how far the result can be trusted, is fitted on training materials by
what was learned without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput
from spectroflow.materials.composition import ELEMENTS
from spectroflow.models.blend import Blend, fit_blend, unit_rows
from spectroflow.models.generator import Generated, Generator, Query
from spectroflow.models.library.analogue import Analogues
from spectroflow.models.library.diffraction import Instrument, InstrumentFit, spread
from spectroflow.models.library.ranking import Ranker, Ranking, training_query
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import build_targets
from spectroflow.models.preprocess import prepare

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Identified:
    """What was generated, and from which structures.

    Attributes
    ----------
    source
        Modality of the spectra that it was made from.
    generated
        As a generator gives it; ``experts`` holds ``simulated`` or the experts of the generator.
    probability
        ``(n, structures)`` mean over the members that spoke.
    """

    source: str
    generated: Generated
    probability: Double


class LibraryGenerator:
    """A generator that knows crystal structures besides.

    Parameters
    ----------
    generator
        A trained model.
    library
        The structures.
    """

    def __init__(self, generator: Generator, library: StructureLibrary) -> None:
        self.generator, self.library = generator, library
        self.ranker = Ranker(generator, library)
        self._blends: dict[tuple[int, str, str, str], Blend] = {}
        self._instruments: dict[str, tuple[Int, InstrumentFit]] = {}
        self._patterns: dict[tuple[str, Instrument], Float] = {}
        self._means: dict[tuple[str, tuple[int, ...]], Float] = {}
        self._analogues: dict[str, Analogues] = {}

    def generate(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        source: str,
        target: str,
        *,
        composition: Float | None = None,
        track: str = "spectrum",
        batch: int = 64,
    ) -> Identified:
        """Generate spectra of materials that the training has not seen; parameters as in :meth:`Generator.generate`."""
        everyone = [tuple(range(self.generator.config.folds))] * len(values)
        return self._generate(values, valid, lines, (source, target), composition, track, everyone, batch)

    def generate_held_out(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        source: str,
        target: str,
        labels: Sequence[str],
        samples: Sequence[str] | None = None,
        *,
        composition: Float | None = None,
        track: str = "spectrum",
        prepared: bool = False,
        excluded: Bool | None = None,
        batch: int = 64,
    ) -> Identified:
        """Generate as if no material had been in the training; see :meth:`Generator.generate_held_out`.

        Parameters
        ----------
        excluded
            ``(n, structures)``, True for structures that are to be left out of the library for a row.
        """
        folds = [self.generator.fold_of(*names) for names in zip(labels, samples or [""] * len(labels), strict=True)]
        everyone = tuple(range(self.generator.config.folds))
        members = [everyone if fold is None else (fold,) for fold in folds]
        return self._generate(
            values, valid, lines, (source, target), composition, track, members, batch, prepared, excluded
        )

    def _generate(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        direction: tuple[str, str],
        composition: Float | None,
        track: str,
        members: Sequence[tuple[int, ...]],
        batch: int,
        prepared: bool = False,
        excluded: Bool | None = None,
    ) -> Identified:
        source, target = direction
        modality = self.generator.modalities[source]
        known = np.full((len(values), len(ELEMENTS)), np.nan, np.float32)
        if composition is not None and track != "spectrum":
            known[:] = composition
        slots = 0 if lines is None else lines.shape[1]
        pieces = []
        for start in range(0, max(len(values), 1), batch):
            rows = slice(start, min(start + batch, len(values)))
            missing = batch - (rows.stop - start)

            # Every batch has the same shape, on which rounding depends.
            def padded(
                array: npt.NDArray[np.generic], missing: int = missing, rows: slice = rows
            ) -> npt.NDArray[np.generic]:
                return np.pad(array[rows], [(0, missing), *((0, 0) for _ in array.shape[1:])])

            ready, measured = padded(values), padded(valid)
            query = Query(
                np.asarray(ready, np.float32) if prepared else prepare(ready, measured, modality),  # type: ignore[arg-type]
                np.asarray(measured, bool),
                np.asarray(padded(lines[..., :4]) if lines is not None else np.zeros((batch, slots, 4)), np.float32),
                source,
                target,
                np.concatenate([known[rows], np.full((missing, known.shape[1]), np.nan, np.float32)]),
                track,
            )
            speaks = np.zeros((batch, self.generator.config.folds), bool)
            for row, who in enumerate(members[rows]):
                speaks[row, list(who)] = True
            speaks[rows.stop - start :] = speaks[: rows.stop - start].any(axis=0)
            shut = None if excluded is None else np.asarray(padded(excluded), bool)
            made = self._one_batch(query, speaks, shut)
            pieces.append(_cut(made, rows.stop - start))
        return _join(pieces)

    def _one_batch(self, query: Query, speaks: Bool, excluded: Bool | None) -> Identified:
        share = (speaks / np.maximum(speaks.sum(axis=1, keepdims=True), 1)).T
        points = self.generator.modalities[query.target].grid.points
        mean, square, within = (np.zeros((len(speaks), points)) for _ in range(3))
        confidence = np.zeros(len(speaks))
        probability = np.zeros((len(speaks), len(self.library)))
        alone: dict[str, Double] = {}
        for member in np.flatnonzero(speaks.any(axis=0)).tolist():
            ranking = self.ranker.rank(query, member, excluded=excluded)
            experts, evidence, between = self._experts(query, ranking, (member,))
            blend = self.blend(member, query.source, query.target, query.track)
            sure = blend.confidence(evidence)
            result = blend.combine(experts).astype(np.float64)
            weight = share[member][:, None]
            mean += weight * result
            square += weight * result**2
            within += weight * blend.uncertainty(sure, between).astype(np.float64) ** 2
            confidence += share[member] * sure
            probability += weight * ranking.probability
            for name, value in experts.items():
                alone[name] = alone.get(name, np.zeros_like(mean)) + weight * value
        deviation = np.sqrt(within + np.maximum(square - mean**2, 0.0))
        made = Generated(
            mean.astype(np.float32),
            deviation.astype(np.float32),
            confidence.astype(np.float32),
            np.zeros((len(mean), 0), np.float32),
            {name: value.astype(np.float32) for name, value in alone.items()},
        )
        return Identified(query.source, made, probability)

    def blend(self, member: int, source: str, target: str, track: str) -> Blend:
        """Return how one member weighs its experts, fitted on its training folds when first asked for."""
        key = (member, source, target, track)
        if key not in self._blends:
            self._blends[key] = self._fit_blend(*key)
        return self._blends[key]

    def simulated(self, target: str, probability: Double, folds: Int) -> Float | None:
        """Return the expected patterns for given probabilities, by the instrument of other folds than a row's own.

        None where the target is no diffraction modality. ``probability`` is ``(n, structures)``, ``folds`` ``(n,)``.
        """
        if self.generator.modalities[target].wavelengths is None:
            return None
        tables = [self._pattern_table(target, (fold,)) for fold in range(self.generator.config.folds)]
        return np.stack([row @ tables[fold] for row, fold in zip(probability, folds, strict=True)]).astype(np.float32)

    def _fit_blend(self, member: int, source: str, target: str, track: str) -> Blend:
        data, folds = self.generator.data, self.generator.folds[source]
        pairs = data.pairs(source, target)
        fits = []
        for left_out in (False, True):
            rows, ranking = self.ranker.inner_ranking(member, source, track, left_out=left_out)
            query = replace(training_query(self.generator, source, rows, track), target=target)
            experts: dict[str, Float] = {}
            evidence = np.zeros((0, 0))
            for inner in sorted(set(range(self.generator.config.folds)) - {member}):
                at = np.flatnonzero(folds[rows] == inner)
                part = Ranking(ranking.probability[at], ranking.top[at])
                found, said, _ = self._experts(query.take(at), part, (member, inner))
                for name, value in found.items():
                    experts.setdefault(name, np.zeros((len(rows), value.shape[1]), np.float32))[at] = value
                if not evidence.size:
                    evidence = np.zeros((len(rows), said.shape[1]))
                evidence[at] = said
            place = {int(row): i for i, row in enumerate(rows)}
            chosen = np.array([i for i, (row, _) in enumerate(pairs) if int(row) in place], np.int64)
            if len(np.unique(data.material[source][pairs[chosen, 0]])) < self.generator.config.folds:
                raise InvalidInput(
                    f"{source} to {target}: too few training materials have both and their structure in the library",
                    remedy="Add structures of training materials, or leave out --library for this direction.",
                )
            at = np.array([place[int(row)] for row in pairs[chosen, 0]], np.int64)
            wanted = data.spectra[target]
            fits.append(({n: v[at] for n, v in experts.items()}, evidence[at], pairs[chosen, 1]))
        material = data.material[source][pairs[chosen, 0]]
        names = list(fits[0][0])
        first = fit_blend(fits[0][0], names, fits[0][1], wanted.values[fits[0][2]], wanted.valid[fits[0][2]], material)
        # Trust is learned from cases with and without the right structure: a library never holds all.
        columns = np.concatenate([fits[0][2], fits[1][2]])
        second = fit_blend(
            {"blend": np.concatenate([first.combine(fits[0][0]), first.combine(fits[1][0])])},
            ["blend"],
            np.concatenate([fits[0][1], fits[1][1]]),
            wanted.values[columns],
            wanted.valid[columns],
            np.concatenate([material, material]),
        )
        return replace(second, weights=first.weights)

    def _experts(
        self, query: Query, ranking: Ranking, without: tuple[int, ...]
    ) -> tuple[dict[str, Float], Double, Float]:
        """Return the experts' predictions, the evidence for them, and how far structures differ at each point."""
        probability = ranking.probability
        if self.generator.modalities[query.target].wavelengths is not None:
            table = self._pattern_table(query.target, without)
            simulated = (probability @ table).astype(np.float32)
            experts = {"simulated": simulated, "mean": np.tile(self._mean(query.target, without), (len(simulated), 1))}
            between = spread(table, probability, simulated)
        else:
            experts, table = self._made_of(query, probability, without)
            between = np.zeros((len(probability), table.shape[1]), np.float32)
        return experts, _evidence(ranking, table), between

    def _made_of(self, query: Query, probability: Double, without: tuple[int, ...]) -> tuple[dict[str, Float], Float]:
        generator, (source, target) = self.generator, (query.source, query.target)
        told = np.isfinite(query.composition[:, :1]) & (query.track == "formula")
        ranked = (probability @ self.library.composition).astype(np.float32)
        ranked[probability.sum(axis=1) <= 0] = np.nan
        fed = replace(query, composition=np.where(told, query.composition, ranked), track="formula")
        similar = generator.similarity(fed)
        decoded, _ = generator.network_predictions(fed)
        experts = dict(generator.member_predictions(fed, without, similar, decoded))
        if target not in self._analogues:
            self._analogues[target] = Analogues(generator, self.library, target)
        table: Float | None = None
        for name, predicted in self._analogues[target].predictions(without).items():
            experts[name] = (probability @ predicted).astype(np.float32)
            table = predicted
        assert table is not None, source
        return experts, table

    def _pattern_table(self, target: str, without: tuple[int, ...]) -> Float:
        """Return patterns of all structures, of unit deviation, by the instrument of training folds."""
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

    def _mean(self, target: str, without: tuple[int, ...]) -> Float:
        key = (target, tuple(sorted(without)))
        if key not in self._means:
            rows = np.flatnonzero(~np.isin(self.generator.folds[target], without))
            self._means[key] = build_targets(self.generator.data, target, rows).mean()
        return self._means[key]


def _evidence(ranking: Ranking, table: Float) -> Double:
    """Return what speaks for a ranking: the best probability, how alike the likely structures' spectra are, the fit.

    The second is the correlation that the expectation has with the spectrum of the right structure, if the
    probabilities are right.
    """
    expected = ranking.probability @ table
    moved = expected - expected.mean(axis=1, keepdims=True)
    length = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    own = unit_rows(table - table.mean(axis=1, keepdims=True))
    agreement = (ranking.probability * ((moved / length) @ own.T)).sum(axis=1)
    return np.stack([ranking.probability.max(axis=1), agreement, ranking.top], axis=1)


def _cut(made: Identified, count: int) -> Identified:
    g = made.generated
    experts: Mapping[str, Float] = g.experts
    return Identified(
        made.source,
        Generated(
            g.intensity[:count],
            g.uncertainty[:count],
            g.confidence[:count],
            g.latent[:count],
            {name: value[:count] for name, value in experts.items()},
        ),
        made.probability[:count],
    )


def _join(pieces: Sequence[Identified]) -> Identified:
    parts = [piece.generated for piece in pieces]
    intensity, uncertainty, confidence, latent = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("intensity", "uncertainty", "confidence", "latent")
    )
    experts = {name: np.concatenate([part.experts[name] for part in parts]) for name in parts[0].experts}
    made = Generated(intensity, uncertainty, confidence, latent, experts)
    return Identified(pieces[0].source, made, np.concatenate([piece.probability for piece in pieces]))
