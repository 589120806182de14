"""What stands beside the generator in one direction: bounds, plain lookup, and what the training has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spectroflow.jobs.scores import Array, Float, Measured, mean_by
from spectroflow.models.bounds import correlations, replicate_pairs
from spectroflow.models.data import SpectraOf
from spectroflow.models.features import spectrum_features
from spectroflow.models.folds import group_materials
from spectroflow.models.generator import Generator
from spectroflow.models.memory import Memory, build_memory, build_targets

Int = npt.NDArray[np.int64]
Fold = int | None


class References:
    """Answers for one direction of a generator.

    Parameters
    ----------
    generator
        Its training data are what can be looked up.
    source, target
        Names of the modalities.
    targets
        The measured spectra that predictions are compared with, of the archive that is judged.
    """

    def __init__(self, generator: Generator, source: str, target: str, targets: SpectraOf) -> None:
        self.generator, self.source, self.target, self.targets = generator, source, target, targets
        self.modality = generator.modalities[target]
        self._candidates: dict[Fold, Memory] = {}
        self._best: dict[tuple[Fold, int], Float] = {}
        self._replicates: dict[int, Array] = {}

    def oracle(self, folds: Sequence[Fold], partner: Int) -> Float:
        """Return, for each measured target, the one most like it among those that the member has learned from.

        Parameters
        ----------
        folds
            ``(pairs,)`` fold of the source, None where nothing of it was in the training.
        partner
            ``(pairs,)`` rows of the measured targets.
        """
        for fold in set(folds):
            rows = np.unique([p for f, p in zip(folds, partner.tolist(), strict=True) if f == fold])
            rows = rows[[(fold, int(row)) not in self._best for row in rows]].astype(np.int64)
            known = self._known(fold).targets
            best = correlations(self.targets.values[rows], self.targets.valid[rows], known).argmax(axis=1)
            self._best |= {(fold, int(row)): known[i] for row, i in zip(rows, best, strict=True)}
        return np.stack([self._best[fold, int(row)] for fold, row in zip(folds, partner, strict=True)])

    def replicates(self, partner: Int) -> Array:
        """Return the mean scores of other samples of the same material against each target, ``(pairs, measures)``.

        NaN where a material was measured on no other sample; only points that both have measured count.
        """
        asked = np.unique([row for row in partner.tolist() if row not in self._replicates]).astype(np.int64)
        pairs = replicate_pairs(self._materials, self.targets.sample, asked, self.targets.digest)
        table = self.targets
        both = table.valid[pairs[:, 0]] & table.valid[pairs[:, 1]]
        found = Measured(table.values[pairs[:, 0]], both, self.modality).score(table.values[pairs[:, 1]])
        means = mean_by(np.searchsorted(asked, pairs[:, 0]), found, len(asked))
        self._replicates |= {int(row): scores for row, scores in zip(asked, means, strict=True)}
        return np.stack([self._replicates[int(row)] for row in partner])

    def lookup(self, prepared: Float, digests: Sequence[str]) -> Float:
        """Return the target that belongs to the nearest source of all files but the asked one itself.

        No fold is left out, as in a split of files at random: the same sample's other files are there.
        """
        everything = self._everything
        features = self.generator.views.features(self.source)["shape"][everything.rows]
        asked = spectrum_features(prepared, self.generator.modalities[self.source], ("shape",))["shape"]
        similarity = asked @ features.T
        known = np.asarray([self.generator.data.spectra[self.source].digest[i] for i in everything.rows], dtype=object)
        similarity[np.asarray(digests, dtype=object)[:, None] == known[None, :]] = -np.inf
        return np.asarray(everything.targets[similarity.argmax(axis=1)], np.float32)

    def seen(self, labels: Sequence[str], samples: Sequence[str], folds: Sequence[Fold]) -> Array:
        """Return whether the member has learned from a pair of the row's material, and of its sample; ``(rows, 2)``."""
        by_name = self._folds_of_pairs
        names = [
            (self._material_of.get(("label", label), self._material_of.get(("sample", sample))), ("sample", sample))
            for label, sample in zip(labels, samples, strict=True)
        ]
        return np.asarray(
            [
                [any(fold not in pair for pair in by_name.get(name, ())) for name in row]
                for row, fold in zip(names, folds, strict=True)
            ],
            np.float64,
        ).reshape(-1, 2)

    def _known(self, fold: Fold) -> Memory:
        if fold not in self._candidates:
            rows = np.flatnonzero(self.generator.folds[self.target] != (-1 if fold is None else fold))
            self._candidates[fold] = build_targets(self.generator.data, self.target, rows)
        return self._candidates[fold]

    @cached_property
    def _everything(self) -> Memory:
        data = self.generator.data
        rows = [np.arange(len(data.spectra[name])) for name in (self.source, self.target)]
        return build_memory(data, self.source, self.target, *rows)

    @cached_property
    def _materials(self) -> Int:
        groups = group_materials(self.targets.label, self.targets.sample)
        return np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def _material_of(self) -> Mapping[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for name, table in self.generator.data.spectra.items():
            for label, sample, material in zip(
                table.label, table.sample, self.generator.data.material[name].tolist(), strict=True
            ):
                found |= {("label", label): material, ("sample", sample): material}
        return {key: material for key, material in found.items() if key[1]}

    @cached_property
    def _folds_of_pairs(self) -> Mapping[object, set[tuple[int, int]]]:
        """The folds of source and target of all training pairs, by material and by sample."""
        data, folds = self.generator.data, self.generator.folds
        found: dict[object, set[tuple[int, int]]] = {}
        for i, j in data.pairs(self.source, self.target).tolist():
            pair = int(folds[self.source][i]), int(folds[self.target][j])
            found.setdefault(int(data.material[self.source][i]), set()).add(pair)
            if data.spectra[self.source].sample[i]:
                found.setdefault(("sample", data.spectra[self.source].sample[i]), set()).add(pair)
        return found
