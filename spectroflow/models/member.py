"""What one member learns of its experts in one direction: whom to believe, when, and how far.

Everything is fitted on what experts said of training materials that they never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spectroflow.models.blend import Blend, centre, fit_blend, non_negative
from spectroflow.models.experts import Opinion, experts_of
from spectroflow.models.folds import Split
from spectroflow.models.lines import LineRule, fit_rule
from spectroflow.models.memory import few_of_each, material_weights
from spectroflow.models.posterior import Cases, Posterior, fit_posterior

if TYPE_CHECKING:
    from spectroflow.models.generator import Generator

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

LEAST_MEASURED = 0.5  # of the axis, for a spectrum that clues are weighed on
MOST_FOR_LINES = 3  # spectra of one material on which the placing of lines is chosen


@dataclass(frozen=True)
class Heard:
    """What the experts without one fold say of that fold's queries.

    Attributes
    ----------
    rows
        ``(n,)`` positions among all queries.
    material
        ``(n,)``
    opinion
        Of those queries.
    """

    rows: Int
    material: Int
    opinion: Opinion

    def take(self, kept: Bool) -> Heard:
        """Return some of the queries."""
        said = self.opinion
        predictions, densities, clues = (
            {name: value[kept] for name, value in part.items()}
            for part in (said.predictions, said.densities, said.clues)
        )
        return Heard(self.rows[kept], self.material[kept], Opinion(predictions, densities, clues, said.prototypes))


def known_materials(heard: Sequence[Heard], split: Split, least: int) -> list[Heard]:
    """Return what is said of materials that the memory holds, where folds keep samples whole.

    Such a model is for new samples of materials that it knows. A material with a single sample is unknown to every
    member that never saw it; in a collection where most materials are such, members that are fitted on all of them
    learn to answer another question than the one they are asked.

    Parameters
    ----------
    least
        Materials that there must be, or else nothing is left out.
    """
    if split != "sample":
        return list(heard)
    chosen = [part.take(np.isin(part.material, part.opinion.prototypes.paired)) for part in heard]
    enough = len(np.unique(np.concatenate([part.material for part in chosen]))) >= least
    return chosen if enough else list(heard)


def fit_member(
    generator: Generator, heard: Sequence[Heard], pairs: Int, position: Int, target: str, track: str
) -> Blend:
    """Fit the posterior over materials, the blend with its calibration, and the placing of lines.

    Parameters
    ----------
    pairs, position
        ``(pairs, 2)`` rows of source and target, and ``(pairs,)`` the query of each.
    """
    table, modality = generator.data.spectra[target], generator.modalities[target]
    posterior = _posterior(heard, pairs, position, table.values, table.valid)
    opinions = [part.opinion.with_materials(posterior) for part in heard]
    rows = np.concatenate([part.rows for part in heard])
    place = np.full(int(position.max(initial=0)) + 1, -1)
    place[rows] = np.arange(len(rows))
    chosen = np.flatnonzero(place[position] >= 0)
    at = place[position[chosen]]
    wanted, valid = table.values[pairs[chosen, 1]], table.valid[pairs[chosen, 1]]
    material = np.concatenate([part.material for part in heard])[at]
    names = set.intersection(*(set(opinion.predictions) for opinion, _ in opinions))
    predictions = {name: np.concatenate([o.predictions[name] for o, _ in opinions])[at] for name in sorted(names)}
    evidence = np.concatenate([found for _, found in opinions])[at]
    experts = [name for name in experts_of(track) if name in names]
    blend = fit_blend(predictions, experts, evidence, wanted, valid, material, gated=True)

    few = few_of_each(material, MOST_FOR_LINES)
    densities = {
        name: np.concatenate([o.densities[name] for o, _ in opinions])[at[few]] for name in opinions[0][0].densities
    }
    lines = fit_lines(densities, generator.views.densities(target)[pairs[chosen[few], 1]], valid[few], material[few])
    rule = fit_rule(
        lines.weights, lines.density(densities), wanted[few], valid[few], modality, material_weights(material[few])
    )
    return replace(blend, sharpness=dict(posterior.sharpness), lines=rule)


def fit_lines(densities: dict[str, Float], measured: Float, valid: Bool, material: Int) -> LineRule:
    """Mix densities of lines for the least squared distance to the measured ones, every material counting once.

    Parameters
    ----------
    densities
        ``{name: (n, points)}``
    measured, valid
        ``(n, points)``
    """
    names, weight = sorted(densities), material_weights(material)
    stack = np.stack([np.where(valid, densities[name], 0.0) for name in names], axis=1).astype(np.float32)
    square = np.einsum("n,nkl->kl", weight, stack @ stack.transpose(0, 2, 1))
    mixed = weight @ (stack @ np.where(valid, measured, np.float32(0))[:, :, None])[:, :, 0]
    found = non_negative(square, mixed)
    return LineRule(
        dict(zip(names, (found if found.any() else np.ones(len(names)) / len(names)).tolist(), strict=True))
    )


def _posterior(heard: Sequence[Heard], pairs: Int, position: Int, values: Float, valid: Bool) -> Posterior:
    first = np.full(int(position.max(initial=0)) + 1, 0)
    first[position[::-1]] = pairs[::-1, 1]  # of several targets the first one
    cases = []
    for part in heard:
        known = valid[first[part.rows]].mean(axis=1) > LEAST_MEASURED
        if not known.any():
            known[:] = True
        part = part.take(known)
        few = np.zeros(len(part.rows), bool)
        few[few_of_each(part.material)] = True
        part = part.take(few)
        measured = valid[first[part.rows]]
        wanted = centre(values[first[part.rows]], measured)
        wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-9)
        cases.append(Cases.of(part.opinion.clues, wanted, part.opinion.prototypes, material_weights(part.material)))
    return fit_posterior(cases)
