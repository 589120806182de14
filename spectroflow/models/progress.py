"""How far the training of a network has come, as bytes from which it continues with the same result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectroflow.models.checkpoint import from_bytes, to_bytes
from spectroflow.models.losses import Figures
from spectroflow.models.vae import CrossModalVAE


@dataclass
class Progress:
    """How far the training of one network has come, what it cost so far, over all calls, and the best weights."""

    epoch: int = 0
    finished: bool = False
    score: float = math.inf
    stale: int = 0
    cpu_seconds: float = 0.0
    figures: Figures = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)


def pack(network: CrossModalVAE, average: CrossModalVAE, optimizer: torch.optim.Optimizer, progress: Progress) -> bytes:
    """Return everything that continuing needs; of a finished network, its best weights."""
    kept = {key: value for key, value in vars(progress).items() if key != "best"}
    if progress.finished:
        return to_bytes({f"best.{key}": value for key, value in progress.best.items()}, kept)
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in progress.best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    return to_bytes(tensors, kept)


def resume(
    state: bytes | None, network: CrossModalVAE, average: CrossModalVAE, optimizer: torch.optim.Optimizer
) -> Progress:
    """Put a packed state back in place; without one, begin."""
    if state is None:
        return Progress()
    tensors, kept = from_bytes(state)
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "best": {}, "optimizer": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    if kept["finished"]:
        return Progress(**kept, best=parts["best"])
    network.load_state_dict(parts["network"])
    average.load_state_dict(parts["average"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return Progress(**kept, best=parts["best"])
