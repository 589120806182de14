"""Spectra whose target was never measured, taught by their composition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spectroflow.config import TrainConfig
from spectroflow.materials.composition import ELEMENTS
from spectroflow.models.blend import correlation
from spectroflow.models.data import TrainingData
from spectroflow.models.generator import Generator
from spectroflow.models.known import composition_blocks
from spectroflow.models.memory import Memory, material_weights
from spectroflow.models.metric import Blocks, learn_metric
from spectroflow.models.regression import MetricRegression
from spectroflow.models.taught import SHARE, Taught

POINTS = 30


def world(materials: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spectra, compositions and targets: the composition decides the target, the spectrum hints at it."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0, 1, (materials, 4)).astype(np.float32)
    fractions = np.zeros((materials, len(ELEMENTS)), np.float32)
    fractions[:, [10, 12, 14, 19]] = share / share.sum(axis=1, keepdims=True)
    bands = np.random.default_rng(1).normal(0, 1, (4, POINTS))
    targets = (fractions[:, [10, 12, 14, 19]] @ bands).astype(np.float32)
    spectra = fractions[:, [10, 12, 14, 19]] @ np.random.default_rng(2).normal(0, 1, (4, 6))
    return (spectra + rng.normal(0, 0.3, (materials, 6))).astype(np.float32), fractions, targets


def blocks(spectra: np.ndarray) -> Blocks:
    return Blocks(spectra, np.arange(spectra.shape[1]), np.ones(spectra.shape[1]))


def teachers(
    spectra: np.ndarray, fractions: np.ndarray, targets: np.ndarray, pairs: int
) -> dict[str, MetricRegression]:
    rows = np.arange(pairs)
    part = (blocks(spectra[rows]), composition_blocks(fractions[rows], "formula"))
    metric = learn_metric(part, targets[rows], rows, steps=10)
    kinds = {"": (targets[rows], metric.ridge), "density": (np.abs(targets[rows]), 0.3)}
    return {"both.formula": MetricRegression.fit(part, metric, np.ones(pairs), kinds)}


def test_only_candidates_of_known_composition_that_no_pair_shows_are_taught() -> None:
    spectra, fractions, targets = world(40)
    learned = teachers(spectra, fractions, targets, pairs=20)
    material = np.arange(40)
    material[30] = 5  # another spectrum of a material that is paired
    material[33:37] = 33  # four of one material: two are enough
    fractions[31] = np.nan
    memory = Memory(np.arange(20), targets[:20], np.ones(20), material[:20])
    candidates = np.arange(38)
    found = Taught.of(memory, candidates, material, fractions, (blocks(spectra),), learned)
    np.testing.assert_array_equal(found.rows, [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 32, 33, 34, 37])
    np.testing.assert_array_equal(found.material, material[found.rows])
    np.testing.assert_allclose(found.weights, SHARE * material_weights(found.material))
    assert found.targets.shape == found.density.shape == (14, POINTS)
    right = correlation(found.targets, targets[found.rows], np.ones(found.targets.shape, bool))
    assert np.median(right) > 0.8


def test_nobody_is_taught_without_a_teacher() -> None:
    spectra, fractions, targets = world(12)
    memory = Memory(np.arange(6), targets[:6], np.ones(6), np.arange(6))
    found = Taught.of(memory, np.arange(12), np.arange(12), fractions, (blocks(spectra),), {})
    assert len(found.rows) == 0
    assert found.targets.shape == (0, POINTS)


@pytest.fixture(scope="module")
def half_paired(small_data: TrainingData) -> TrainingData:
    """Return the small world with infrared spectra of the first half of its materials alone."""
    infrared = small_data.spectra["ir"]
    kept = np.flatnonzero([int(label[-2:]) < 15 for label in infrared.label])
    return TrainingData.build(small_data.modalities, {**small_data.spectra, "ir": infrared.take(kept)})


def test_folds_that_are_left_out_are_neither_taught_nor_shown(
    half_paired: TrainingData, small_config: TrainConfig
) -> None:
    generator = Generator(half_paired, small_config, {}, {}, {})
    experts = generator.kernels((0, 1), "raman", "ir")
    told = np.isfinite(half_paired.composition["raman"][:, 0])
    assert len(experts.taught.rows)
    assert (generator.folds["raman"][experts.taught.rows] == 2).all()
    assert told[experts.taught.rows].all()
    assert not np.isin(experts.taught.material, half_paired.material["ir"]).any()
    without = set(half_paired.material["raman"][generator.folds["raman"] != 2].tolist())
    assert not without & set(experts.prototypes.material.tolist())


def test_baselines_learn_from_pairs_alone(half_paired: TrainingData, small_config: TrainConfig) -> None:
    table = half_paired.spectra["raman"]
    nameless = replace(table, formula=("",) * len(table))
    untold = TrainingData.build(
        half_paired.modalities,
        {"raman": nameless, "ir": replace(half_paired.spectra["ir"], formula=("",) * len(half_paired.spectra["ir"]))},
    )
    answers = []
    for data in (half_paired, untold):
        generator = Generator(data, small_config, {}, {}, {})
        experts = generator.kernels((0,), "raman", "ir")
        similar = {kind: value[:4] @ value.T for kind, value in generator.views.features("raman").items()}
        seen = generator.views.blocks("raman").take(np.arange(4))
        answers.append(experts.predict(similar, seen, data.composition["raman"][:4], "spectrum").predictions)
    for name in ("mean", "nearest", "soft", "ridge"):
        np.testing.assert_array_equal(answers[0][name], answers[1][name])
    assert not np.array_equal(answers[0]["shape"], answers[1]["shape"])
