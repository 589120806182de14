"""What is known of compositions: a spectrum without a formula of its own takes that of its sample, or of its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import fractions, parse_all

Float = npt.NDArray[np.float32]
Amounts = Mapping[str, float]


class KnownFormulas:
    """Formulas by sample and by label; the first one of a name counts."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Amounts] = {}

    def learn(self, samples: Sequence[str], labels: Sequence[str], formulas: Sequence[str]) -> None:
        """Take up formulas, one per spectrum; empty ones and those that do not parse say nothing."""
        for sample, label, amounts in zip(samples, labels, parse_all(formulas), strict=True):
            if amounts:
                for name in (("sample", sample), ("label", label)):
                    if name[1]:
                        self._known.setdefault(name, amounts)

    def fractions(self, samples: Sequence[str], labels: Sequence[str], formulas: Sequence[str]) -> Float:
        """Return atomic fractions, ``(n, elements)`` float32; NaN rows where neither name is known."""
        return fractions(
            [
                own or self._known.get(("sample", sample)) or self._known.get(("label", label))
                for own, sample, label in zip(parse_all(formulas), samples, labels, strict=True)
            ]
        )
