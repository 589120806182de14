"""Training spectra whose target was never measured, taught by their composition.

A collection holds many spectra of one modality alone. Where the composition of such a spectrum is known, its target
is answered well by the experts that know compositions, and much better than from the spectrum alone. So it is nearly
a pair: what composition tells about the target reaches the experts that see nothing but a spectrum. It is
self-training (Scudder, *IEEE Transactions on Information Theory* 11, 1965) with a teacher that knows more than its
pupil.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models.known import composition_blocks
from spectroflow.models.memory import Memory, few_of_each, material_weights
from spectroflow.models.metric import Blocks, take
from spectroflow.models.regression import MetricRegression

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

SHARE = 0.4  # weight of a taught material beside one that was measured


@dataclass(frozen=True)
class Taught:
    """Source spectra and what their targets are expected to be.

    Attributes
    ----------
    rows
        ``(n,)`` rows of the source modality.
    material
        ``(n,)``; none of them is among the pairs.
    targets, density
        ``(n, points)`` expected targets, on the scale of targets of unit variance, and their lines.
    """

    rows: Int
    material: Int
    targets: Float
    density: Float

    @property
    def weights(self) -> Double:
        """Weights beside those of the pairs, see :func:`.memory.material_weights`; ``(n,)``."""
        return SHARE * material_weights(self.material) if len(self.material) else np.zeros(0)

    @classmethod
    def nobody(cls, points: int) -> Taught:
        """Return no spectra."""
        none, empty = np.zeros(0, np.int64), np.zeros((0, points), np.float32)
        return cls(none, none, empty, empty)

    @classmethod
    def of(
        cls,
        memory: Memory,
        candidates: Int,
        material: Int,
        composition: Float,
        known: tuple[Blocks, ...],
        learned: Mapping[str, MetricRegression],
    ) -> Taught:
        """Teach the candidates of materials that no pair shows.

        Parameters
        ----------
        memory
            The pairs.
        candidates
            Rows of the source modality that may be looked at.
        material, composition, known
            Of all rows of the source modality: ``(rows,)``, ``(rows, elements)`` with NaN rows where unknown, and
            what a metric sees besides the composition.
        learned
            Regressions by name; without ``both.formula`` there is no teacher.
        """
        if "both.formula" not in learned:
            return cls.nobody(memory.targets.shape[1])
        alone = candidates[np.isfinite(composition[candidates, 0]) & ~np.isin(material[candidates], memory.material)]
        rows = alone[few_of_each(material[alone])]
        if not len(rows):
            return cls.nobody(memory.targets.shape[1])
        told = composition_blocks(composition[rows], "formula")
        both = learned["both.formula"].predict((*take(known, rows), told))
        opinions = [both[""]]
        if "composition.formula" in learned:
            opinions.append(learned["composition.formula"].predict((told,))[""])
        targets = np.asarray(np.mean(opinions, axis=0), np.float32)
        return cls(rows, material[rows], targets, both["density"])
