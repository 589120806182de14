"""How well structures are found, and what is generated from them, on materials never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import OXYGEN
from spectroflow.models.blend import correlation
from spectroflow.models.evaluation import calibration_error, macro_mean
from spectroflow.models.features import composition_features
from spectroflow.models.generator import Generator
from spectroflow.models.library.identify import Identified, LibraryGenerator
from spectroflow.models.library.ranking import right_structures
from spectroflow.models.library.structures import StructureLibrary

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


def evaluate_library(
    generator: Generator,
    library: StructureLibrary,
    *,
    directions: Sequence[tuple[str, str]] | None = None,
    tracks: Sequence[str] = ("spectrum", "elements"),
    batch: int = 64,
    per_material: bool = False,
) -> dict[str, dict[str, object]]:
    """Judge a library on training materials, each by the member that never saw it.

    Parameters
    ----------
    directions
        All that have measured pairs if None.
    tracks
        What is known of the sample besides its spectrum.
    batch
        Rows that are computed at a time.
    per_material
        Also return ``r_by_material``, ``lookup_r_by_material``: ``{material name: mean r}``, for paired intervals.

    Returns
    -------
    dict
        One table for each direction and track, named ``"raman to xrd, elements, library"``:

        - ``materials``, ``identifiable``: with a measured pair; of these, with their structure in the library;
        - ``r``: mean over all materials of the mean r; ``left_out_r``: as if the right structure was not known;
        - ``top1``, ``top5``, ``top10``: share of identifiable materials whose right structure is among the first;
          of structures that are equally likely, each counts with the share it has of the place;
        - ``lookup_r``, ``lookup_top1``, ``lookup_top10``: what the composition alone does, without the
          spectrum: all structures with the same elements (or the nearest formula) alike. Not for ``spectrum``;
        - ``plain_r``: the answer without the library (for diffraction, the mean pattern);
        - ``calibration``: mean distance between confidence and r; ``left_out_confidence``, ``confidence``: means.
    """
    model = LibraryGenerator(generator, library)
    result: dict[str, dict[str, object]] = {}
    for source, target in generator.data.directions() if directions is None else directions:
        for track in tracks:
            judged = _Judged.of(model, source, target, track, batch)
            result[f"{source} to {target}, {track}, library"] = judged.figures(model, per_material)
        generator.forget_kernels()
    return result


@dataclass(frozen=True)
class _Judged:
    """Held-out results of one direction and track: pairs, and source rows with what was made of them."""

    target: str
    track: str
    rows: Int
    at: Int
    material: Int
    measured: Float
    valid: Bool
    right: Bool
    found: Identified
    without: Identified

    @classmethod
    def of(cls, model: LibraryGenerator, source: str, target: str, track: str, batch: int) -> _Judged:
        data = model.generator.data
        pairs = data.pairs(source, target)
        rows, at = np.unique(pairs[:, 0], return_inverse=True)
        table, wanted = data.spectra[source], data.spectra[target]
        links = model.ranker.agreement(source).links
        right = right_structures(links, data.material[source][rows], len(model.library))
        found, without = (
            model.generate_held_out(
                table.values[rows],
                table.valid[rows],
                table.lines[rows],
                source,
                target,
                [table.label[i] for i in rows],
                [table.sample[i] for i in rows],
                composition=data.composition[source][rows],
                track=track,
                prepared=True,
                excluded=excluded,
                batch=batch,
            )
            for excluded in (None, right)
        )
        material = data.material[source][pairs[:, 0]]
        measured, valid = wanted.values[pairs[:, 1]], wanted.valid[pairs[:, 1]]
        return cls(target, track, rows, at, material, measured, valid, right, found, without)

    def figures(self, model: LibraryGenerator, per_material: bool) -> dict[str, object]:
        generator, names = model.generator, model.generator.data.materials
        known = np.flatnonzero(self.right.any(axis=1))
        # Every pair of a row has the row's material.
        material = self.material[np.unique(self.at, return_index=True)[1]]
        groups = material[known]
        score = self._score(self.found.generated.intensity)
        confidence = self.found.generated.confidence[self.at].astype(np.float64)
        figures: dict[str, object] = {
            "materials": float(len(np.unique(material))),
            "identifiable": float(len(np.unique(groups))),
            "r": macro_mean(score, self.material),
            "left_out_r": macro_mean(self._score(self.without.generated.intensity), self.material),
            "calibration": calibration_error(confidence, score),
            "confidence": float(confidence.mean()),
            "left_out_confidence": float(self.without.generated.confidence[self.at].mean()),
            "plain_r": macro_mean(self._score(self.found.generated.experts["plain"]), self.material),
            **_places(self.found.probability[known], self.right[known], groups, ""),
        }
        if per_material:
            figures["r_by_material"] = by_material(score, self.material, names)
        if self.track != "spectrum":
            source = self.found.source
            likely = lookup(model.library, generator.data.composition[source][self.rows], self.track)
            figures |= _places(likely[known], self.right[known], groups, "lookup_")
            if model.answerer.simulates(self.target):
                looked = self._score(_expected(model, self.target, likely, generator.folds[source][self.rows]))
                figures["lookup_r"] = macro_mean(looked, self.material)
                if per_material:
                    figures["lookup_r_by_material"] = by_material(looked, self.material, names)
        return figures

    def _score(self, made: Float) -> Double:
        return correlation(made[self.at], self.measured, self.valid)


def lookup(library: StructureLibrary, composition: Float, track: str) -> Double:
    """Return the probability of each structure by composition alone, ``(n, structures)``.

    All structures with the least share of differing elements (``elements``), or with the likest formula
    (``formula``), are equally likely; all structures where nothing is known.
    """
    if track == "elements":
        there, own = composition[:, OXYGEN:] > 0, library.composition[:, OXYGEN:] > 0
        either = np.maximum((there[:, None] | own[None]).sum(axis=2), 1)
        distance = (there[:, None] ^ own[None]).sum(axis=2) / either
    else:
        seen, kept = (composition_features(c, "formula") for c in (composition, library.composition))
        distance = 1.0 - (seen @ kept.T).astype(np.float64)
    nearest = distance <= distance.min(axis=1, keepdims=True) + 1e-6
    nearest[~np.isfinite(composition[:, 0])] = True
    return np.asarray(nearest / nearest.sum(axis=1, keepdims=True), np.float64)


def _expected(model: LibraryGenerator, target: str, probability: Double, folds: Int) -> Float:
    """Return the patterns that structures of given probability let expect, by the instrument of other folds."""
    tables = [model.answerer.patterns(target, (fold,)) for fold in range(model.generator.config.folds)]
    return np.stack([row @ tables[fold] for row, fold in zip(probability, folds, strict=True)]).astype(np.float32)


def by_material(score: Double, material: Int, names: Sequence[str]) -> dict[str, float]:
    """Return the mean score of each material by name."""
    return {names[m]: float(score[material == m].mean()) for m in np.unique(material).tolist()}


def _places(probability: Double, right: Bool, groups: Int, prefix: str) -> dict[str, float]:
    """Return the shares of materials whose right structure is among the first 1, 5 and 10."""
    best = np.where(right, probability, -1.0).max(axis=1, keepdims=True)
    above = ((probability > best + 1e-12) & ~right).sum(axis=1)
    equal = ((np.abs(probability - best) <= 1e-12) & ~right).sum(axis=1) + 1
    return {
        f"{prefix}top{count}": macro_mean(np.clip((count - above) / equal, 0.0, 1.0), groups) for count in (1, 5, 10)
    }
