"""What one member answers, and the mean of the members that may speak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.modality import Modality
from spectroflow.models.blend import Blend
from spectroflow.models.experts import Opinion
from spectroflow.models.generated import Generated
from spectroflow.models.lines import likely_lines

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """What one member answers.

    Attributes
    ----------
    intensity, uncertainty, density, material
        ``(queries, points)``: the blend, one standard deviation, lines expected per tolerance, and the expert
        ``material`` alone.
    confidence
        ``(queries,)``
    rule
        ``(queries, 2)`` count and power by which it would place lines, see :class:`.lines.LineRule`.
    """

    intensity: Float
    uncertainty: Float
    density: Float
    material: Float
    confidence: Double
    rule: Double

    @classmethod
    def of(cls, opinion: Opinion, blend: Blend, spread: Float) -> Answer:
        """Weigh what the experts say; ``spread`` is the uncertainty of the networks, ``(queries, points)``."""
        heard, evidence = opinion.with_materials(blend.posterior)
        confidence = blend.confidence(evidence)
        return cls(
            blend.combine(heard.predictions, evidence),
            blend.uncertainty(confidence, spread),
            blend.lines.density(heard.densities),
            heard.predictions["material"],
            confidence,
            np.tile([blend.lines.count, blend.lines.power], (len(evidence), 1)),
        )

    def where(self, rows: Bool, other: Answer) -> Answer:
        """Return this answer for some rows, and another one for the rest."""
        return Answer(
            *_chosen(rows, self, other),
            np.where(rows, self.confidence, other.confidence),
            np.where(rows[:, None], self.rule, other.rule),
        )


_PER_POINT = ("intensity", "uncertainty", "density", "material")


def _chosen(rows: Bool, one: Answer, other: Answer) -> tuple[Float, Float, Float, Float]:
    intensity, uncertainty, density, material = (
        np.where(rows[:, None], getattr(one, name), getattr(other, name)) for name in _PER_POINT
    )
    return intensity, uncertainty, density, material


def mean_answer(
    answers: Sequence[Answer], share: Float, latent: Float, experts: dict[str, Float], modality: Modality
) -> Generated:
    """Average the members.

    Parameters
    ----------
    share
        ``(members, queries)``, of sum 1 over members: how much each counts.
    latent, experts
        As :class:`Generated` has them.
    modality
        Of the target.
    """
    intensity, uncertainty, density = (np.stack([getattr(a, name) for a in answers]) for name in _PER_POINT[:3])
    mean = np.einsum("mnp,mn->np", intensity, share)
    between = np.einsum("mnp,mn->np", (intensity - mean) ** 2, share)
    within = np.einsum("mnp,mn->np", uncertainty**2, share)
    lines = likely_lines(
        np.einsum("mnp,mn->np", density, share).astype(np.float32),
        modality,
        *np.einsum("mnr,mn->rn", np.stack([answer.rule for answer in answers]), share),
    )
    return Generated(
        mean.astype(np.float32),
        np.sqrt(within + between).astype(np.float32),
        np.einsum("mn,mn->n", np.stack([answer.confidence for answer in answers]), share).astype(np.float32),
        latent,
        lines,
        experts,
    )
