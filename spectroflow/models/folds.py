"""Folds: what must never stand on both sides of a split.

Two spectra belong to one *group* when they share a label (the material) or a sample: one sample may be
filed under two names, and both must then stay together. What folds keep whole depends on the split:

========  ==============================================================================================
species   whole groups: nothing of a material in test was in training. The one that models are built on
sample    whole samples: the material may be in training, the same sample never
paper     single records: the same sample may be in training, as a random split of files allows
========  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput

if TYPE_CHECKING:
    from spectroflow.models.data import SpectraOf

Int = npt.NDArray[np.int64]
Split = Literal["species", "sample", "paper"]


def group_materials(labels: Sequence[str], samples: Sequence[str]) -> list[str]:
    """Return the group of each spectrum, named by the smallest label in it.

    Parameters
    ----------
    labels, samples
        Of one spectrum each; an empty sample name ties nothing together, an empty label leaves the
        sample to be its own material.

    Raises
    ------
    InvalidInput
        A spectrum has neither label nor sample, so nothing says what it belongs to.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    nodes: list[tuple[str, str]] = []
    for row, (label, sample) in enumerate(zip(labels, samples, strict=True)):
        if not label and not sample:
            raise InvalidInput(
                "a spectrum has neither a label nor a sample, so it cannot be kept on one side of a split",
                where=f"row {row}",
                remedy="Give labels with --manifest, or leave these spectra out with --where.",
            )
        node = ("label", label) if label else ("sample", sample)
        nodes.append(node)
        if sample:
            a, b = sorted((root(node), root(("sample", sample))))
            parent[b] = a
    names: dict[tuple[str, str], str] = {}
    for node in sorted(set(nodes)):
        names.setdefault(root(node), node[1])
    return [names[root(node)] for node in nodes]


def folds_by_material(labels: Sequence[str], samples: Sequence[str], folds: int, seed: int) -> Int:
    """Assign every spectrum to a fold so that no material and no sample is in two.

    The largest groups are dealt first, each to the fold with the fewest spectra; ties fall by a
    shuffle that depends on ``seed`` and on the names alone, not on the order of the rows.

    Returns
    -------
    ndarray
        ``(n,)`` int64 in ``range(folds)``.

    Raises
    ------
    InvalidInput
        There are fewer materials than folds.
    """
    return deal(group_materials(labels, samples), folds, seed)


def deal(units: Sequence[str], folds: int, seed: int, what: str = "materials") -> Int:
    """Deal whole units, named once per spectrum, to folds as :func:`folds_by_material` says.

    Parameters
    ----------
    what
        What a unit is called in the message of the error.
    """
    names, counts = np.unique(np.asarray(units, dtype=object), return_counts=True)
    if len(names) < folds:
        raise InvalidInput(
            f"{len(names)} {what} cannot be split into {folds} folds",
            remedy=f"Train on at least {folds} {what}, or set train.folds lower.",
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    load, held = np.zeros(folds, np.int64), np.zeros(folds, np.int64)
    fold_of: dict[str, int] = {}
    for position in order:
        fold = int(np.lexsort((held, load))[0])
        fold_of[str(names[position])] = fold
        load[fold] += counts[position]
        held[fold] += 1
    return np.asarray([fold_of[unit] for unit in units], np.int64)


@dataclass(frozen=True)
class FoldIndex:
    """Which fold a record was in, by what the split keeps whole.

    Attributes
    ----------
    split
        The kind of split.
    known
        ``{(kind of name, name): fold}``.
    """

    split: Split
    known: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, spectra: Mapping[str, SpectraOf], folds: Mapping[str, Int], split: Split) -> FoldIndex:
        """Index all spectra of a training by their names."""
        known: dict[tuple[str, str], int] = {}
        for name, table in spectra.items():
            for row, fold in enumerate(folds[name].tolist()):
                known |= dict.fromkeys(_keys(split, table.label[row], table.sample[row], table.digest[row]), fold)
        return cls(split, known)

    def find(self, label: str, sample: str = "", digest: str = "") -> int | None:
        """Return the fold of a record, or None where nothing of its unit was in the training."""
        return next((self.known[key] for key in _keys(self.split, label, sample, digest) if key in self.known), None)


def _keys(split: Split, label: str, sample: str, digest: str) -> list[tuple[str, str]]:
    """Return the names under which a record is kept on one side of a split."""
    named = {
        "species": [("label", label), ("sample", sample)],
        "sample": [sample_unit(label, sample)],
        "paper": [("digest", digest)],
    }[split]
    return [key for key in named if key[1]]


def sample_unit(label: str, sample: str) -> tuple[str, str]:
    """Return what a split by sample keeps whole: the sample or, where it has no name, all unnamed ones of its label."""
    return ("sample", sample) if sample else ("label", label)


def refuse_overlap(train: Iterable[str], test: Iterable[str], what: str = "material") -> None:
    """Raise where the two sides of a split share a name.

    Raises
    ------
    InvalidInput
        Names up to three of what they share.
    """
    shared = sorted(set(train) & set(test) - {""})
    if shared:
        shown = ", ".join(repr(name) for name in shared[:3]) + (", ..." if len(shared) > 3 else "")
        raise InvalidInput(
            f"{len(shared)} {what}(s) stand on both sides of the split: {shown}",
            remedy="Make folds with folds_by_material, or correct the split.",
        )
