"""Retrieval memory: the training spectra of one direction, and weights over them.

A memory holds source spectra of some materials and, for each, the target spectrum of the same sample,
or the mean over the same material where that sample has none. All predictors that look things up
(mean, nearest neighbour, soft neighbours, kernel ridge) are linear in these targets, so they share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models.data import TrainingData

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]

FEW = 2  # spectra of one material that are enough to learn from: more say little new


@dataclass(frozen=True)
class Memory:
    """Pairs of a source spectrum and the target spectrum that belongs to it.

    Attributes
    ----------
    rows
        ``(n,)`` rows of the source modality in the training data.
    targets
        ``(n, points)`` prepared target spectra; points that were never measured hold the mean of all.
    weights
        ``(n,)``, the same sum for every material, mean 1: so that materials with many spectra do not rule.
    material
        ``(n,)`` index of the material.
    """

    rows: Int
    targets: Float
    weights: npt.NDArray[np.float64]
    material: Int

    def __len__(self) -> int:
        return len(self.rows)

    def mean(self) -> Float:
        """Return the mean target, every material counted once; ``(points,)``."""
        return np.asarray(np.average(self.targets, axis=0, weights=self.weights), np.float32)


def build_memory(data: TrainingData, source: str, target: str, source_rows: Int, target_rows: Int) -> Memory:
    """Collect what the given rows know of one direction.

    Parameters
    ----------
    source_rows, target_rows
        Rows that may be used; materials without both a source and a target row are left out.
    """
    wanted, material = data.spectra[target], data.material[target]
    by_sample: dict[str, list[int]] = {}
    by_material: dict[int, list[int]] = {}
    for j in target_rows.tolist():
        by_material.setdefault(int(material[j]), []).append(j)
        if wanted.sample[j]:
            by_sample.setdefault(wanted.sample[j], []).append(j)
    samples, groups = data.spectra[source].sample, data.material[source]
    rows, members = [], []
    for i in source_rows.tolist():
        found = (by_sample.get(samples[i]) if samples[i] else None) or by_material.get(int(groups[i]))
        if found:
            rows.append(i)
            members.append(found)
    if not rows:
        empty = np.zeros(0, np.int64)
        return Memory(empty, np.zeros((0, data.modalities[target].grid.points), np.float32), np.zeros(0), empty)
    totals = np.stack([wanted.values[m].sum(axis=0) for m in members])
    counts = np.stack([wanted.valid[m].sum(axis=0) for m in members])
    index = groups[np.asarray(rows)]
    weights = material_weights(index)
    targets = _fill_with_mean(totals, counts, weights)
    return Memory(np.asarray(rows, np.int64), targets, weights, index)


def build_targets(data: TrainingData, target: str, rows: Int) -> Memory:
    """Collect target spectra for their own sake, whether or not a source was measured."""
    table, material = data.spectra[target], data.material[target][rows]
    weights = material_weights(material)
    targets = _fill_with_mean(table.values[rows], table.valid[rows].astype(np.int64), weights)
    return Memory(rows, targets, weights, material)


def material_weights(material: Int) -> npt.NDArray[np.float64]:
    """Return weights with the same sum for every material and mean 1."""
    _, inverse, counts = np.unique(material, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[inverse]
    normalised: npt.NDArray[np.float64] = weights / weights.mean()
    return normalised


def few_of_each(material: Int, most: int = FEW) -> Int:
    """Return the positions of the first ``most`` rows of each material."""
    order = np.argsort(material, kind="stable")
    ordered = material[order]
    return np.sort(order[np.arange(len(order)) - np.searchsorted(ordered, ordered) < most])


def _fill_with_mean(totals: Float, counts: Int, weights: npt.NDArray[np.float64]) -> Float:
    known = counts > 0
    targets = np.divide(totals, counts, out=np.zeros_like(totals), where=known)
    share = weights @ known
    mean = np.divide(weights @ targets, share, out=np.zeros(targets.shape[1]), where=share > 0)
    return np.where(known, targets, mean).astype(np.float32)
