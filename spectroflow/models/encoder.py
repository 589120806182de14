"""The encoder of one modality: a gridded spectrum, where it was measured, and its fitted lines.

The grid is a vector, seen in three views: the square root, so that weak lines do not vanish beside the
strongest one; the fourth root of a broad blur, where there is anything at all; and where the square root
rises and falls. The lines are a set, whose order and number must not matter: each line passes through the
same small network and the results are summed, weighted by line height (deep sets, Zaheer et al., NeurIPS
2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectroflow.modality import Modality
from spectroflow.models.augment import bell, convolve
from spectroflow.models.features import VIEWS

FREQUENCIES = 8
TINY = 1e-9  # under roots, which are infinitely steep at zero


class SpectrumEncoder(nn.Module):
    """Map a spectrum to the mean and log variance of a Gaussian in the latent space."""

    broad: Tensor
    fine: Tensor

    def __init__(self, modality: Modality, hidden: int, latent: int, dropout: float) -> None:
        super().__init__()
        self.start, self.stop = modality.grid.start, modality.grid.stop
        self.narrowest = modality.fwhm[0]
        points = modality.grid.points
        widths = {view: VIEWS[view] * modality.resolution / modality.grid.step for view in ("weak", "slope")}
        self.register_buffer("broad", bell(widths["weak"]), persistent=False)
        self.register_buffer("fine", bell(widths["slope"]), persistent=False)
        self.slope_scale = widths["slope"]
        self.from_grid = nn.Linear(4 * points, hidden)
        self.of_line = nn.Sequential(
            nn.Linear(2 * FREQUENCIES + 3, hidden // 2), nn.GELU(), nn.Linear(hidden // 2, hidden)
        )
        self.trunk = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -2.0)

    def forward(self, values: Tensor, valid: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Parameters
        ----------
        values, valid
            ``(batch, points)``; prepared intensities and 1 where measured.
        lines
            ``(batch, slots, 4)``: centre, height, width, Lorentzian fraction; NaN in unused slots.

        Returns
        -------
        mean, log_variance
            ``(batch, latent)`` each; the log variance lies in [-8, 4].
        """
        with torch.autocast(values.device.type, enabled=False):  # a slope of 8 bits of mantissa would be noise
            views = self._views(values * valid)
        hidden = self.from_grid(torch.cat([*(view * valid for view in views), 1.0 - valid], dim=1))
        if lines.shape[1]:
            hidden = hidden + self._of_lines(lines)
        hidden = self.trunk(hidden)
        return self.mean(hidden), self.log_variance(hidden).clamp(-8.0, 4.0)

    def _views(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the square root, the fourth root of a broad blur, and the slope of the square root of a finer one."""
        weak = torch.sqrt(torch.sqrt(convolve(values, self.broad).clamp_min(0.0) + TINY))
        smooth = torch.sqrt(convolve(values, self.fine).clamp_min(0.0) + TINY)
        slope = torch.nn.functional.pad(smooth[:, 2:] - smooth[:, :-2], (1, 1))
        return torch.sqrt(values.clamp_min(0.0)), weak, self.slope_scale * slope

    def _of_lines(self, lines: Tensor) -> Tensor:
        used = torch.isfinite(lines).all(dim=-1)
        center, height, fwhm, shape = torch.where(used.unsqueeze(-1), lines, 1.0).unbind(-1)
        height = torch.where(used, height.clamp_min(0.0), 0.0)
        weight = torch.sqrt(height / height.amax(dim=1, keepdim=True).clamp_min(1e-12))
        place = (center - self.start) / (self.stop - self.start)
        waves = place.unsqueeze(-1) * (math.pi * 2.0 ** torch.arange(FREQUENCIES, device=lines.device))
        width = torch.log(fwhm.clamp_min(1e-6) / self.narrowest)
        described = torch.cat(
            [torch.sin(waves), torch.cos(waves), torch.stack([weight, width, shape.clamp(0.0, 1.0)], dim=-1)], dim=-1
        )
        total: Tensor = (self.of_line(described) * weight.unsqueeze(-1)).sum(dim=1)
        return total / weight.sum(dim=1, keepdim=True).clamp_min(1.0).sqrt()
