"""What the networks are trained on, and how they are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from spectroflow.config import TrainConfig
from spectroflow.models.batches import Batch, Batches
from spectroflow.models.blend import correlation
from spectroflow.models.vae import (
    SAYS_NOTHING,
    CrossModalVAE,
    Gaussian,
    alignment_loss,
    product_of_experts,
    reconstruction_loss,
)

Figures = dict[str, float]
COMPOSITION = "composition"  # name of the expert that reads the formula
ACTIVE = 0.01  # variance of a latent unit's mean above which the unit is in use (Burda et al., ICLR 2016)


def batch_loss(network: CrossModalVAE, batch: Batch, config: TrainConfig) -> Tensor:
    """Return the loss of one batch: reconstruction and transfer, KL divergence, alignment of the modalities."""
    sources = [batch.source] if batch.source else list(batch.seen)
    experts = {name: network.encode(name, *batch.seen[name]) for name in batch.seen}
    known = batch.formula.any(dim=1).nonzero().squeeze(1)
    places = dict(batch.place)
    if len(known):
        experts[COMPOSITION], places[COMPOSITION] = network.encode_composition(batch.hint[known]), known
        sources = [*sources, COMPOSITION] if batch.told else sources
    posterior, encoded = _combine(experts, places, sources, batch.size, network.latent)
    latent = posterior.sample(torch.randn_like(posterior.mean))
    total = config.kl_weight * posterior.divergence().sum(dim=1)[encoded].mean()
    for name, (values, valid, _) in batch.clean.items():
        asked = encoded[batch.place[name]]
        if bool(asked.any()):
            found = network.decode(name, latent[batch.place[name][asked]], batch.comb[name])
            wanted, measured = values[asked][:, batch.comb[name]], valid[asked][:, batch.comb[name]]
            total = total + reconstruction_loss(found, wanted, measured).mean()
    asked = known[encoded[known]]
    if len(asked):
        found = network.decode_composition(latent[asked])
        total = total + config.composition_weight * (1.0 - (found * batch.formula[asked]).sum(dim=1)).mean()
    if config.align_weight:
        for one, other in combinations(experts, 2):
            left, right = _shared(places[one], places[other])
            if len(left) > 1:
                total = total + config.align_weight * alignment_loss(
                    experts[one].mean[left], experts[other].mean[right]
                )
    return total


@torch.no_grad()
def look(network: CrossModalVAE, batches: Batches) -> Figures:
    """Return how a network does on some materials.

    ``within`` and ``across`` are losses within and across modalities, ``kl`` the divergence of the posterior
    from the prior in nats, ``active_units`` how many latent units are in use, ``r_NAME`` the correlation of a
    modality's reconstruction with what was seen; ``SOURCE_TARGET`` are the losses one by one.
    """
    network.eval()
    batch = batches.some()
    figures: Figures = {}
    within: list[float] = []
    across: list[float] = []
    divergence: list[float] = []
    active: list[float] = []
    for source in batch.clean:
        posterior = network.posterior(source, *batch.clean[source])
        divergence.append(float(posterior.divergence().sum(dim=1).mean()))
        active.append(float((posterior.mean.var(dim=0) > ACTIVE).sum()) if len(posterior.mean) > 1 else 0.0)
        for target, (values, valid, _) in batch.clean.items():
            left, right = _shared(batch.place[source], batch.place[target])
            if len(left):
                found = network.decode(target, posterior.mean[left])
                loss = reconstruction_loss(found, values[right], valid[right])
                if source == target:
                    arrays = (found.cpu().numpy(), values[right].cpu().numpy(), valid[right].cpu().numpy() > 0)
                    figures[f"r_{source}"] = float(correlation(*arrays).mean())
                (within if source == target else across).extend(loss.tolist())
                figures[f"{source}_{target}"] = float(loss.mean())
    return {
        "within": float(np.mean(within)),
        "across": float(np.mean(across)) if across else float(np.mean(within)),
        "kl": float(np.mean(divergence)),
        "active_units": float(np.mean(active)),
        **figures,
    }


def _combine(
    experts: Mapping[str, Gaussian], places: Mapping[str, Tensor], sources: Sequence[str], size: int, latent: int
) -> tuple[Gaussian, Tensor]:
    """Return the posterior of every material of the batch and which ones any source has encoded."""
    device = next(iter(experts.values())).mean.device
    spread: list[Gaussian] = []
    encoded = torch.zeros(size, dtype=torch.bool, device=device)
    for name in sources:
        # A material that lacks this modality gets an expert so wide that it says nothing.
        mean = torch.zeros(size, latent, device=device)
        wide = torch.full((size, latent), SAYS_NOTHING, device=device)
        at = places[name].unsqueeze(1).expand(-1, latent)
        spread.append(
            Gaussian(
                mean.scatter(0, at, experts[name].mean.float()), wide.scatter(0, at, experts[name].log_variance.float())
            )
        )
        encoded[places[name]] = True
    return product_of_experts(spread), encoded


def _shared(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions in two sorted lists of places at which they hold the same place."""
    same = one.unsqueeze(1) == other.unsqueeze(0)
    left, right = same.nonzero(as_tuple=True)
    return left, right
