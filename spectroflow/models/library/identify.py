"""Identify, then simulate: what follows from the structures that a spectrum may belong to.

Each member of the generator ranks the structures, and answers with and without them (``answers.py``). The
two answers are mixed by the probability that the library holds the right structure. Weights, that
probability and the trust in the result are fitted on training materials by what was learned without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput
from spectroflow.materials.composition import ELEMENTS
from spectroflow.models.blend import Blend, fit_blend, unit_rows
from spectroflow.models.generator import Generated, Generator, Query
from spectroflow.models.library.answers import Answerer, Answers
from spectroflow.models.library.gate import Gate, fit_gate
from spectroflow.models.library.ranking import Ranker, Ranking, training_query
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import material_weights
from spectroflow.models.preprocess import prepare

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

HOLDS = 0.9


@dataclass(frozen=True)
class Identified:
    """What was generated, and from which structures.

    Attributes
    ----------
    source
        Modality of the spectra that it was made from.
    generated
        As a generator gives it; ``experts`` are ``library``, what the structures say, and ``plain``.
    probability
        ``(n, structures)``, if the library holds the right one; mean over the members that spoke.
    present
        ``(n,)`` probability that it does.
    """

    source: str
    generated: Generated
    probability: Double
    present: Double

    def take(self, rows: Int) -> Identified:
        """Return some of the rows."""
        return Identified(self.source, self.generated.take(rows), self.probability[rows], self.present[rows])


@dataclass(frozen=True)
class _Fitted:
    """How one member weighs its experts, opens its gate, and trusts the result."""

    experts: Blend
    gate: Gate
    trust: Blend

    def library(self, answers: Answers) -> Float:
        return self.experts.combine(answers.experts)

    def mixed(self, answers: Answers) -> tuple[Float, Double]:
        """Return the mixture of both answers, and the probability that the structure is there."""
        present = self.gate(answers.evidence)
        share = present[:, None].astype(np.float32)
        return share * unit_rows(self.library(answers)) + (1 - share) * unit_rows(answers.plain), present

    def evidence(self, answers: Answers, present: Double) -> Double:
        return np.stack([present, present * answers.evidence[:, 1], answers.evidence[:, 0]], axis=1)


class LibraryGenerator:
    """A generator that knows crystal structures besides.

    Parameters
    ----------
    generator
        A trained model.
    library
        The structures.
    holds
        For how many of the samples the library holds the right structure, as far as one can tell beforehand.
    """

    def __init__(self, generator: Generator, library: StructureLibrary, *, holds: float = HOLDS) -> None:
        self.generator, self.library, self.holds = generator, library, holds
        self.ranker = Ranker(generator, library)
        self.answerer = Answerer(generator, library, self.ranker)
        self._fitted: dict[tuple[int, str, str, str], _Fitted] = {}

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
        """Generate spectra of materials that the training has not seen; parameters as in :meth:`Generator.generate`.

        Raises
        ------
        InvalidInput
            The library holds the structures of too few training materials to learn from.
        """
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
        slots = np.zeros((len(values), 0, 4), np.float32) if lines is None else lines[..., :4]
        pieces = []
        # Every member that speaks for a row of a batch answers all of it, so rows with the same member go together.
        order = np.argsort([who[0] for who in members], kind="stable").astype(np.int64)
        for start in range(0, max(len(values), 1), batch):
            rows = order[start : start + batch]
            measured = _padded(valid[rows], batch, False)
            ready = _padded(values[rows], batch, 0.0)
            query = Query(
                ready if prepared else prepare(ready, measured, modality),
                measured,
                _padded(slots[rows], batch, np.nan),
                source,
                target,
                _padded(known[rows], batch, np.nan),
                track,
            )
            speaks = np.zeros((batch, self.generator.config.folds), bool)
            for place, row in enumerate(rows.tolist()):
                speaks[place, list(members[row])] = True
            shut = None if excluded is None else _padded(excluded[rows], batch, False)
            pieces.append(self._one_batch(query, speaks, shut).take(np.arange(len(rows))))
        return _join(pieces).take(np.argsort(order))

    def _one_batch(self, query: Query, speaks: Bool, excluded: Bool | None) -> Identified:
        share = (speaks / np.maximum(speaks.sum(axis=1, keepdims=True), 1)).T
        points = self.generator.modalities[query.target].grid.points
        total = {name: np.zeros((len(speaks), points)) for name in ("mean", "square", "within", "library", "plain")}
        confidence, here = np.zeros(len(speaks)), np.zeros(len(speaks))
        probability = np.zeros((len(speaks), len(self.library)))
        for member in np.flatnonzero(speaks.any(axis=0)).tolist():
            fitted = self.fitted(member, query.source, query.target, query.track)
            ranking = self.ranker.rank(query, member, excluded=excluded)
            answers = self.answerer.answers(query, ranking, (member,))
            mixed, present = fitted.mixed(answers)
            sure = fitted.trust.confidence(fitted.evidence(answers, present))
            result = fitted.trust.combine({"mixed": mixed}).astype(np.float64)
            between = (present[:, None] * answers.spread).astype(np.float32)
            weight = share[member][:, None]
            total["mean"] += weight * result
            total["square"] += weight * result**2
            total["within"] += weight * fitted.trust.uncertainty(sure, between).astype(np.float64) ** 2
            total["library"] += weight * fitted.library(answers)
            total["plain"] += weight * answers.plain
            confidence += share[member] * sure
            here += share[member] * present
            probability += weight * ranking.probability
        deviation = np.sqrt(total["within"] + np.maximum(total["square"] - total["mean"] ** 2, 0.0))
        made = Generated(
            total["mean"].astype(np.float32),
            deviation.astype(np.float32),
            confidence.astype(np.float32),
            np.zeros((len(speaks), 0), np.float32),
            np.zeros((len(speaks), 0, 2), np.float32),
            {name: total[name].astype(np.float32) for name in ("library", "plain")},
        )
        return Identified(query.source, made, probability, here)

    def fitted(self, member: int, source: str, target: str, track: str) -> _Fitted:
        """Return what one member learned of a direction from its training folds, when first asked for."""
        key = (member, source, target, track)
        if key not in self._fitted:
            self._fitted[key] = self._fit(*key)
        return self._fitted[key]

    def _fit(self, member: int, source: str, target: str, track: str) -> _Fitted:
        data = self.generator.data
        rows, ranking = self.ranker.inner_ranking(member, source, track)
        _, without = self.ranker.inner_ranking(member, source, track, left_out=True)
        place = {int(row): i for i, row in enumerate(rows)}
        pairs = np.array([(place[i], j) for i, j in data.pairs(source, target).tolist() if i in place], np.int64)
        material = data.material[source][rows[pairs[:, 0]]] if len(pairs) else np.zeros(0, np.int64)
        if len(np.unique(material)) < 2 * self.generator.config.folds:
            raise InvalidInput(
                f"{source} to {target}: the library holds the structures of {len(np.unique(material))} training "
                f"materials that were measured in both, and at least {2 * self.generator.config.folds} are needed",
                remedy="Add structures of training materials, or leave out --library for this direction.",
            )
        used, at = np.unique(pairs[:, 0], return_inverse=True)
        query = replace(training_query(self.generator, source, rows[used], track), target=target)
        here, gone = (self._inner_answers(member, query, rows[used], r.take(used)) for r in (ranking, without))
        measured = data.spectra[target].values[pairs[:, 1]]
        valid = data.spectra[target].valid[pairs[:, 1]]
        experts = fit_blend(
            {name: value[at] for name, value in here.experts.items()},
            list(here.experts),
            here.evidence[at],
            measured,
            valid,
            material,
        )
        weight = material_weights(data.material[source][rows[used]])
        evidence = np.concatenate([here.evidence, gone.evidence])
        gate = fit_gate(evidence, np.repeat([True, False], len(used)), np.tile(weight, 2), self.holds)
        # Trust is learned from cases with and without the right structure: a library never holds all of them.
        fitted = _Fitted(experts, gate, experts)
        mixed, said = [], []
        for answers in (here, gone):
            both, present = fitted.mixed(answers)
            mixed.append(both[at])
            said.append(fitted.evidence(answers, present)[at])
        trust = fit_blend(
            {"mixed": np.concatenate(mixed)},
            ["mixed"],
            np.concatenate(said),
            np.concatenate([measured, measured]),
            np.concatenate([valid, valid]),
            np.concatenate([material, material]),
        )
        return replace(fitted, trust=trust)

    def _inner_answers(self, member: int, query: Query, rows: Int, ranking: Ranking) -> Answers:
        """Return answers for training rows, each by what was learned without its fold and without the member's."""
        fold = self.generator.folds[query.source][rows]
        parts: list[tuple[Int, Answers]] = []
        for inner in sorted(set(fold.tolist())):
            at = np.flatnonzero(fold == inner)
            parts.append((at, self.answerer.answers(query.take(at), ranking.take(at), (member, inner))))
        order = np.argsort(np.concatenate([at for at, _ in parts]), kind="stable")
        names = list(parts[0][1].experts)
        plain, between, evidence = (
            np.concatenate([getattr(part, name) for _, part in parts])[order]
            for name in ("plain", "spread", "evidence")
        )
        experts = {name: np.concatenate([part.experts[name] for _, part in parts])[order] for name in names}
        return Answers(experts, plain, between, evidence)


def _padded(array: npt.NDArray[Scalar], rows: int, value: float) -> npt.NDArray[Scalar]:
    """Return an array with rows added: every batch has the same shape, on which rounding depends."""
    missing = rows - len(array)
    return np.pad(array, [(0, missing), *((0, 0) for _ in array.shape[1:])], constant_values=value)


def _join(pieces: Sequence[Identified]) -> Identified:
    parts = [piece.generated for piece in pieces]
    intensity, uncertainty, confidence, latent, lines = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("intensity", "uncertainty", "confidence", "latent", "lines")
    )
    experts = {name: np.concatenate([part.experts[name] for part in parts]) for name in parts[0].experts}
    return Identified(
        pieces[0].source,
        Generated(intensity, uncertainty, confidence, latent, lines, experts),
        np.concatenate([piece.probability for piece in pieces]),
        np.concatenate([piece.present for piece in pieces]),
    )
