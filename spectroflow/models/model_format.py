"""A generator as the files of a model directory, and back; nothing in them can run code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput, ModelError
from spectroflow.modality import Modality
from spectroflow.models import checkpoint
from spectroflow.models.blend import Blend
from spectroflow.models.data import SpectraOf, TrainingData
from spectroflow.models.metric import Metric
from spectroflow.models.naming import Naming
from spectroflow.models.ranges import Range
from spectroflow.models.training import build_network, plan_networks

BlendKey = tuple[int, str, str, str]  # member, source, target, track
MetricKey = tuple[int, str, str]  # member, source, target

if TYPE_CHECKING:
    from spectroflow.models.generator import Generator


def generator_files(generator: Generator) -> dict[str, bytes]:
    """Return the files of the model directory, in the order in which to write them."""
    tensors: dict[str, torch.Tensor] = {}
    for name, network in generator.networks.items():
        tensors |= {f"network.{name}.{key}": value for key, value in network.state_dict().items()}
    for name, table in generator.data.spectra.items():
        tensors[f"memory.{name}.values"] = torch.as_tensor(table.values)
        tensors[f"memory.{name}.valid"] = torch.as_tensor(table.valid.astype(np.uint8))
        tensors[f"memory.{name}.lines"] = torch.as_tensor(table.lines)
    config = {
        "train": generator.config.model_dump(mode="json"),
        "modalities": {name: modality.model_dump(mode="json") for name, modality in generator.modalities.items()},
        "memory": {
            name: {"sample": table.sample, "label": table.label, "digest": table.digest, "formula": table.formula}
            for name, table in generator.data.spectra.items()
        },
        "naming": {name: naming.settings() for name, naming in generator.naming.items()},
        "specialists": [
            {"modality": kept.modality, "first": kept.first, "last": kept.last, **_learned(special, tensors, number)}
            for number, (kept, special) in enumerate(generator.specialists.items())
        ],
        **_learned(generator, tensors),
    }
    return checkpoint.model_files(tensors, config, generator.card)


def generator_parts(files: Mapping[str, bytes], *, where: str = "") -> dict[str, Any]:
    """Return what a generator is built from; see :meth:`spectroflow.models.generator.Generator.from_files`."""
    tensors, config, card = checkpoint.read_model(files, where=where)
    try:
        train = TrainConfig.model_validate(config["train"])
        modalities = {n: Modality.model_validate(m) for n, m in config["modalities"].items()}
        spectra = {
            name: SpectraOf(
                tensors[f"memory.{name}.values"].numpy(),
                tensors[f"memory.{name}.valid"].numpy().astype(bool),
                tensors[f"memory.{name}.lines"].numpy(),
                *(tuple(columns[key]) for key in ("sample", "label", "digest", "formula")),
            )
            for name, columns in ((n, config["memory"][n]) for n in modalities)
        }
        networks = {}
        for plan in plan_networks(train):
            prefix = f"network.{plan.name}."
            networks[plan.name] = build_network(modalities, train)
            networks[plan.name].load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        blends, metrics = _known(config, tensors)
        specialists = {
            _range(entry, modalities): _known(entry, tensors, number)
            for number, entry in enumerate(config.get("specialists", ()))
        }
        naming = {name: Naming(**settings) for name, settings in config.get("naming", {}).items()}
        data = TrainingData.build(modalities, spectra)
    except (KeyError, TypeError, ValueError, RuntimeError, InvalidInput) as error:
        raise ModelError(
            f"the files of the model do not fit together ({error})",
            where=where,
            remedy="Copy or train the model again.",
        ) from None
    return {
        "data": data,
        "config": train,
        "networks": networks,
        "blends": blends,
        "card": card,
        "metrics": metrics,
        "naming": naming,
        "specialists": specialists,
    }


def _learned(
    generator: Generator, tensors: dict[str, torch.Tensor], number: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return blends and metrics for the configuration, and put what does not fit there among the tensors.

    Parameters
    ----------
    number
        Of a specialist; None is the generator of whole spectra.
    """
    for (member, source, target, track), blend in generator.blends.items():
        tensors[_residual(member, source, target, track, number)] = torch.as_tensor(blend.residual)
    return {
        "blends": [
            {"member": m, "source": s, "target": t, "track": track, **blend.settings()}
            for (m, s, t, track), blend in generator.blends.items()
        ],
        "metrics": [
            {"member": m, "source": s, "target": t, "name": name, **metric.settings()}
            for (m, s, t), metrics in generator.metrics.items()
            for name, metric in metrics.items()
        ],
    }


def _known(
    config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], number: int | None = None
) -> tuple[dict[BlendKey, Blend], dict[MetricKey, dict[str, Metric]]]:
    """Return what :func:`_learned` wrote."""
    blends: dict[BlendKey, Blend] = {}
    for entry in config["blends"]:
        source, target, track = (str(entry.pop(name)) for name in ("source", "target", "track"))
        key = (int(entry.pop("member")), source, target, track)
        blends[key] = Blend.from_settings(entry, tensors[_residual(*key, number)].numpy())
    metrics: dict[MetricKey, dict[str, Metric]] = {}
    for entry in config["metrics"]:
        owner = (int(entry["member"]), str(entry["source"]), str(entry["target"]))
        metrics.setdefault(owner, {})[str(entry["name"])] = Metric.from_settings(entry)
    return blends, metrics


def _range(entry: Mapping[str, Any], modalities: Mapping[str, Modality]) -> Range:
    kept = Range(str(entry["modality"]), int(entry["first"]), int(entry["last"]))
    if not 0 <= kept.first <= kept.last < modalities[kept.modality].grid.points:
        raise ValueError(f"a part of {kept.modality} that its grid does not have")
    return kept


def _residual(member: int, source: str, target: str, track: str, number: int | None) -> str:
    return f"residual.{member}.{source}.{target}.{track}" + ("" if number is None else f".{number}")
