"""Model directories wherever they are: reading, writing, and whether one fits what is asked of it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping

import torch

from spectroflow.config import EngineConfig
from spectroflow.engine.processor import Resources
from spectroflow.errors import ModelError, Unreachable
from spectroflow.modality import Modality
from spectroflow.models.checkpoint import CARD, CONFIG, TENSORS
from spectroflow.models.generator import Generator
from spectroflow.storage import Location, digest_bytes


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


def worker_resources(config: EngineConfig) -> Resources:
    """Return what a worker asks for that runs or trains networks."""
    return Resources(gpus=config.gpus_per_worker)


def device_payload(config: EngineConfig) -> dict[str, str]:
    """Return what a plan says of the device, on which the last digits depend; nothing for the CPU."""
    return {"device": "cuda"} if config.gpus_per_worker else {}


def device_of(resources: Resources) -> str:
    """Return where the networks of a worker run.

    Raises
    ------
    Unreachable
        It has a graphics processor that torch cannot use.
    """
    if not resources.gpus:
        return "cpu"
    if not torch.cuda.is_available():
        raise Unreachable(
            f"torch {torch.__version__} finds no graphics processor that it can use",
            where=platform.node(),
            remedy="Install a build of torch for it, or set engine.gpus_per_worker to 0.",
        )
    return "cuda"
