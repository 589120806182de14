"""What a single network loses when one thing is taken from it: trained anew for every row, on the same folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from spectroflow.config import TrainConfig
from spectroflow.jobs.scores import Measured
from spectroflow.metrics import MEASURES
from spectroflow.models import training
from spectroflow.models.data import TrainingData
from spectroflow.models.training import InlineHooks, NetworkPlan, build_network, train_network
from spectroflow.models.vae import CrossModalVAE

DIRECTIONS = (("raman", "ir"), ("ir", "raman"))
ASKED = ("r", "f1")

Scores = dict[tuple[str, str, str], np.ndarray]
"""``{(source, target, measure): (pairs,)}``; source and target are the same for reconstruction."""


@dataclass(frozen=True)
class Variant:
    """One row of the table: what is changed.

    Attributes
    ----------
    config
        Values of the training's configuration that differ.
    data
        Makes other training data of the whole ones.
    blind
        Makes a new network deaf to a part of its input.
    """

    key: str
    title: str
    config: Mapping[str, Any] = field(default_factory=dict)
    data: Callable[[TrainingData], TrainingData] = lambda data: data
    blind: Callable[[CrossModalVAE], None] | None = None


def deaf_to_the_grid(network: CrossModalVAE) -> None:
    """Cut the gridded spectrum off, so that the encoders hear the fitted lines alone."""
    for encoder in network.encoders.values():
        encoder.from_grid.weight.data.zero_()
        encoder.from_grid.weight.requires_grad_(False)


def deaf_to_the_lines(network: CrossModalVAE) -> None:
    """Cut the fitted lines off, so that the encoders hear the gridded spectrum alone."""
    for encoder in network.encoders.values():
        for parameter in encoder.of_line[-1].parameters():
            parameter.data.zero_()
            parameter.requires_grad_(False)


def line_shape(shape: str) -> Callable[[TrainingData], TrainingData]:
    """Let the decoders of all modalities render one shape."""

    def change(data: TrainingData) -> TrainingData:
        changed = {n: m.model_copy(update={"line_shape": shape}) for n, m in data.modalities.items()}
        return replace(data, modalities=changed)

    return change


def without_formulas(data: TrainingData) -> TrainingData:
    """Forget every composition."""
    return replace(data, composition={n: np.full_like(c, np.nan) for n, c in data.composition.items()})


def only_paired(data: TrainingData) -> TrainingData:
    """Leave out samples that were measured in one modality alone."""
    names = list(data.spectra)
    kept: dict[str, set[int]] = {name: set() for name in names}
    for source in names:
        for target in names:
            if source != target:
                kept[source] |= set(data.pairs(source, target)[:, 0].tolist())
    return take(data, {name: np.asarray(sorted(rows), np.int64) for name, rows in kept.items()})


def take(data: TrainingData, rows: Mapping[str, np.ndarray]) -> TrainingData:
    """Return some rows of each modality, with the material names and compositions of the whole."""
    return TrainingData(
        data.modalities,
        {name: table.take(rows[name]) for name, table in data.spectra.items()},
        {name: material[rows[name]] for name, material in data.material.items()},
        data.materials,
        {name: composition[rows[name]] for name, composition in data.composition.items()},
    )


VARIANTS = (
    Variant("whole", "as it is"),
    Variant("gaussian", "lines are Gaussian", data=line_shape("gaussian")),
    Variant("lorentzian", "lines are Lorentzian", data=line_shape("lorentzian")),
    Variant("voigt", "lines are Voigt (two widths)", data=line_shape("voigt")),
    Variant("lines_only", "input: fitted lines alone", blind=deaf_to_the_grid),
    Variant("grid_only", "input: gridded spectrum alone", blind=deaf_to_the_lines),
    Variant("kl_0", "KL weight 0", {"kl_weight": 0.0}),
    Variant("kl_10", "KL weight ten times", {"kl_weight": 1e-2}),
    Variant("kl_100", "KL weight a hundred times", {"kl_weight": 1e-1}),
    Variant("no_composition", "no composition in training", {"composition_weight": 0.0}, without_formulas),
    Variant("only_paired", "no unpaired spectra", data=only_paired),
    Variant("no_alignment", "no alignment of modalities", {"align_weight": 0.0}),
    Variant("no_augmentation", "no augmentation", {"augment": 0.0}),
)


def judge(data: TrainingData, variant: Variant, config: TrainConfig, held: Sequence[int]) -> Scores:
    """Train one network without each of some folds and score what it makes of the paired spectra there.

    The folds are those of the whole data, so every variant is asked for the same spectra.
    """
    folds = data.folds(config.folds, config.seed)
    changed = variant.data(data)
    kept = {n: _rows_of(changed, data, n) for n in data.spectra}
    own_folds = {n: folds[n][kept[n]] for n in data.spectra}
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    settings = config.model_copy(update=dict(variant.config))
    for k in held:
        plan = NetworkPlan(f"{variant.key}-{k}", (k, k), config.seed * 1000 + k)
        with _surgery(variant.blind):
            trained = train_network(changed, own_folds, plan, settings, device="cpu", hooks=InlineHooks())
        network = build_network(changed.modalities, settings)
        network.load_state_dict(trained.state)
        for source, target in (*DIRECTIONS, *((s, s) for s, _ in DIRECTIONS)):
            for measure, values in _scores(network.eval(), data, folds, source, target, k).items():
                found.setdefault((source, target, measure), []).append(values)
    return {key: np.concatenate(parts) for key, parts in found.items()}


def materials_of(data: TrainingData, config: TrainConfig, held: Sequence[int], source: str, target: str) -> list[str]:
    """Return the material of every score of :func:`judge`, in the same order."""
    folds = data.folds(config.folds, config.seed)
    pairs = [_pairs(data, folds, source, target, k) for k in held]
    return [data.materials[m] for part in pairs for m in data.material[source][part[:, 0]]]


def _pairs(data: TrainingData, folds: Mapping[str, np.ndarray], source: str, target: str, k: int) -> np.ndarray:
    rows = np.arange(len(data.spectra[source]))
    pairs = data.pairs(source, target) if source != target else np.stack([rows, rows], axis=1)
    return pairs[folds[source][pairs[:, 0]] == k]


@torch.no_grad()
def _scores(
    network: CrossModalVAE, data: TrainingData, folds: Mapping[str, np.ndarray], source: str, target: str, k: int
) -> dict[str, np.ndarray]:
    pairs = _pairs(data, folds, source, target, k)
    table, wanted = data.spectra[source], data.spectra[target]
    arrays = (table.values[pairs[:, 0]], table.valid[pairs[:, 0]], table.lines[pairs[:, 0]])
    posterior = network.posterior(source, *(torch.as_tensor(a, dtype=torch.float32) for a in arrays))
    made = network.decode(target, posterior.mean).numpy()
    measured = Measured(wanted.values[pairs[:, 1]], wanted.valid[pairs[:, 1]], data.modalities[target])
    scores = measured.score(made)
    return {name: scores[:, list(MEASURES).index(name)] for name in ASKED}


def _rows_of(changed: TrainingData, data: TrainingData, name: str) -> np.ndarray:
    place = {digest: row for row, digest in enumerate(data.spectra[name].digest)}
    return np.asarray([place[digest] for digest in changed.spectra[name].digest], np.int64)


@contextmanager
def _surgery(blind: Callable[[CrossModalVAE], None] | None) -> Iterator[None]:
    """Operate on every network that the training builds; nothing else of the training changes."""
    if blind is None:
        yield
        return

    def build(*arguments: Any) -> CrossModalVAE:
        network = build_network(*arguments)
        blind(network)
        return network

    with patch.object(training, "build_network", build):
        yield
