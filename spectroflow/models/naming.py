"""Which material of the training a spectrum is of, if any: a search among known spectra that says how sure it is.

    P(material | spectrum)  =  softmax over materials and "none of them" of  sum over views  sharpness * likeness

The likeness to a material is that of its nearest spectrum, in the views that experts have of spectra
(``features.py``), some of them also without what differs within materials (``steady.py``). ``posterior.py`` asks a
similar question for another purpose: which materials a *target* is like, which unknown minerals have answers to as
well. Here a name is wrong unless it is the right one, so sharpness, and the score of "none of them", are learned for
that: every training spectrum is asked for twice, once without the other spectra of its sample, and once without its
material, when none is right. Both kinds of cases count alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from spectroflow.materials.composition import ELEMENTS
from spectroflow.models.generated import Query
from spectroflow.models.likeness import NEVER, ByMaterial, Others
from spectroflow.models.memory import few_of_each, material_weights
from spectroflow.models.posterior import softmax
from spectroflow.models.preprocess import prepare
from spectroflow.models.steady import STEADY_KINDS

if TYPE_CHECKING:
    from spectroflow.models.generator import Generator

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

LEAST_CASES = 10  # materials with two samples, or there is nothing to learn from
MOST_SCORES = 1_000_000  # cases times materials
FIRST, FIRST_NONE = 5.0, 15.0
SHRINKAGE = 1e-6  # of squared sharpness
PRECISION, STEPS = 1e-12, 500


@dataclass(frozen=True)
class Naming:
    """How sharply likeness tells the materials of one modality apart, and when it is none of them.

    Attributes
    ----------
    sharpness
        ``{view: sharpness >= 0}``
    none
        Score of "none of them", if half of all samples are of no known material.
    figures
        What it did on the cases that it was learned from: ``materials`` with another sample, the share of them that
        was named right (``named_right``), and of materials that were left out the share that was taken for none of
        the others (``unknown_told``). A number for each view, and one more, were fitted to these cases.
    """

    sharpness: Mapping[str, float]
    none: float
    figures: Mapping[str, float]

    def settings(self) -> dict[str, Any]:
        """Return what is kept with a model."""
        return {"sharpness": dict(self.sharpness), "none": self.none, "figures": dict(self.figures)}

    def probability(self, likeness: Mapping[str, Float], known: float) -> Double:
        """Return ``(queries, m + 1)``, the last column for none of them.

        Parameters
        ----------
        likeness
            ``{view: (queries, m)}`` with each material.
        known
            How probable it is beforehand that a sample is of a known material.
        """
        score: Double = np.sum([s * likeness[kind].astype(np.float64) for kind, s in self.sharpness.items()], axis=0)
        none = np.full((len(score), 1), self.none + np.log((1 - known) / known))
        return softmax(np.hstack([score, none]))

    @classmethod
    def fit(cls, others: Others, seed: int) -> Naming | None:
        """Learn from training spectra; None where too few materials have a second sample."""
        table, material = others.table, others.material
        rows = _cases(material, len(table.names), seed)
        found = others.likeness(rows)
        kinds, likeness = tuple(found), np.stack(list(found.values()), axis=2)
        own = np.searchsorted(table.names, material[rows])
        at = np.arange(len(rows))
        seen = likeness[at, own, 0] > NEVER / 2
        if len(np.unique(own[seen])) < LEAST_CASES:
            return None
        unknown = likeness.copy()
        unknown[at, own] = NEVER
        cases = np.concatenate([likeness[seen], unknown])
        right = np.concatenate([own[seen], np.full(len(rows), len(table.names))])
        groups = (own[seen], own)
        weight = np.concatenate([_shares(group) for group in groups])
        *sharpness, none = _fitted(cases, right, weight).tolist()
        naming = cls(dict(zip(kinds, sharpness, strict=True)), none, {})
        told = naming.probability({kind: cases[:, :, k] for k, kind in enumerate(kinds)}, 0.5)
        named = told[:, :-1].argmax(axis=1)[: seen.sum()] == own[seen]
        refused = told.argmax(axis=1)[seen.sum() :] == len(table.names)
        figures = {
            "materials": float(len(np.unique(own[seen]))),
            "named_right": round(float(named @ _shares(own[seen])), 4),
            "unknown_told": round(float(refused @ _shares(own)), 4),
        }
        return cls(naming.sharpness, naming.none, figures)


@dataclass(frozen=True, slots=True)
class Named:
    """What one spectrum may be of.

    Attributes
    ----------
    materials
        Names and probabilities, the likeliest first.
    known
        Probability that it is one of the materials of the training.
    """

    materials: tuple[tuple[str, float], ...]
    known: float


class MaterialNamer:
    """Names the training materials of a generator that spectra of a modality may be of."""

    def __init__(self, generator: Generator, source: str) -> None:
        self._generator, self._source = generator, source
        self._naming = generator.naming[source]
        self._table = ByMaterial(generator.data.material[source])
        learned = not STEADY_KINDS.keys().isdisjoint(self._naming.sharpness)
        self._steady = generator.steady(source) if learned else None

    def name(self, values: Float, valid: Bool, *, most: int, known: float, batch: int = 64) -> list[Named]:
        """Name the likeliest materials of spectra.

        Parameters
        ----------
        values, valid
            ``(n, points)`` on the grid of the modality as measured, and where they were measured.
        most
            Materials that are named of each.
        known
            How probable it is beforehand that a sample is of a material of the training.
        batch
            Rows that are computed at a time, as for :meth:`.generator.Generator.generate`.
        """
        found: list[Named] = []
        for start in range(0, len(values), batch):
            rows = slice(start, min(start + batch, len(values)))
            probability = self._probability(values[rows], valid[rows], known, batch)
            found += [self._named(row, most) for row in probability]
        return found

    def _probability(self, values: Float, valid: Bool, known: float, batch: int) -> Double:
        generator, count = self._generator, len(values)
        padded = np.pad(values, ((0, batch - count), (0, 0)))
        measured = np.pad(valid, ((0, batch - count), (0, 0)))
        ready = prepare(padded, measured, generator.modalities[self._source])
        nothing = np.full((batch, len(ELEMENTS)), np.nan, np.float32)
        lines = np.zeros((batch, 0, 4), np.float32)
        query = Query(ready, measured, lines, self._source, self._source, nothing, "spectrum")
        similar = generator.similarity(query)
        if self._steady is not None:
            similar |= self._steady.similarity(similar)
        likeness = {kind: self._table.best(value) for kind, value in similar.items()}
        return self._naming.probability(likeness, known)[:count]

    def _named(self, probability: Double, most: int) -> Named:
        order = np.argsort(-probability[:-1], kind="stable")[:most]
        names = self._generator.data.materials
        materials = tuple((names[int(self._table.names[i])], float(probability[i])) for i in order)
        return Named(materials, 1.0 - float(probability[-1]))


def _cases(material: Int, materials: int, seed: int) -> Int:
    """Return the rows that are asked for: few of each material, and no more than memory bears."""
    few = few_of_each(material, 3)
    most = max(LEAST_CASES, MOST_SCORES // max(materials, 1))
    if len(few) <= most:
        return few
    return np.sort(np.random.default_rng(seed).permutation(few)[:most])


def _shares(group: Int) -> Double:
    return material_weights(group) / len(group)  # their mean is 1


def _fitted(cases: Float, right: Int, weight: Double) -> Double:
    """Return the sharpness of each view and the score of none of them under which the right names are likeliest.

    The loss is convex, of about ten numbers. L-BFGS-B gets stuck where many of them reach their bound at once.
    """
    count, materials, views = cases.shape
    possible = cases[:, :, 0] > NEVER / 2
    flat = np.where(possible[:, :, None], cases, 0.0).reshape(-1, views)
    at = np.arange(count)

    def loss(candidate: Double) -> tuple[float, Double]:
        score = np.where(possible, (flat @ candidate[:-1]).reshape(count, materials), NEVER)
        share = softmax(np.hstack([score, np.full((count, 1), candidate[-1])]))
        value = -float(weight @ np.log(np.maximum(share[at, right], 1e-300)))
        share[at, right] -= 1.0
        share *= weight[:, None]
        slope = np.append(share[:, :-1].ravel() @ flat, share[:, -1].sum())
        slope[:-1] += 2 * SHRINKAGE * candidate[:-1]
        return value + SHRINKAGE * float(candidate[:-1] @ candidate[:-1]), slope

    first = np.append(np.full(views, FIRST), FIRST_NONE)
    bounds = [(0.0, None)] * views + [(None, None)]
    options = {"ftol": PRECISION, "maxiter": STEPS}
    return np.asarray(minimize(loss, first, jac=True, bounds=bounds, method="SLSQP", options=options).x)
