"""What instruments do to a spectrum, as random changes of a training batch.

All random numbers are drawn on the CPU from the given generator and then moved, so that a device does
not change which numbers are drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectroflow.modality import Modality

TILT, NOISE = 0.003, 0.001  # of the maximum
CUT_SHARE = 0.3


def augment(
    values: Tensor, valid: Tensor, lines: Tensor, modality: Modality, strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Shift, broaden, re-weight (orientation), tilt (what is left of fluorescence), add noise, cut an end of some.

    Spectra are prepared, so most of the background is gone. More of it and of noise than preparing leaves costs
    a lot: the encoder sees square roots, in which a hundredth is a tenth.

    Parameters
    ----------
    values, valid, lines
        As the encoder takes them.
    strength
        0 changes nothing; 1 is what differs between instruments.

    Returns
    -------
    values, valid, lines
        New tensors of the same shapes; the intensities are scaled to a maximum of 1 again.
    """
    if strength <= 0 or not len(values):
        return values, valid, lines
    batch, points = values.shape
    step, device = modality.grid.step, values.device
    x = torch.linspace(-1.0, 1.0, points, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    shift = strength * 0.25 * modality.resolution / step * normal(batch, 1)
    place = torch.arange(points, device=device) + shift
    low = place.floor().clamp(0, points - 2).long()
    part = (place - low).clamp(0.0, 1.0)
    moved = torch.gather(values, 1, low) * (1 - part) + torch.gather(values, 1, low + 1) * part

    broad = convolve(moved, bell(modality.resolution / step).to(device))
    share = strength * uniform(batch, 1)
    moved = moved * (1 - share) + broad * share

    waves = normal(batch, 6)
    angles = math.pi * torch.arange(1, 7, device=device).unsqueeze(1) * (x + 1.0) / 2.0
    factor = torch.exp(strength * 0.15 * (waves @ torch.cos(angles)))
    tilt = strength * TILT * uniform(batch, 1) * (1.0 + x * (2.0 * uniform(batch, 1) - 1.0))
    moved = moved * factor + tilt + strength * NOISE * uniform(batch, 1) * normal(batch, points)

    cut = (strength * 0.08 * points * uniform(batch, 1) * (uniform(batch, 1) < CUT_SHARE)).long()
    keep = torch.arange(points, device=device) >= cut
    from_top = uniform(batch, 1) < 0.5
    valid = valid * torch.where(from_top, keep.flip(1), keep)
    moved = moved.clamp_min(0.0) * valid
    moved = moved / moved.amax(dim=1, keepdim=True).clamp_min(1e-6)

    if lines.shape[1]:
        center = lines[..., 0] - shift * step
        index = ((center - modality.grid.start) / step).nan_to_num(0.0).round().long().clamp(0, points - 1)
        lines = torch.stack(
            [center, lines[..., 1] * torch.gather(factor, 1, index), lines[..., 2], lines[..., 3]], dim=-1
        )
    return moved, valid, lines


def convolve(values: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every row of ``(batch, points)`` with a kernel of odd length; zeros beyond the ends."""
    return torch.nn.functional.conv1d(values.unsqueeze(1), kernel.view(1, 1, -1), padding="same").squeeze(1)


def bell(fwhm_points: float) -> Tensor:
    """Return a Gaussian of that full width at half maximum, in points, with a sum of 1."""
    sigma = max(fwhm_points / 2.3548, 0.3)
    reach = max(1, math.ceil(3 * sigma))
    x = torch.arange(-reach, reach + 1)
    bell = torch.exp(-0.5 * (x / sigma) ** 2)
    return bell / bell.sum()
