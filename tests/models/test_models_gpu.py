"""What must hold on a graphics processor; skipped where torch can use none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectroflow.config import TrainConfig
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.training import InlineHooks, Trained, plan_networks, train_network, train_networks
from tests.models.breaking import BreaksOff, Broken

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use")

LONG = {"epochs": 60, "stop_every": 10, "augment": 0.0, "learning_rate": 0.01}


class Listens(InlineHooks):
    """Remembers how far off a network was at each look, within modalities."""

    def __init__(self) -> None:
        super().__init__()
        self.within: list[float] = []

    def report(self, network: str, epoch: int, figures: dict[str, float]) -> None:
        self.within.append(figures["within"])


def learn(
    data: TrainingData, config: TrainConfig, device: str, hooks: InlineHooks | None = None, **changed: object
) -> Trained:
    config = config.model_copy(update=changed)
    folds = data.folds(config.folds, config.seed)
    return train_network(data, folds, plan_networks(config)[1], config, device=device, hooks=hooks or InlineHooks())


def broken_off(data: TrainingData, config: TrainConfig) -> InlineHooks:
    """Return what is left of a training on a GPU that ended after its first look."""
    broken, calm = BreaksOff(), InlineHooks()
    with pytest.raises(Broken):
        learn(data, config, "cuda", broken)
    calm.states = broken.states
    return calm


@pytest.mark.parametrize("mixed", [False, True])
def test_a_network_learns_there_what_it_learns_on_a_cpu(
    small_data: TrainingData, small_config: TrainConfig, mixed: bool
) -> None:
    there, here = Listens(), Listens()
    trained = learn(small_data, small_config, "cuda", there, mixed_precision=mixed, **LONG)
    learn(small_data, small_config, "cpu", here, **LONG)
    assert there.within[-1] < 0.85 * there.within[0]
    assert there.within[-1] == pytest.approx(here.within[-1], rel=0.15)  # other random numbers, not another network
    assert all(value.device.type == "cpu" for value in trained.state.values())
    assert all(value.dtype == torch.float32 for value in trained.state.values())


def test_breaking_off_and_continuing_changes_nothing_there(small_data: TrainingData, small_config: TrainConfig) -> None:
    whole = learn(small_data, small_config, "cuda")
    calm = broken_off(small_data, small_config)
    continued = learn(small_data, small_config, "cuda", calm)
    for key, value in whole.state.items():
        torch.testing.assert_close(continued.state[key], value, rtol=0, atol=0)


def test_what_was_begun_there_is_continued_on_a_cpu(small_data: TrainingData, small_config: TrainConfig) -> None:
    calm = broken_off(small_data, small_config)
    continued = learn(small_data, small_config, "cpu", calm)
    assert continued.figures["epochs"] == small_config.epochs
    assert np.isfinite(continued.figures["within"])


def test_generated_spectra_are_those_of_a_cpu(small_data: TrainingData, small_config: TrainConfig) -> None:
    generator = fit_generator(small_data, train_networks(small_data, small_config, device="cuda"), small_config)
    there = Generator.from_files(generator.files(), device="cuda")
    table = small_data.spectra["raman"]
    asked = (table.values, table.valid, table.lines, "raman", "ir")
    found, wanted = there.generate(*asked, batch=16), generator.generate(*asked, batch=16)
    for name in ("intensity", "uncertainty", "confidence", "latent"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-4, err_msg=name)
    part = there.generate(table.values[16:32], table.valid[16:32], table.lines[16:32], "raman", "ir", batch=16)
    np.testing.assert_array_equal(part.intensity, found.intensity[16:32])
