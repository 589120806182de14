"""The decoder of one modality: from a latent vector to line profiles over a smooth background.

Every line has a home on the axis (evenly spaced) and may leave it by one and a half spacings; its
height, width and shape are free within what the modality believes. The background is a sum of wide
raised-cosine bumps with non-negative heights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from spectroflow.modality import Modality
from spectroflow.models import lineshapes

BUMPS = 8


class Lines(NamedTuple):
    """Lines of a batch, ``(batch, lines)`` each; widths in axis units, shape the Lorentzian fraction."""

    height: Tensor
    center: Tensor
    fwhm: Tensor
    eta: Tensor


class SpectrumDecoder(nn.Module):
    """Map a latent vector to a spectrum on the modality's grid."""

    axis: Tensor
    homes: Tensor
    bumps: Tensor

    def __init__(self, modality: Modality, hidden: int, latent: int, lines: int, dropout: float) -> None:
        super().__init__()
        grid = modality.grid
        self.shape, self.wavelengths, self.lines = modality.line_shape, modality.wavelengths, lines
        self.spacing = (grid.stop - grid.start) / lines
        self.narrowest = max(modality.fwhm[0], 2.0 * grid.step)
        self.widest = max(min(modality.fwhm[1], (grid.stop - grid.start) / 4.0), 2.0 * self.narrowest)
        axis = torch.as_tensor(grid.axis(), dtype=torch.float32)
        self.register_buffer("axis", axis, persistent=False)
        homes = grid.start + self.spacing * (torch.arange(lines) + 0.5)
        self.register_buffer("homes", homes.float(), persistent=False)
        self.register_buffer("bumps", raised_cosines(axis, BUMPS), persistent=False)
        self.trunk = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.heads = nn.Linear(hidden, 5 * lines + BUMPS)
        with torch.no_grad():
            self.heads.weight.mul_(0.3)
            self.heads.bias[:lines] = -2.0  # heights start near 0.13
            self.heads.bias[5 * lines :] = -4.0  # and the background near 0.02

    def describe(self, latent: Tensor) -> tuple[Lines, Tensor]:
        """Return the lines and the ``(batch, bumps)`` heights of the background."""
        raw = self.heads(self.trunk(latent)).float()
        height, offset, first, second, bumps = torch.split(
            raw, [self.lines, self.lines, self.lines, 2 * self.lines, BUMPS], 1
        )
        center = self.homes + 1.5 * self.spacing * torch.tanh(0.3 * offset)
        width = self._width(first)
        eta = torch.sigmoid(second[:, : self.lines])
        if self.shape in ("voigt", "thompson-cox-hastings"):
            other = self._width(second[:, self.lines :])
            width, eta = lineshapes.thompson_cox_hastings(width, other)
        elif self.shape in ("gaussian", "lorentzian"):
            eta = torch.full_like(eta, 1.0 if self.shape == "lorentzian" else 0.0)
        return Lines(softplus(height), center, width, eta), softplus(bumps)

    def forward(self, latent: Tensor, points: slice = slice(None)) -> Tensor:
        """Return intensities, ``(batch, points)`` float32, never negative; at all grid points or some."""
        lines, bumps = self.describe(latent)
        axis, shapes = self.axis[points].contiguous(), self.bumps[:, points]
        with torch.autocast(latent.device.type, enabled=False):  # positions need more than 8 bits of mantissa
            return lineshapes.render(axis, *lines, wavelengths=self.wavelengths) + bumps @ shapes

    def _width(self, raw: Tensor) -> Tensor:
        low, high = math.log(self.narrowest), math.log(self.widest)
        return torch.exp(low + (high - low) * torch.sigmoid(raw - 1.0))


def raised_cosines(axis: Tensor, count: int) -> Tensor:
    """Return ``count`` bumps that overlap by half and sum to 1 inside the axis, ``(count, points)``."""
    centers = torch.linspace(float(axis[0]), float(axis[-1]), count)
    reach = (centers[1] - centers[0]).clamp_min(1e-6)
    distance = ((axis - centers.unsqueeze(1)) / reach).clamp(-1.0, 1.0)
    return 0.5 * (1.0 + torch.cos(math.pi * distance))
