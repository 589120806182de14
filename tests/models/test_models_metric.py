from __future__ import annotations

import json

import numpy as np
import pytest

from spectroflow.modality import builtin
from spectroflow.models import metric as metric_module
from spectroflow.models.known import FAMILIES, composition_blocks, spectrum_blocks
from spectroflow.models.metric import Blocks, Metric, learn_metric
from spectroflow.models.regression import unit_targets


def world(count: int = 60, seed: int = 0) -> tuple[tuple[Blocks, ...], np.ndarray]:
    """Two parts; the first column of the first one alone decides where the target's line is."""
    rng = np.random.default_rng(seed)
    telling, noise = rng.random((count, 3)).astype(np.float32), rng.random((count, 4)).astype(np.float32)
    axis = np.linspace(0, 1, 40)
    targets = np.exp(-0.5 * ((axis - telling[:, :1]) / 0.15) ** 2).astype(np.float32)
    return (
        (Blocks(telling, np.arange(3), np.full(3, 4.0)), Blocks(noise, np.asarray([0, 0, 1, 1]), np.full(2, 4.0))),
        unit_targets(targets),
    )


def test_the_block_that_tells_about_the_target_gets_the_weight() -> None:
    known, targets = world()
    metric = learn_metric(known, targets, np.arange(60), steps=150)
    assert metric.weights[0][0] > 3 * metric.weights[0][1:].max()
    assert metric.amplitudes[1] < metric.amplitudes[[0, 2]].sum()
    assert metric.amplitudes.sum() == pytest.approx(1)


def test_of_many_groups_some_at_a_time_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_module, "MOST_GROUPS", 40)
    known, targets = world(400)
    metric = learn_metric(known, targets, np.arange(400), steps=100)
    assert metric.weights[0][0] > 3 * metric.weights[0][1:].max()


def test_learning_takes_one_row_of_a_group_so_that_copies_do_not_vouch_for_each_other() -> None:
    known, targets = world(30)
    twice = tuple(Blocks(np.repeat(part.columns, 2, axis=0), part.block, part.weight) for part in known)
    once = learn_metric(known, targets, np.arange(30), steps=40)
    copies = learn_metric(twice, np.repeat(targets, 2, axis=0), np.repeat(np.arange(30), 2), steps=40)
    for one, other in zip(once.weights, copies.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3)
    assert once.ridge == pytest.approx(copies.ridge, rel=1e-3)


def test_a_kernel_is_one_where_all_is_the_same_and_falls_with_distance() -> None:
    known, targets = world(10)
    metric = learn_metric(known, targets, np.arange(10), steps=0)
    scaled = metric.scaled(known)
    kernel = metric.kernel(scaled, scaled)
    np.testing.assert_allclose(np.diag(kernel), 1.0, atol=2e-3)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    assert np.linalg.eigvalsh(kernel.astype(float)).min() > -1e-5
    assert kernel.min() > 0


def test_metrics_survive_json_to_the_last_bit_and_average_geometrically() -> None:
    known, targets = world(20)
    one, other = (learn_metric(known, targets, np.arange(20), seed=seed, steps=5) for seed in (0, 1))
    again = Metric.from_settings(json.loads(json.dumps(one.settings())))
    for a, b in zip(again.weights, one.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.ridge == one.ridge
    middle = Metric.mean([one, other])
    np.testing.assert_allclose(middle.weights[0], np.sqrt(one.weights[0] * other.weights[0]))
    assert middle.amplitudes.sum() == pytest.approx(1)


def test_two_groups_are_too_few_to_learn_from() -> None:
    known, targets = world(6)
    metric = learn_metric(known, targets, np.asarray([0, 0, 0, 1, 1, 1]), steps=50)
    np.testing.assert_allclose(metric.weights[0], known[0].weight, rtol=1e-6)


@pytest.mark.parametrize("name", ["raman", "ir", "xrd"])
def test_blocks_of_a_spectrum_say_where_on_the_axis_it_changed(name: str) -> None:
    modality = builtin()[name]
    rng = np.random.default_rng(0)
    values = rng.random((1, modality.grid.points)).astype(np.float32) ** 8
    changed = values.copy()
    changed[:, : modality.grid.points // 40] = 0.0  # the very start of the axis
    one, other = (spectrum_blocks(v, modality) for v in (values, changed))
    assert one.columns.shape[1] == len(one.block) < 2 * modality.grid.points
    assert one.block.max() < len(one.weight)
    apart = np.bincount(one.block, (one.columns - other.columns)[0] ** 2, minlength=len(one.weight)).reshape(6, -1)
    assert (apart[:, 0] > apart[:, -1]).all()


def test_elements_are_seen_without_amounts_and_without_what_a_hand_held_instrument_misses() -> None:
    composition = np.zeros((2, 103), np.float32)
    composition[0, [7, 13]] = 2 / 3, 1 / 3  # SiO2
    composition[1, [0, 7, 13]] = 0.5, 0.3, 0.2  # with hydrogen
    elements, formula = (composition_blocks(composition, track).columns for track in ("elements", "formula"))
    assert elements.shape[1] == formula.shape[1] == 103 + len(FAMILIES)
    np.testing.assert_array_equal(elements[0], elements[1])
    assert not np.array_equal(formula[0], formula[1])
    silicon = next(i for i, family in enumerate(FAMILIES) if "Si" in family.split())
    assert elements[0, 103 + silicon] == 1
