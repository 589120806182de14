"""What each point weighs: noise that is correlated, and a model that is never quite right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.detect import filter_taps, respond, response_noise
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]

#: The range, in points, over which a strong line makes its neighbourhood uncertain falls off by this.
MODEL_ERROR_RANGE = 10.0
#: It is followed over blocks of so many points.
ENVELOPE_BLOCK = 4
#: Half of all standard normal values lie within this.
HALF = 0.6744897501960817
#: One tenth of them lie within this.
TENTH = 0.12566134685507402
#: Filters that answer by more than this factor too strongly show, before any fit, that noise is correlated.
COLOURED = 1.6


@jit()
def first_weights(signal: Array, weight: Array, model_error: float) -> tuple[Array, float]:
    """Return weights that allow for correlated noise and for the model's error, and the factor of the former.

    ``signal`` still holds its lines. They hardly reach the lower tenth of a filter's answers, so that only a
    clear excess is taken for correlation; what is left over after the first fit tells more.
    """
    scaled = signal * weight
    colour = max(
        response_noise(respond(scaled, filter_taps(1.5)), 0.1, TENTH, COLOURED),
        response_noise(respond(scaled, filter_taps(3.0)), 0.1, TENTH, COLOURED),
    )
    colour = colour if colour > COLOURED else 1.0
    weight = weight / colour
    if model_error > 0.0:
        weight = weight_with_model_error(signal, weight, model_error)
    return weight, colour


@jit()
def weight_with_model_error(signal: Array, weight: Array, share: float) -> Array:
    """Return weights that allow the model to be wrong by a share of the signal nearby.

    No line has exactly the profile that is fitted. Without this, the flanks of a line a thousand times
    stronger than the noise would be taken for dozens of lines.
    """
    n = signal.size
    blocks = (n + ENVELOPE_BLOCK - 1) // ENVELOPE_BLOCK
    envelope = np.empty(blocks)
    for b in range(blocks):
        highest = 0.0
        for i in range(b * ENVELOPE_BLOCK, min((b + 1) * ENVELOPE_BLOCK, n)):
            highest = max(highest, abs(signal[i]))
        envelope[b] = highest
    fall = np.exp(-ENVELOPE_BLOCK / MODEL_ERROR_RANGE)
    for b in range(1, blocks):
        envelope[b] = max(envelope[b], fall * envelope[b - 1])
    for b in range(blocks - 2, -1, -1):
        envelope[b] = max(envelope[b], fall * envelope[b + 1])
    out = np.empty(n)
    for i in range(n):
        out[i] = weight[i] / np.sqrt(1.0 + (share * envelope[i // ENVELOPE_BLOCK] * weight[i]) ** 2)
    return out


@jit()
def residual_colour(rest: Array) -> float:
    """Return by how much what is left over scatters more on the scale of lines than from point to point.

    Data that were interpolated or smoothed have correlated noise, whose second differences are too small.
    ``rest`` is in units of the noise.
    """
    return max(
        response_noise(respond(rest, filter_taps(1.5)), 0.5, HALF, 0.0),
        response_noise(respond(rest, filter_taps(3.0)), 0.5, HALF, 0.0),
    )
