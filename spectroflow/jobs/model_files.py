"""Model directories wherever they are: reading, writing, and whether one fits what is asked of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from spectroflow.config import EngineConfig
from spectroflow.engine.processor import Resources
from spectroflow.errors import ModelError
from spectroflow.modality import Modality
from spectroflow.models.checkpoint import CARD, CONFIG, TENSORS
from spectroflow.models.generator import Generator
from spectroflow.storage import Location, digest_bytes

TRAINING_GAIN, GENERATION_GAIN = 2.2, 1.3
"""What one NVIDIA H100 did beside one core of its machine (``benchmarks/graphics.py``): networks of this size are too
small to fill it, and most of what generation computes is no network."""


def read_model_files(model: Location) -> dict[str, bytes]:
    """Return the files of a model directory.

    Raises
    ------
    ModelError
        There is no model.
    """
    found = {}
    for name in (TENSORS, CONFIG, CARD):
        try:
            found[name] = (model / name).read_bytes()
        except FileNotFoundError:
            raise ModelError(
                f"there is no {name}", where=str(model), remedy="Give a directory that spectroflow train wrote."
            ) from None
    return found


def load_generator(model: Location, *, device: str = "cpu") -> Generator:
    """Read a generator; never runs code from the directory."""
    return Generator.from_files(read_model_files(model), where=str(model), device=device)


def save_generator(generator: Generator, model: Location) -> None:
    """Write a model directory; ``config.json`` last, so that a directory that has it is whole."""
    for name, data in generator.files().items():
        (model / name).write_bytes(data, durable=True)


def is_whole(model: Location) -> bool:
    """Say whether there is a complete model."""
    return all((model / name).exists() for name in (TENSORS, CONFIG, CARD))


def digest_of_model(model: Location) -> str:
    """Return a digest of what decides what a model generates."""
    found = read_model_files(model)
    parts = [digest_bytes(found[name]) for name in (TENSORS, CONFIG)]
    return hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest()


def require_direction(generator: Generator, source: str, target: str, modalities: Mapping[str, Modality]) -> None:
    """Refuse a direction that the model was not trained for, or for which it has another grid.

    Raises
    ------
    ModelError
        Says which directions or which grid the model has.
    """
    if (source, target) not in generator.directions:
        known = ", ".join(f"{s} to {t}" for s, t in generator.directions)
        raise ModelError(
            f"this model was not trained for {source} to {target}",
            remedy=f"It was trained for {known or 'no direction'}; choose among these or train again.",
        )
    for name in (source, target):
        if generator.modalities[name].grid != modalities[name].grid:
            trained, asked = generator.modalities[name].grid, modalities[name].grid
            raise ModelError(
                f"the model's {name} grid is {trained.start:g} to {trained.stop:g} by {trained.step:g}, "
                f"the configuration's {asked.start:g} to {asked.stop:g} by {asked.step:g}",
                remedy=f"Set modality.{name}.grid as it was in training, or train again.",
            )


def worker_resources(config: EngineConfig, gain: float = GENERATION_GAIN) -> Resources:
    """Return what a worker asks for that runs or trains networks; a graphics processor only where it pays."""
    return Resources(gpus=1.0 / config.workers_per_gpu, gpu_gain=gain)


def device_of(resources: Resources) -> str:
    """Return where the networks of a worker run: on a graphics processor if it was given one that torch can use."""
    return "cuda" if resources.gpus and torch.cuda.is_available() else "cpu"
