"""Which spectra of a very large collection a model learns from.

The experts compare every training spectrum with every other one, so their cost grows with the cube of how many there
are, while the thousandth spectrum of a mineral says little that the first ten did not. So of more spectra than
``train.most_spectra`` some are chosen: every material keeps one before any keeps a second; of a material those samples
come first that another modality shows, too, and of these the same ones in every modality.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models.folds import sample_unit

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Names:
    """What spectra of one modality are called: ``(n,)`` each, empty strings where unknown."""

    label: Sequence[str]
    sample: Sequence[str]
    digest: Sequence[str]

    def __len__(self) -> int:
        return len(self.digest)

    def samples(self) -> list[tuple[str, str]]:
        """Return what ties each spectrum to those of other modalities."""
        return [sample_unit(*names) for names in zip(self.label, self.sample, strict=True)]


def choose(names: Mapping[str, Names], most: int) -> dict[str, Bool]:
    """Choose at most so many spectra of each modality.

    Parameters
    ----------
    names
        ``{modality: names of its spectra}``
    most
        Of one modality.

    Returns
    -------
    dict
        ``{modality: (n,) chosen}``. It depends on the names alone, not on the order of the spectra.
    """
    return {name: _choose(name, names, most) for name in names}


def _choose(modality: str, names: Mapping[str, Names], most: int) -> Bool:
    own = names[modality]
    if len(own) <= most:
        return np.ones(len(own), bool)
    elsewhere = {sample for name, other in names.items() if name != modality for sample in other.samples()}
    keys = [
        (sample not in elsewhere, _hash("\n".join(sample)), digest)
        for sample, digest in zip(own.samples(), own.digest, strict=True)
    ]
    order = sorted(range(len(own)), key=keys.__getitem__)
    count: dict[str, int] = {}
    turn = np.zeros(len(own), np.int64)
    for row in order:
        material = own.label[row] or own.sample[row]
        turn[row] = count.get(material, 0)
        count[material] = turn[row] + 1
    first = sorted(order, key=turn.__getitem__)[:most]  # a stable sort: within a turn the order stays
    chosen = np.zeros(len(own), bool)
    chosen[first] = True
    return chosen


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
