from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput, ModelError
from spectroflow.models.batches import Batches
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.training import InlineHooks, Trained, plan_networks, train_network, train_networks
from tests.models.breaking import BreaksOff, Broken


def same(one: Trained, other: Trained) -> bool:
    return all(torch.equal(one.state[key], other.state[key]) for key in one.state)


def replace_values(data: TrainingData, name: str, rows: np.ndarray, value: float) -> TrainingData:
    table = data.spectra[name]
    values = table.values.copy()
    values[rows] = value
    return dataclasses.replace(data, spectra={**data.spectra, name: dataclasses.replace(table, values=values)})


def test_every_fold_is_unseen_by_the_networks_of_its_member(small_config: TrainConfig) -> None:
    plans = plan_networks(small_config)
    assert [p.without for p in plans] == [(0, 1), (0, 2), (1, 2)]
    assert len({p.seed for p in plans}) == 3


def test_a_network_does_not_depend_on_the_folds_it_must_not_see(
    small_data: TrainingData, small_config: TrainConfig
) -> None:
    plan = plan_networks(small_config)[0]
    folds = small_data.folds(3, small_config.seed)
    expected = train_network(small_data, folds, plan, small_config, device="cpu", hooks=InlineHooks())
    poisoned = small_data
    for name, fold in folds.items():
        poisoned = replace_values(poisoned, name, np.flatnonzero(fold != 2), float("nan"))
    found = train_network(poisoned, folds, plan, small_config, device="cpu", hooks=InlineHooks())
    assert same(expected, found)


def test_breaking_off_and_continuing_changes_nothing(small_data: TrainingData, small_config: TrainConfig) -> None:
    plan = plan_networks(small_config)[1]
    folds = small_data.folds(3, small_config.seed)
    whole = train_network(small_data, folds, plan, small_config, device="cpu", hooks=InlineHooks())
    hooks = BreaksOff()
    with pytest.raises(Broken):
        train_network(small_data, folds, plan, small_config, device="cpu", hooks=hooks)
    calm = InlineHooks()
    calm.states = hooks.states
    continued = train_network(small_data, folds, plan, small_config, device="cpu", hooks=calm)
    assert same(whole, continued)
    finished = train_network(small_data, folds, plan, small_config, device="cpu", hooks=calm)
    assert same(whole, finished)
    assert finished.figures == whole.figures


def test_workers_share_networks_and_change_nothing(small_data: TrainingData, small_config: TrainConfig) -> None:
    alone = train_networks(small_data, small_config)
    shared: list[Trained] = []
    for rank in range(2):
        hooks = InlineHooks()
        hooks.rank, hooks.world_size = rank, 2
        shared += train_networks(small_data, small_config, hooks=hooks)
    shared.sort(key=lambda t: t.plan.without)
    assert [t.plan for t in shared] == [t.plan for t in alone]
    assert all(same(a, b) for a, b in zip(alone, shared, strict=True))


def test_training_learns(small_data: TrainingData, small_config: TrainConfig) -> None:
    looks: list[float] = []

    class Listens(InlineHooks):
        def report(self, network: str, epoch: int, figures: dict[str, float]) -> None:
            looks.append(figures["within"])
            assert figures["kl"] > 0
            assert 0 <= figures["active_units"] <= small_config.latent

    config = small_config.model_copy(update={"epochs": 60, "stop_every": 10, "augment": 0.0, "learning_rate": 0.01})
    plan, folds = plan_networks(config)[0], small_data.folds(3, config.seed)
    train_network(small_data, folds, plan, config, device="cpu", hooks=Listens())
    assert looks[-1] < 0.75 * looks[0]


def test_a_broken_loss_stops_names_its_records_and_keeps_the_last_good_state(
    small_data: TrainingData, small_config: TrainConfig
) -> None:
    folds = small_data.folds(3, small_config.seed)
    plan = plan_networks(small_config)[0]
    bad = int(np.flatnonzero(folds["raman"] == 2)[0])
    hooks = BreaksOff()
    with pytest.raises(Broken):
        train_network(small_data, folds, plan, small_config, device="cpu", hooks=hooks)
    calm = InlineHooks()
    calm.states = dict(hooks.states)
    poisoned = replace_values(small_data, "raman", np.asarray([bad]), float("nan"))
    with pytest.raises(ModelError, match=poisoned.spectra["raman"].digest[bad]):
        train_network(poisoned, folds, plan, small_config, device="cpu", hooks=calm)
    assert calm.states == hooks.states
    whole = train_network(small_data, folds, plan, small_config, device="cpu", hooks=InlineHooks())
    assert same(train_network(small_data, folds, plan, small_config, device="cpu", hooks=calm), whole)


def test_materials_of_one_modality_are_drawn_anew_and_only_some(
    small_data: TrainingData, small_config: TrainConfig
) -> None:
    rows = {"raman": np.arange(60), "ir": np.arange(20)}  # 10 of 30 materials have both
    batches = Batches(small_data, rows, small_config.model_copy(update={"unpaired": 0.5}), "cpu")
    epochs = []
    for epoch in range(2):
        seen = [small_data.material["raman"][row] for batch in batches.epoch(1, epoch) for row in batch.rows["raman"]]
        assert len(seen) == len(set(seen)) == 15
        assert set(seen) >= set(small_data.material["ir"][:20])
        epochs.append(set(seen))
    assert epochs[0] != epochs[1]


def test_a_watch_stops_before_the_last_epoch(small_data: TrainingData, small_config: TrainConfig) -> None:
    config = small_config.model_copy(
        update={"epochs": 400, "stop_every": 2, "patience": 2, "stop_share": 0.3, "learning_rate": 0.03}
    )
    plan, folds = plan_networks(config)[0], small_data.folds(3, config.seed)
    trained = train_network(small_data, folds, plan, config, device="cpu", hooks=InlineHooks())
    assert trained.figures["epochs"] < 400


def test_too_few_pairs_are_refused_with_the_number_needed(small_data: TrainingData) -> None:
    with pytest.raises(InvalidInput, match=r"30 materials were measured in both, at least 40 are needed"):
        small_data.require_pairs([("raman", "ir")], 20)


def test_one_modality_trains_reconstruction(small_config: TrainConfig, small_data: TrainingData) -> None:
    alone = TrainingData.build({"ir": small_data.modalities["ir"]}, {"ir": small_data.spectra["ir"]})
    assert alone.directions() == []
    trained = train_networks(alone, small_config)
    assert all(np.isfinite(t.figures["within"]) for t in trained)
    assert all(-1 <= t.figures["r_ir"] <= 1 for t in trained)
    generator = Generator.from_files(fit_generator(alone, trained, small_config).files())
    assert generator.directions == []
    assert generator.card["directions"] == []
    with pytest.raises(InvalidInput, match=r"not trained for ir to raman.*no direction"):
        generator.generate(alone.spectra["ir"].values, alone.spectra["ir"].valid, None, "ir", "raman")
