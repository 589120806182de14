"""How like spectra are to each material: to its nearest spectrum, in every view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spectroflow.models.features import CLUE_KINDS
from spectroflow.models.steady import STEADY_KINDS, Steady

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]

PARTS = 5  # of the materials, for learning what differs within the others
NEVER = -1e9  # likeness to a material of which there is nothing to compare with


class ByMaterial:
    """Rows of a modality, sorted by material."""

    def __init__(self, material: Int) -> None:
        self._order = np.argsort(material, kind="stable")
        self.names, self._start = np.unique(material[self._order], return_index=True)

    def best(self, similarity: Float) -> Float:
        """Return the greatest similarity over the rows of each material, ``(queries, rows) -> (queries, m)``."""
        if not len(self.names):
            return np.zeros((len(similarity), 0), np.float32)
        return np.asarray(np.maximum.reduceat(similarity[:, self._order], self._start, axis=1), np.float32)


class Others:
    """Training spectra of a modality, asked for as if they had just come in.

    What differs within materials is learned without the material that is asked for, too.

    Parameters
    ----------
    features
        ``{view: (n, points)}``
    material, sample
        ``(n,)``; a spectrum without a sample name is a sample of its own.
    shown
        Rows from which it is learned what differs within materials; None for all.
    """

    def __init__(
        self, features: Mapping[str, Float], material: Int, sample: Sequence[str], shown: Int | None = None
    ) -> None:
        self.material, self.table = material, ByMaterial(material)
        self._features = features
        self._samples = np.unique([name or f"\0{row}" for row, name in enumerate(sample)], return_inverse=True)[1]
        self._part = np.searchsorted(self.table.names, material) % PARTS
        rows = np.arange(len(material)) if shown is None else shown
        parts = [Steady.fit(features, material, rows[self._part[rows] != part]) for part in range(PARTS)]
        self._steady = [part for part in parts if part is not None]

    def likeness(self, rows: Int) -> dict[str, Float]:
        """Return how like some of the spectra are to each material, by spectra of other samples, ``{view: (rows, m)}``.

        A material without any other sample cannot be it: its likeness is a great negative number.
        """
        similar = {kind: self._features[kind][rows] @ self._features[kind].T for kind in CLUE_KINDS}
        if len(self._steady) == PARTS:
            for kind in STEADY_KINDS:
                similar[kind] = np.zeros_like(similar[STEADY_KINDS[kind]])
            for number, steady in enumerate(self._steady):
                asked = np.flatnonzero(self._part[rows] == number)
                for kind, value in steady.similarity({k: v[asked] for k, v in similar.items()}).items():
                    similar[kind][asked] = value
        own = self._samples[rows][:, None] == self._samples
        return {kind: self.table.best(np.where(own, NEVER, value)) for kind, value in similar.items()}
