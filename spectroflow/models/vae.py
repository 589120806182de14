"""The cross-modal variational autoencoder.

One latent space for all modalities: each has an encoder to a Gaussian and a decoder from a point. What
several modalities of one material say is combined as the product of their Gaussians and the standard
normal prior (product of experts, Wu and Goodman, NeurIPS 2018), so that any subset may be present. The
composition, where it is known, is one more expert, and is decoded too: what a spectrum tells of the
elements is what it tells about other modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from spectroflow.materials.composition import ELEMENTS
from spectroflow.modality import Modality
from spectroflow.models.decoder import SpectrumDecoder
from spectroflow.models.encoder import SpectrumEncoder

SAYS_NOTHING = 30.0  # log variance of an expert that is not there


class Gaussian(NamedTuple):
    """A diagonal Gaussian in the latent space, ``(batch, latent)`` each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return ``mean + noise * sigma``."""
        return self.mean + noise * torch.exp(0.5 * self.log_variance)

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence from the standard normal per unit, ``(batch, latent)``, in nats."""
        return 0.5 * (self.mean**2 + torch.exp(self.log_variance) - 1.0 - self.log_variance)


def product_of_experts(experts: list[Gaussian]) -> Gaussian:
    """Multiply Gaussians with the standard normal prior and renormalise."""
    precision = torch.ones_like(experts[0].mean)
    weighted = torch.zeros_like(experts[0].mean)
    for expert in experts:
        own = torch.exp(-expert.log_variance)
        precision = precision + own
        weighted = weighted + own * expert.mean
    return Gaussian(weighted / precision, -torch.log(precision))


class CrossModalVAE(nn.Module):
    """Encoders and decoders of several modalities around one latent space."""

    def __init__(
        self, modalities: Mapping[str, Modality], *, hidden: int, latent: int, decoder_lines: int, dropout: float
    ) -> None:
        super().__init__()
        self.latent = latent
        self.encoders = nn.ModuleDict({n: SpectrumEncoder(m, hidden, latent, dropout) for n, m in modalities.items()})
        self.decoders = nn.ModuleDict(
            {n: SpectrumDecoder(m, hidden, latent, decoder_lines, dropout) for n, m in modalities.items()}
        )
        self.from_composition = nn.Sequential(
            nn.Linear(len(ELEMENTS), hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 2 * latent)
        )
        self.to_composition = nn.Sequential(
            nn.Linear(latent, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, len(ELEMENTS))
        )

    def encode(self, name: str, values: Tensor, valid: Tensor, lines: Tensor) -> Gaussian:
        """Return what one modality alone says, before the prior; see :class:`SpectrumEncoder`."""
        return Gaussian(*self.encoders[name](values, valid, lines))

    def encode_composition(self, feature: Tensor) -> Gaussian:
        """Return what a composition alone says; ``(batch, elements)`` of any track of ``features.py``.

        A row of zeros is an unknown composition and says nothing: a Gaussian too wide to move a product.
        """
        mean, log_variance = self.from_composition(feature).chunk(2, dim=1)
        known = feature.any(dim=1, keepdim=True)
        return Gaussian(torch.where(known, mean, 0.0), torch.where(known, log_variance.clamp(-8.0, 4.0), SAYS_NOTHING))

    def decode_composition(self, latent: Tensor) -> Tensor:
        """Return square roots of atomic fractions, unit vectors ``(batch, elements)``, never negative."""
        return normalize(torch.nn.functional.softplus(self.to_composition(latent)), dim=1)

    def decode(self, name: str, latent: Tensor, points: slice = slice(None)) -> Tensor:
        """Return a spectrum ``(batch, points)``, at all grid points or at some."""
        result: Tensor = self.decoders[name](latent, points)
        return result

    def posterior(
        self, name: str, values: Tensor, valid: Tensor, lines: Tensor, composition: Tensor | None = None
    ) -> Gaussian:
        """Return the posterior given one modality, and a composition where that is known."""
        experts = [self.encode(name, values, valid, lines)]
        if composition is not None:
            experts.append(self.encode_composition(composition))
        return product_of_experts(experts)


def reconstruction_loss(found: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """Return how far spectra lie apart where the wanted one was measured, per spectrum, ``(batch,)``.

    ``(1 - r) + 20 * mean square error``: the correlation sees shape, the error holds the scale; the
    factor brings both to the same size for spectra with a maximum of 1.
    """
    count = valid.sum(dim=1).clamp_min(1.0)
    square = (((found - wanted) ** 2) * valid).sum(dim=1) / count
    a = (found - (found * valid).sum(dim=1, keepdim=True) / count.unsqueeze(1)) * valid
    b = (wanted - (wanted * valid).sum(dim=1, keepdim=True) / count.unsqueeze(1)) * valid
    product = (a * b).sum(dim=1)
    scale = torch.sqrt((a * a).sum(dim=1) * (b * b).sum(dim=1) + 1e-8)
    return (1.0 - product / scale) + 20.0 * square


def alignment_loss(one: Tensor, other: Tensor, temperature: float = 0.1) -> Tensor:
    """Return InfoNCE between two sets of latent means whose rows belong together (van den Oord et al., 2018)."""
    scores = normalize(one, dim=1) @ normalize(other, dim=1).T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return 0.5 * (cross_entropy(scores, own) + cross_entropy(scores.T, own))
