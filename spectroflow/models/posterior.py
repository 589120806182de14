"""Which training material a sample is, or is most like: a posterior over materials.

Several *clues* speak for a material: how alike its nearest spectrum is to the query's in several views and
in the learned metric, how well the composition that is read from the query, or known, agrees with its
own, and how well its target agrees with what the regressions answer. Each clue has a sharpness >= 0::

    P(material | query)  =  softmax over materials of  sum over clues  sharpness * clue

and the expected target is the mean target of the materials under it. That is attention with a learned
temperature for each clue, or neighbourhood component analysis (Goldberger et al., NIPS 2004) with materials for
neighbours. Where a material has been measured before it identifies; elsewhere it finds analogues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from spectroflow.models.features import unit

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

FIRST = 1.0  # sharpness before learning
FIRST_OF = {"shape": 8.0, "weak": 2.0, "slope": 5.0, "local": 5.0, "kernel": 5.0, "reading": 3.0, "composition": 20.0}
PULL = 3e-5  # towards the first sharpness, per squared difference of logarithms
WIDEST = 8.0  # of logarithms around the first sharpness
ITERATIONS = 60


@dataclass(frozen=True)
class Shown:
    """What targets look like, measured or expected.

    Attributes
    ----------
    material
        ``(n,)``
    spectra, valid, density
        ``(n, points)``: of unit variance, where they are known, and their lines.
    composition
        ``(n, elements)``, NaN rows where unknown.
    measured
        ``(n,)``
    """

    material: Int
    spectra: Float
    valid: Bool
    density: Float
    composition: Float
    measured: Bool


@dataclass(frozen=True)
class Prototypes:
    """What each material is expected to show.

    Attributes
    ----------
    material
        ``(m,)`` in ascending order.
    spectra
        ``(m, points)``: mean over all that was shown of the material, each of unit variance, over known points.
    density
        ``(m, points)``: mean density of lines, see ``lines.py``.
    fractions
        ``(m, elements)`` atomic fractions, NaN rows where unknown.
    order, start
        Source spectra sorted by material, and where each material that has some begins in them.
    seen, measured
        ``(m,)`` which have source spectra, and of which a target was measured.
    """

    material: Int
    spectra: Float
    density: Float
    fractions: Float
    order: Int
    start: Int
    seen: Bool
    measured: Bool

    @classmethod
    def of(cls, source: Int, composition: Float, shown: Shown) -> Prototypes:
        """Average what is known of every material.

        Parameters
        ----------
        source, composition
            Material, ``(rows,)``, and composition, ``(rows, elements)`` with NaN rows where unknown, of source spectra.
        """
        order = np.argsort(source, kind="stable")
        own, start = np.unique(source[order], return_index=True)
        names = np.union1d(own, shown.material)
        place = np.searchsorted(names, shown.material)
        count = np.zeros((len(names), shown.spectra.shape[1]), np.float32)
        np.add.at(count, place, shown.valid.astype(np.float32))

        def mean(values: Float) -> Float:
            total = np.zeros_like(count)
            np.add.at(total, place, np.where(shown.valid, values, np.float32(0)))
            known = count > 0
            average = total / np.maximum(count, 1)
            everywhere = average.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            return np.where(known, average, everywhere).astype(np.float32)

        fractions = np.full((len(names), composition.shape[1]), np.nan, np.float32)
        for material, table in ((shown.material, shown.composition), (source, composition)):
            told = np.flatnonzero(np.isfinite(table[:, 0]))[::-1]  # the first one stays
            fractions[np.searchsorted(names, material[told])] = table[told]
        measured = np.isin(names, shown.material[shown.measured])
        return cls(
            names, mean(shown.spectra), mean(shown.density), fractions, order, start, np.isin(names, own), measured
        )

    @property
    def paired(self) -> Int:
        """The materials that were measured in both modalities, ``(p,)``."""
        return self.material[self.seen & self.measured]

    @cached_property
    def outlines(self) -> Float:
        """The spectra as they are compared with answers, ``(m, points)``; see :func:`outline`."""
        return outline(self.spectra)

    def best(self, similarity: Float) -> Float:
        """Return the greatest similarity over the rows of each material, ``(queries, rows) -> (queries, m)``.

        Materials without a source spectrum have the mean of the others.
        """
        best = np.maximum.reduceat(similarity[:, self.order], self.start, axis=1).astype(np.float32)
        spread = np.tile(best.mean(axis=1, keepdims=True), (1, len(self.material)))
        spread[:, self.seen] = best
        return spread

    def agreement(self, asked: Float, own: Float) -> Float:
        """Return inner products ``(queries, m)``; materials whose composition is unknown have the mean of the others.

        Parameters
        ----------
        asked, own
            Composition features of the queries and of the materials.
        """
        known = np.isfinite(self.fractions[:, 0])
        product = asked @ own.T
        if not known.any():
            return np.zeros_like(product)
        return np.where(known, product, product[:, known].mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Posterior:
    """How sharply each clue tells materials apart: ``{clue: sharpness >= 0}``."""

    sharpness: Mapping[str, float]

    def probability(self, clues: Mapping[str, Float]) -> Double:
        """Return ``(queries, m)`` from clues of that shape; clues that it never learned of are not heard."""
        heard = [name for name in sorted(self.sharpness) if name in clues]
        total = np.sum([self.sharpness[name] * clues[name].astype(np.float64) for name in heard], axis=0)
        return softmax(total)


@dataclass(frozen=True)
class Cases:
    """Queries whose target is known, and materials that they may be like.

    Attributes
    ----------
    clues
        ``{clue: (n, m)}``
    gain
        ``(n, m)`` correlation of each query's target with each material's.
    gram
        ``(m, m)`` correlation of the materials' targets.
    weight
        ``(n,)``
    """

    clues: Mapping[str, Float]
    gain: Float
    gram: Float
    weight: Double

    @classmethod
    def of(cls, clues: Mapping[str, Float], wanted: Double, prototypes: Prototypes, weight: Double) -> Cases:
        """Compare ``(n, points)`` targets, centred and of unit length over measured points, with the materials'."""
        spectra = prototypes.spectra - prototypes.spectra.mean(axis=1, keepdims=True)
        spectra /= np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 1e-9)
        return cls(clues, np.asarray(wanted, np.float32) @ spectra.T, spectra @ spectra.T, weight)


def fit_posterior(cases: Sequence[Cases]) -> Posterior:
    """Learn how sharp the clues are: where the mean correlation of expected and measured targets is greatest.

    The materials differ from case to case, as what is known differs from fold to fold; the sharpness is one.
    """
    names = sorted(set.intersection(*(set(case.clues) for case in cases)))
    stacks = [np.stack([case.clues[name] for name in names], axis=-1) for case in cases]
    first = np.log([FIRST_OF.get(name, FIRST) for name in names])
    total = float(sum(case.weight.sum() for case in cases))

    def loss(logarithms: Double) -> tuple[float, Double]:
        sharpness = np.exp(logarithms)
        value, slope = 0.0, np.zeros(len(names))
        for case, stack in zip(cases, stacks, strict=True):
            share = softmax(stack @ sharpness.astype(np.float32))
            mixed = share @ case.gram
            length = np.sqrt(np.maximum((mixed * share).sum(axis=1), 1e-9))
            met = (share * case.gain).sum(axis=1)
            weight = case.weight / total
            value -= float(weight @ (met / length))
            rise = (case.gain / length[:, None] - mixed * (met / length**3)[:, None]) * weight[:, None]
            rise = share * (rise - (share * rise).sum(axis=1, keepdims=True))
            slope -= np.einsum("nm,nmf->f", rise.astype(np.float32), stack, optimize=True)
        away = logarithms - first
        return value + PULL * float(away @ away), slope * sharpness + 2 * PULL * away

    bounds = [(start - WIDEST, start + WIDEST) for start in first]
    found: Any = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    return Posterior({name: float(value) for name, value in zip(names, np.exp(found.x), strict=True)})


def outline(spectra: Float) -> Float:
    """Return square roots, centred and of unit length: weak bands count beside the strongest one."""
    return unit(np.sqrt(np.clip(spectra, 0.0, None)))


def softmax(score: npt.NDArray[Any]) -> Double:
    """Return ``exp(score)`` normalised over the last axis; minus infinity is impossible."""
    raised = np.exp((score - score.max(axis=-1, keepdims=True)).astype(np.float64))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)
