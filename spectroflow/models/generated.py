"""What a generator is asked and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Generated:
    """Spectra of one modality that were never measured.

    Attributes
    ----------
    intensity
        ``(n, points)`` float32 on the target's grid, relative to the strongest line, background removed.
    uncertainty
        ``(n, points)`` float32, one standard deviation, same scale.
    confidence
        ``(n,)`` float32 in [0, 1]: the correlation with a measured spectrum that held-out materials
        with the same evidence had.
    latent
        ``(n, latent)`` float32, mean of the networks.
    lines
        ``(n, slots, 2)`` float32: where lines are expected, in axis units and in order, and the probability
        of each; NaN in unused slots. They are predicted for their own sake: the local maxima of the
        intensity, which is an average, are other places.
    experts
        ``{name: (n, points)}``, where asked for: each expert alone, before the blend.
    """

    intensity: Float
    uncertainty: Float
    confidence: Float
    latent: Float
    lines: Float
    experts: dict[str, Float] = field(default_factory=dict)

    def take(self, rows: Int) -> Generated:
        """Return some of the rows."""
        return Generated(
            self.intensity[rows],
            self.uncertainty[rows],
            self.confidence[rows],
            self.latent[rows],
            self.lines[rows],
            {name: value[rows] for name, value in self.experts.items()},
        )

    def where(self, rows: Bool, other: Generated) -> Generated:
        """Return this for some rows, and another one for the rest; of the experts those that both have."""
        slots = max(self.lines.shape[1], other.lines.shape[1])
        return Generated(
            np.where(rows[:, None], self.intensity, other.intensity),
            np.where(rows[:, None], self.uncertainty, other.uncertainty),
            np.where(rows, self.confidence, other.confidence),
            np.where(rows[:, None], self.latent, other.latent),
            np.where(rows[:, None, None], _padded(self.lines, slots), _padded(other.lines, slots)),
            {
                name: np.where(rows[:, None], value, other.experts[name])
                for name, value in self.experts.items()
                if name in other.experts
            },
        )


@dataclass(frozen=True)
class Query:
    """What is known of samples whose target spectrum is asked for.

    Attributes
    ----------
    values, valid
        ``(n, points)`` prepared source spectra and where they were measured.
    lines
        ``(n, slots, 4)``
    composition
        ``(n, elements)`` atomic fractions, NaN rows where unknown.
    track
        How much of the composition may be used.
    """

    values: Float
    valid: Bool
    lines: Float
    source: str
    target: str
    composition: Float
    track: str

    def take(self, rows: Int) -> Query:
        """Return some of the rows."""
        return replace(
            self,
            values=self.values[rows],
            valid=self.valid[rows],
            lines=self.lines[rows],
            composition=self.composition[rows],
        )


def join(pieces: Sequence[tuple[int, Generated]], points: int, latent: int) -> Generated:
    """Put batches together, of each the first ``count`` rows."""
    if not pieces:
        nothing = np.zeros((0, points), np.float32)
        return Generated(
            nothing,
            nothing,
            np.zeros(0, np.float32),
            np.zeros((0, latent), np.float32),
            np.zeros((0, 0, 2), np.float32),
        )
    names = set.intersection(*(set(piece.experts) for _, piece in pieces))
    slots = max(piece.lines.shape[1] for _, piece in pieces)
    return Generated(
        np.concatenate([piece.intensity[:count] for count, piece in pieces]),
        np.concatenate([piece.uncertainty[:count] for count, piece in pieces]),
        np.concatenate([piece.confidence[:count] for count, piece in pieces]),
        np.concatenate([piece.latent[:count] for count, piece in pieces]),
        np.concatenate([_padded(piece.lines[:count], slots) for count, piece in pieces]),
        {name: np.concatenate([piece.experts[name][:count] for count, piece in pieces]) for name in sorted(names)},
    )


def _padded(lines: Float, slots: int) -> Float:
    return np.pad(lines, ((0, 0), (0, slots - lines.shape[1]), (0, 0)), constant_values=np.nan)
