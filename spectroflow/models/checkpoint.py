"""Tensors and settings as bytes and as a model directory; nothing here can run code from a file.

Tensors are safetensors; settings are JSON. A model directory holds::

    model.safetensors   all tensors
    config.json         what is needed to build the model around them
    card.json           what a person needs to judge it
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from spectroflow.errors import ModelError

FORMAT = "spectroflow-model-1"
TENSORS, CONFIG, CARD = "model.safetensors", "config.json", "card.json"
_KEY = "spectroflow"


def to_bytes(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> bytes:
    """Return tensors and JSON-able settings as one safetensors file."""
    on_cpu = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    data: bytes = safetensors.torch.save(on_cpu, metadata={_KEY: json.dumps(settings, sort_keys=True)})
    return data


def from_bytes(data: bytes, *, where: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what :func:`to_bytes` was given.

    Raises
    ------
    ModelError
        The bytes are not such a file, or only the beginning of one.
    """
    try:
        tensors = safetensors.torch.load(data)
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        return tensors, json.loads(header.get("__metadata__", {}).get(_KEY, "{}"))
    except (safetensors.SafetensorError, struct.error, ValueError, RuntimeError) as error:
        raise ModelError(
            f"not a whole safetensors file ({error})", where=where, remedy="Copy or train the model again."
        ) from None


def write_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files into a local folder, in their order, each whole or not at all."""
    for name, data in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(data)
        partial.replace(path)


def model_files(tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a model directory as bytes; ``config.json`` is last: a directory that has it is whole."""
    return {
        TENSORS: to_bytes(tensors, {}),
        CARD: _json(card),
        CONFIG: _json({"format": FORMAT, **config}),
    }


def read_model(
    files: Mapping[str, bytes], *, where: str = ""
) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Return tensors, configuration and card from the bytes of a model directory.

    Raises
    ------
    ModelError
        A file is missing or damaged, or the directory is of another format.
    """
    missing = [name for name in (TENSORS, CONFIG, CARD) if name not in files]
    if missing:
        raise ModelError(
            f"there is no {' and no '.join(missing)}", where=where, remedy="Give a directory that train wrote."
        )
    try:
        config, card = json.loads(files[CONFIG]), json.loads(files[CARD])
    except ValueError as error:
        raise ModelError(
            f"the configuration is not JSON ({error})", where=where, remedy="Copy the model again."
        ) from None
    if config.get("format") != FORMAT:
        raise ModelError(
            f"the model has format {config.get('format')!r}, this version reads {FORMAT!r}",
            where=where,
            remedy="Train it again, or use the version that wrote it.",
        )
    tensors, _ = from_bytes(files[TENSORS], where=where)
    return tensors, config, card


def read_folder(folder: str | Path) -> dict[str, bytes]:
    """Return the bytes of the files of a local model directory that are there."""
    names = (TENSORS, CONFIG, CARD)
    return {name: (Path(folder) / name).read_bytes() for name in names if (Path(folder) / name).is_file()}


def _json(tree: Mapping[str, Any]) -> bytes:
    return (json.dumps(tree, sort_keys=True, indent=1) + "\n").encode()
