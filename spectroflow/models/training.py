"""Training, from top to bottom.

An archive is split into folds of materials. One network is trained for every *pair* of folds, without
either of them::

    network 0-1   sees folds 2 3 4        member 0 = networks 0-1 0-2 0-3 0-4   never saw fold 0
    network 0-2   sees folds 1 3 4        member 1 = networks 0-1 1-2 1-3 1-4   never saw fold 1
    ...                                   ...

So a member is an ensemble that never saw its fold, and inside a member every training material has a
network that never saw *it*: what the blend and the confidence are fitted on (see ``blend.py``). Every
network is used twice. Networks do not depend on each other, so workers share them out whole: what
comes out does not depend on how many workers there were.

The loop knows no framework. :class:`TrainHooks` is what a framework gives it.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectroflow.config import TrainConfig
from spectroflow.errors import ModelError
from spectroflow.modality import Modality
from spectroflow.models.batches import Batches
from spectroflow.models.data import TrainingData
from spectroflow.models.losses import Figures, batch_loss, look
from spectroflow.models.progress import Progress, pack, resume
from spectroflow.models.vae import CrossModalVAE

Int = npt.NDArray[np.int64]

__all__ = [
    "Figures",
    "InlineHooks",
    "NetworkPlan",
    "TrainHooks",
    "Trained",
    "build_network",
    "plan_networks",
    "train_network",
    "train_networks",
]


class TrainHooks(Protocol):
    """What the surroundings of the training offer: a place among workers, a log, and a memory."""

    rank: int
    world_size: int

    def report(self, network: str, epoch: int, figures: Figures) -> None:
        """Take the figures of one look at a network."""

    def save(self, network: str, state: bytes) -> None:
        """Keep the state of a network, in place of an earlier one."""

    def load(self, network: str) -> bytes | None:
        """Return the state that was kept last, or None."""


class InlineHooks:
    """One worker that keeps states in memory and reports to nobody."""

    rank = 0
    world_size = 1

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}

    def report(self, network: str, epoch: int, figures: Figures) -> None:
        """Do nothing."""

    def save(self, network: str, state: bytes) -> None:
        """Keep the state in this object."""
        self.states[network] = state

    def load(self, network: str) -> bytes | None:
        """Return what :meth:`save` kept."""
        return self.states.get(network)


@dataclass(frozen=True)
class NetworkPlan:
    """One network of the ensemble: which folds it never sees, and its seed."""

    name: str
    without: tuple[int, int]
    seed: int


@dataclass(frozen=True)
class Trained:
    """A trained network: its averaged weights on the CPU, how the training went, and what it cost over all calls."""

    plan: NetworkPlan
    state: dict[str, Tensor]
    figures: Figures
    cpu_seconds: float = 0.0


def plan_networks(config: TrainConfig) -> list[NetworkPlan]:
    """Return the networks of an ensemble: one for every pair of folds."""
    pairs = combinations(range(config.folds), 2)
    return [NetworkPlan(f"{a}-{b}", (a, b), config.seed * 1000 + i) for i, (a, b) in enumerate(pairs)]


def train_networks(
    data: TrainingData, config: TrainConfig, *, device: str = "cpu", hooks: TrainHooks | None = None
) -> list[Trained]:
    """Train this worker's share of the networks.

    Parameters
    ----------
    hooks
        None trains all of them here.

    Returns
    -------
    list of Trained
        Networks ``rank, rank + world_size, ...`` of :func:`plan_networks`. A network that was finished
        before is loaded, one that was begun is continued, with the same result as without a break; so
        calling this with hooks that load what all workers saved collects the whole ensemble.
    """
    hooks = hooks or InlineHooks()
    folds = data.folds(config.folds, config.seed, config.split)
    return [
        train_network(data, folds, plan, config, device=device, hooks=hooks)
        for plan in plan_networks(config)[hooks.rank :: hooks.world_size]
    ]


def train_network(
    data: TrainingData,
    folds: Mapping[str, Int],
    plan: NetworkPlan,
    config: TrainConfig,
    *,
    device: str,
    hooks: TrainHooks,
) -> Trained:
    """Train one network on all folds but two.

    Raises
    ------
    ModelError
        The loss became NaN or infinite. The message names the records of the batch; what was kept by
        ``hooks.save`` at the end of the epoch before is untouched.
    """
    torch.manual_seed(plan.seed)
    network = build_network(data.modalities, config).to(device)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    learn, watch = _split_materials(data, folds, plan, config)
    batches = Batches(data, learn, config, device)
    watched = Batches(data, watch, config, device) if any(len(r) for r in watch.values()) else None
    steps = batches.steps * config.epochs
    progress = resume(hooks.load(plan.name), network, average, optimizer)

    for epoch in range(progress.epoch, config.epochs):
        if progress.finished:
            break
        began = time.process_time()
        torch.manual_seed(plan.seed * 100_003 + epoch)  # dropout and the latent noise
        network.train()
        for step, batch in enumerate(batches.epoch(plan.seed, epoch), start=epoch * batches.steps):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _schedule(step / steps)
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=_use_bfloat16(device, config)):
                loss = batch_loss(network, batch, config)
            if not math.isfinite(float(loss.detach())):
                raise ModelError(
                    f"the loss of network {plan.name} became {float(loss.detach())} in epoch {epoch} on the records "
                    f"{', '.join(batch.digests(data)[:12])}",
                    remedy="Look at these records with inspect, or lower train.learning_rate; what was kept is good.",
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_gradient)
            optimizer.step()
            _average_into(average, network, min(config.ema, (1 + step) / (10 + step)))
        progress.epoch = epoch + 1
        looking = (epoch + 1) % config.stop_every == 0 or epoch + 1 == config.epochs
        if looking:
            figures = {"loss": float(loss.detach()), **look(average, watched or batches)}
            hooks.report(plan.name, epoch + 1, figures)
            _judge(progress, figures, average, config)
        progress.cpu_seconds += time.process_time() - began
        if looking and not progress.finished:
            hooks.save(plan.name, pack(network, average, optimizer, progress))
    progress.finished = True
    hooks.save(plan.name, pack(network, average, optimizer, progress))
    state = {key: value.detach().cpu().contiguous() for key, value in progress.best.items()}
    return Trained(plan, state, {**progress.figures, "epochs": float(progress.epoch)}, progress.cpu_seconds)


def build_network(modalities: Mapping[str, Modality], config: TrainConfig) -> CrossModalVAE:
    """Return a network with fresh weights."""
    return CrossModalVAE(
        modalities,
        hidden=config.hidden,
        latent=config.latent,
        decoder_lines=config.decoder_lines,
        dropout=config.dropout,
    )


def _split_materials(
    data: TrainingData, folds: Mapping[str, Int], plan: NetworkPlan, config: TrainConfig
) -> tuple[dict[str, Int], dict[str, Int]]:
    """Return the rows to learn from and the rows of the materials that watch for a stop."""
    allowed = {n: np.flatnonzero(~np.isin(fold, plan.without)) for n, fold in folds.items()}
    materials = np.unique(np.concatenate([data.material[n][rows] for n, rows in allowed.items()]))
    if not len(materials):
        raise ModelError(
            f"network {plan.name} has no material to learn from",
            remedy="Train on more materials, or set train.folds lower.",
        )
    count = int(config.stop_share * len(materials))
    watching = np.random.default_rng((plan.seed, 7)).permutation(materials)[:count]
    watch = {n: rows[np.isin(data.material[n][rows], watching)] for n, rows in allowed.items()}
    return {n: np.setdiff1d(rows, watch[n]) for n, rows in allowed.items()}, watch


def _schedule(part: float) -> float:
    """Return the learning rate's factor: a short warm-up, then half a cosine down to 2 %."""
    return min(1.0, part / 0.05 + 0.02) * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(part, 1.0))))


def _use_bfloat16(device: str, config: TrainConfig) -> bool:
    return config.mixed_precision and device.startswith("cuda") and torch.cuda.is_bf16_supported()


@torch.no_grad()
def _average_into(average: CrossModalVAE, network: CrossModalVAE, decay: float) -> None:
    for held, new in zip(average.parameters(), network.parameters(), strict=True):
        held.lerp_(new, 1.0 - decay)


def _judge(progress: Progress, figures: Figures, average: CrossModalVAE, config: TrainConfig) -> None:
    """Keep the averaged weights where they did best on the watching materials; stop when patience is over."""
    if figures["across"] < progress.score or not config.stop_share:
        progress.score, progress.figures, progress.stale = figures["across"], figures, 0
        progress.best = {key: value.detach().clone() for key, value in average.state_dict().items()}
    else:
        progress.stale += 1
        progress.finished = progress.stale >= config.patience
