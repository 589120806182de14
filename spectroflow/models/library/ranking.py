"""Which structure a spectrum belongs to: agreements weighed into probabilities.

    p(structure | spectrum) = softmax over structures of  sum_k  weight_k  agreement_k

The weights, none negative, maximise the likelihood of the right structures of training materials, by
agreements that were learned without the material in question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from spectroflow.errors import InvalidInput
from spectroflow.models.generator import Generator, Query
from spectroflow.models.library.agreement import Agreement
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import material_weights
from spectroflow.models.posterior import softmax

Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]
Scores = dict[str, Double]

SHRINKAGE = 1e-3  # of squared weights, in units of the spread of each agreement
MOST_LEARNED = 1000
"""Structures that weights are learned on: those of training materials, and a fixed draw of the others."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Structures ranked for queries.

    Attributes
    ----------
    probability
        ``(queries, structures)``; a row of zeros where every structure is excluded.
    top
        ``(queries,)`` weighted agreement of the best one: how well it fits, not how much better than others.
    """

    probability: Double
    top: Double

    def take(self, rows: Int) -> Ranking:
        """Return some of the queries."""
        return Ranking(self.probability[rows], self.top[rows])


class Ranker:
    """Ranks the structures of a library for spectra of the modalities of a generator.

    Parameters
    ----------
    generator
        Its training materials are what the agreements are learned from, in its folds.
    library
        The structures.
    """

    def __init__(self, generator: Generator, library: StructureLibrary) -> None:
        self.generator, self.library = generator, library
        self._agreements: dict[str, Agreement] = {}
        self._weights: dict[tuple[int, str, str], dict[str, float]] = {}
        self._inner: dict[tuple[str, str], tuple[Int, dict[tuple[int, int], Scores]]] = {}
        self.pool, self._stands_for = draw_pool(len(library), library.links(generator.data))

    def agreement(self, source: str) -> Agreement:
        """Return what is learned of one modality."""
        if source not in self._agreements:
            self._agreements[source] = Agreement(self.generator, self.library, source)
        return self._agreements[source]

    def rank(self, query: Query, member: int, *, excluded: Bool | None = None) -> Ranking:
        """Return the structures as one member ranks them.

        Rows without a composition are ranked by their spectrum alone, whatever the track.

        Parameters
        ----------
        member
            Fold of materials that nothing was learned from.
        excluded
            ``(queries, structures)``, True for structures that are not to be thought of.
        """
        probability, top = np.zeros((len(query.values), len(self.library))), np.zeros(len(query.values))
        told = np.isfinite(query.composition[:, 0]) & (query.track != "spectrum")
        for rows, track in ((np.flatnonzero(told), query.track), (np.flatnonzero(~told), "spectrum")):
            if len(rows):
                part = replace(query.take(rows), track=track)
                scores = self.agreement(query.source).scores(part, (member,))
                weights = self.weights(member, query.source, track)
                found = weighed(scores, weights, None if excluded is None else excluded[rows])
                probability[rows], top[rows] = found.probability, found.top
        return Ranking(probability, top)

    def weights(self, member: int, source: str, track: str) -> dict[str, float]:
        """Return the weight of each agreement, fitted on the training folds of a member.

        Raises
        ------
        InvalidInput
            The library holds the structures of too few training materials.
        """
        key = (member, source, track)
        if key not in self._weights:
            rows, scores = self._seen_by(member, source, track)
            agreement = self.agreement(source)
            material = agreement.material[rows]
            right = right_structures(agreement.links, material, len(self.library))[:, self.pool]
            self._weights[key] = fit_weights(scores, right, material_weights(material), self._stands_for)
        return self._weights[key]

    def inner_ranking(self, member: int, source: str, track: str, *, left_out: bool = False) -> tuple[Int, Ranking]:
        """Rank for training rows outside a member's fold, by what was learned without their fold and without it.

        Parameters
        ----------
        left_out
            Rank as if the library did not hold the right structures.
        """
        rows, scores = self._seen_by(member, source, track)
        agreement = self.agreement(source)
        right = right_structures(agreement.links, agreement.material[rows], len(self.library))[:, self.pool]
        few = weighed(scores, self.weights(member, source, track), right if left_out else None)
        probability = np.zeros((len(rows), len(self.library)))
        probability[:, self.pool] = few.probability
        return rows, Ranking(probability, few.top)

    def _seen_by(self, member: int, source: str, track: str) -> tuple[Int, Scores]:
        """Return rows outside a member's fold, and their agreements as learned without their fold and without it."""
        rows, found = self._learned(source, track)
        fold = self.generator.folds[source][rows]
        chosen = np.flatnonzero(fold != member)
        scores: Scores = {}
        for inner in sorted(set(range(self.generator.config.folds)) - {member}):
            at = np.flatnonzero(fold == inner)
            pair = (min(member, inner), max(member, inner))
            own = fold[(fold == pair[0]) | (fold == pair[1])] == inner
            for name, values in found[pair].items():
                scores.setdefault(name, np.zeros((len(rows), len(self.pool))))[at] = values[own]
        return rows[chosen], {name: values[chosen] for name, values in scores.items()}

    def _learned(self, source: str, track: str) -> tuple[Int, dict[tuple[int, int], Scores]]:
        """Return training rows of known structure, and agreements as learned without each pair of folds.

        Those of a pair are for the rows of either fold, in their order, with the structures of the pool: they
        serve both members.
        """
        key = (source, track)
        if key not in self._inner:
            agreement, folds = self.agreement(source), self.generator.config.folds
            known = agreement.structure >= 0
            if track != "spectrum":
                known &= np.isfinite(self.generator.data.composition[source][:, 0])
            rows = np.flatnonzero(known)
            require_linked(len(np.unique(agreement.material[rows])), folds, source)
            query = training_query(self.generator, source, rows, track)
            fold = self.generator.folds[source][rows]
            found: dict[tuple[int, int], Scores] = {}
            for one in range(folds):
                for other in range(one + 1, folds):
                    at = np.flatnonzero((fold == one) | (fold == other))
                    scores = agreement.scores(query.take(at), (one, other))
                    found[one, other] = {name: values[:, self.pool] for name, values in scores.items()}
            self._inner[key] = rows, found
        return self._inner[key]


def require_linked(materials: int, folds: int, source: str) -> None:
    """Refuse to learn from too few materials whose structures the library holds.

    Raises
    ------
    InvalidInput
        There are fewer than two per fold.
    """
    if materials < 2 * folds:
        raise InvalidInput(
            f"the library holds the structures of {materials} training materials with {source} spectra, and at least "
            f"{2 * folds} are needed to learn how {source} spectra and structures agree",
            remedy="Say with library build --manifest which label or sample each structure has, or add structures.",
        )


def training_query(generator: Generator, source: str, rows: Int, track: str) -> Query:
    """Return training spectra as a query; there is no target yet."""
    table = generator.data.spectra[source]
    composition = generator.data.composition[source][rows]
    return Query(table.values[rows], table.valid[rows], table.lines[rows], source, source, composition, track)


def right_structures(links: Mapping[int, Int], material: Int, count: int) -> Bool:
    """Return which structures belong to each material, ``(n, count)``; rows of False where none is known."""
    right = np.zeros((len(material), count), bool)
    for row, one in enumerate(material.tolist()):
        right[row, links.get(one, ())] = True
    return right


def best(probability: Double, count: int) -> list[list[tuple[int, float]]]:
    """Return, for each row, its most likely structures with their probabilities, the likeliest first."""
    order = np.argsort(-probability, axis=1, kind="stable")[:, :count]
    return [[(int(i), float(row[i])) for i in chosen] for row, chosen in zip(probability, order, strict=True)]


def weighed(scores: Mapping[str, Double], weights: Mapping[str, float], excluded: Bool | None = None) -> Ranking:
    """Weigh agreements ``{name: (n, structures)}``; see :class:`Ranking`."""
    total: Double = np.sum([weights[name] * values for name, values in scores.items()], axis=0)
    if excluded is None:
        return Ranking(softmax(total), total.max(axis=1))
    total = np.where(excluded, -np.inf, total)
    nothing: Bool = np.asarray(excluded.all(axis=1))
    total[nothing] = 0.0
    return Ranking(np.where(nothing[:, None], 0.0, softmax(total)), total.max(axis=1))


def draw_pool(count: int, links: Mapping[int, Int]) -> tuple[Int, Double]:
    """Return the structures to learn on, and how many of the library each stands for."""
    linked = np.unique(np.concatenate([*links.values(), np.zeros(0, np.int64)])).astype(np.int64)
    others = np.setdiff1d(np.arange(count), linked)
    wanted = max(0, MOST_LEARNED - len(linked))
    drawn = np.random.default_rng(0).permutation(others)[:wanted]
    pool = np.sort(np.concatenate([linked, drawn]))
    factor = len(others) / max(len(drawn), 1)
    return pool, np.where(np.isin(pool, linked), 1.0, factor)


def fit_weights(
    scores: Mapping[str, Double], right: Bool, weight: Double, stands_for: Double | None = None
) -> dict[str, float]:
    """Return the weights under which the right structures are most likely.

    Parameters
    ----------
    scores
        ``{name: (n, structures)}``
    right
        ``(n, structures)``, at least one True in each row.
    weight
        ``(n,)`` how much each row counts.
    stands_for
        ``(structures,)`` how often each counts in the normalisation; once if None.
    """
    more = 0.0 if stands_for is None else np.log(stands_for)
    names = list(scores)
    centred = np.stack([value - value.mean(axis=1, keepdims=True) for value in scores.values()], axis=2)
    scale = np.maximum(centred.std(axis=(0, 1)), 1e-9)
    centred /= scale
    flat = centred.reshape(-1, len(names))
    share = weight / weight.sum()

    def loss(candidate: Double) -> tuple[float, Double]:
        probability = softmax((flat @ candidate).reshape(right.shape) + more)
        hit = np.maximum((probability * right).sum(axis=1), 1e-300)
        wanted = probability * right / hit[:, None]
        slope = ((probability - wanted) * share[:, None]).ravel() @ flat
        value = -float(share @ np.log(hit)) + SHRINKAGE * float(candidate @ candidate)
        return value, slope + 2 * SHRINKAGE * candidate

    found = minimize(loss, np.ones(len(names)), jac=True, bounds=[(0, None)] * len(names), method="L-BFGS-B")
    return {name: float(value) for name, value in zip(names, found.x / scale, strict=True)}
