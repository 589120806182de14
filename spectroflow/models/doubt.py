"""Labels of training spectra that the spectra contradict: by other samples they are of another material.

A sample was mixed up, a mineral has lost its water since it was named, the laser burned it, or two minerals have
spectra that nobody can tell apart. Whichever it is, whoever keeps the archive wants to see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spectroflow.models.likeness import Others
from spectroflow.models.naming import Naming

LEAST = 0.8  # probability of the other material
_AT_ONCE = 256  # spectra


@dataclass(frozen=True, slots=True)
class Doubt:
    """A training spectrum that looks like another material.

    Attributes
    ----------
    row
        Of its modality.
    material
        Index of the other material.
    probability
        That it is of that one, at even odds for a material that is not known.
    """

    row: int
    material: int
    probability: float


def doubts(naming: Naming, others: Others, sample: Sequence[str]) -> list[Doubt]:
    """Return the spectra whose label other samples contradict, the surest first; of each sample the surest one.

    Parameters
    ----------
    sample
        ``(n,)`` names, empty where a spectrum is a sample of its own.
    """
    material = others.material
    found: dict[tuple[str, int], Doubt] = {}
    for start in range(0, len(material), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(material)))
        probability = naming.probability(others.likeness(rows), 0.5)[:, :-1]
        for row, place in zip(rows.tolist(), probability.argmax(axis=1).tolist(), strict=True):
            other, sure = int(others.table.names[place]), float(probability[row - start, place])
            if other == material[row] or sure < LEAST:
                continue
            key = (sample[row] or f"\0{row}", other)
            if key not in found or found[key].probability < sure:
                found[key] = Doubt(row, other, sure)
    return sorted(found.values(), key=lambda doubt: (-doubt.probability, doubt.row))
