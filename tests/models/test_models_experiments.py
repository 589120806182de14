from __future__ import annotations

import numpy as np
import pytest
import torch

from spectroflow.config import TrainConfig
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.experiments import classify, reconstruct
from spectroflow.models.generator import Generator
from spectroflow.models.training import train_networks


@pytest.fixture(scope="module")
def by_sample(small_data: TrainingData, small_config: TrainConfig) -> Generator:
    config = small_config.model_copy(update={"split": "sample"})
    return fit_generator(small_data, train_networks(small_data, config), config)


def test_every_spectrum_is_rebuilt_once_by_networks_that_never_saw_its_fold(by_sample: Generator) -> None:
    scores, materials = reconstruct(by_sample, "ir", batch=7)
    assert len(materials) == len(by_sample.data.spectra["ir"])
    for values in scores.values():
        assert np.isfinite(values).all()
    # The samples of a material differ by little here, so where the other one was in training, it is the nearest.
    folds = {}
    for material, fold in zip(materials, by_sample.folds["ir"].tolist(), strict=True):
        folds.setdefault(material, set()).add(fold)
    known = np.asarray([len(folds[material]) == 2 for material in materials])
    assert 0.3 < known.mean() < 1
    assert scores["nearest"][known].mean() > 0.98
    row = 5
    table, fold = by_sample.data.spectra["ir"], int(by_sample.folds["ir"][row])
    inputs = [torch.as_tensor(a[row : row + 1], dtype=torch.float32) for a in (table.values, table.valid, table.lines)]
    with torch.no_grad():
        blind = [
            network.decode("ir", network.posterior("ir", *inputs).mean).numpy()[0]
            for name, network in by_sample.networks.items()
            if str(fold) in name
        ]
    assert len(blind) == 2
    expected = np.corrcoef(np.mean(blind, axis=0), table.values[row])[0, 1]
    assert scores["network"][row] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(reconstruct(by_sample, "ir", batch=64)[0]["network"], scores["network"], atol=1e-5)


def test_materials_are_named_from_every_kind_of_spectrum(by_sample: Generator) -> None:
    hits, materials, choices = classify(by_sample, "raman", "ir", batch=16)
    assert set(hits) == {"measured", "generated", "retrieved", "input"}
    data = by_sample.data
    assert all(len(values) == len(materials) for values in hits.values())
    assert 2 < choices <= len(data.materials)
    # Only materials with a sample in another fold can be named, and here almost all have one.
    assert len(set(materials)) < len(data.materials)
    assert hits["measured"].mean() > 0.9
    assert hits["input"].mean() > 0.9


def test_no_material_can_be_named_when_none_was_in_training(
    small_data: TrainingData, small_config: TrainConfig
) -> None:
    generator = fit_generator(small_data, train_networks(small_data, small_config), small_config)
    hits, materials, choices = classify(generator, "raman", "ir")
    assert (hits, materials, choices) == ({}, [], 0)
