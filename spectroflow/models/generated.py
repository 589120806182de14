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
    names = pieces[0][1].experts
    slots = max(piece.lines.shape[1] for _, piece in pieces)

    def padded(lines: Float) -> Float:
        return np.pad(lines, ((0, 0), (0, slots - lines.shape[1]), (0, 0)), constant_values=np.nan)

    return Generated(
        np.concatenate([piece.intensity[:count] for count, piece in pieces]),
        np.concatenate([piece.uncertainty[:count] for count, piece in pieces]),
        np.concatenate([piece.confidence[:count] for count, piece in pieces]),
        np.concatenate([piece.latent[:count] for count, piece in pieces]),
        np.concatenate([padded(piece.lines[:count]) for count, piece in pieces]),
        {name: np.concatenate([piece.experts[name][:count] for count, piece in pieces]) for name in names},
    )
