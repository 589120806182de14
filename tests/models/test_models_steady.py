"""Likeness without what differs within materials: by its formula, and where it finds what plain likeness does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.config import TrainConfig
from spectroflow.models.features import CLUE_KINDS
from spectroflow.models.fitted import FittedExperts
from spectroflow.models.steady import LEAST_MATERIALS, MOST_DIRECTIONS, STEADY_KINDS, Steady, shown_enough
from spectroflow.models.views import Views
from tests.models.crystal_world import world

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


def spectra(
    materials: int, points: int, seed: int, *, of_each: int = 3, disturbance: float = 1.0
) -> tuple[dict[str, Float], Int]:
    """Unit vectors around one for each material, much disturbed along two directions that all share."""
    rng = np.random.default_rng(seed)
    material = np.repeat(np.arange(materials), of_each)
    shared = disturbance * rng.standard_normal((len(material), 2)) @ rng.standard_normal((2, points))
    values = rng.standard_normal((materials, points))[material] + shared
    values += 0.05 * rng.standard_normal(values.shape)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return dict.fromkeys(CLUE_KINDS, values.astype(np.float32)), material


def products(features: dict[str, Float], asked: Int) -> dict[str, Float]:
    return {kind: value[asked] @ value.T for kind, value in features.items()}


@given(materials=st.integers(LEAST_MATERIALS, 40), points=st.sampled_from([8, 30, 150]), seed=st.integers(0, 99))
def test_it_is_the_shrunk_within_class_normalisation(materials: int, points: int, seed: int) -> None:
    """The whole matrix, made and applied as the formula says, on spectra that it did not learn from."""
    features, material = spectra(materials, points, seed)
    rows = np.flatnonzero(material > 0)
    steady = Steady.fit(features, material, rows) if materials > LEAST_MATERIALS else None
    if steady is None:
        return
    values = features["shape"].astype(float)
    within = np.mean([np.cov(values[material == name].T) for name in range(1, materials)], axis=0)
    eigenvalues, axes = np.linalg.eigh(within)
    mean = np.trace(within) / points
    share = eigenvalues / (eigenvalues + mean)
    share[:-MOST_DIRECTIONS] = 0.0
    moved = values - (values @ axes * (1 - np.sqrt(1 - np.clip(share, 0, 1)))) @ axes.T
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    asked = np.flatnonzero(material < 2)
    found = steady.similarity(products(features, asked))["steady shape"]
    np.testing.assert_allclose(found, moved[asked] @ moved.T, atol=2e-3)


@given(seed=st.integers(0, 99))
def test_a_disturbance_that_all_materials_share_no_longer_counts(seed: int) -> None:
    features, material = spectra(30, 60, seed)
    steady = Steady.fit(features, material, np.flatnonzero(material >= 10))
    assert steady is not None
    asked = np.flatnonzero(material < 10)  # by other materials it knows what to overlook
    plain = products(features, asked)

    def right(similar: Float) -> float:
        others = similar.copy()
        others[np.arange(len(asked)), asked] = -2.0
        return float(np.mean(material[others.argmax(axis=1)] == material[asked]))

    assert right(steady.similarity(plain)["steady local"]) > 0.95
    assert right(plain["local"]) < 0.9


def test_rows_can_be_chosen_and_an_empty_spectrum_is_like_nothing() -> None:
    features, material = spectra(20, 40, 0)
    features = {kind: np.where(np.arange(60)[:, None] == 5, np.float32(0), value) for kind, value in features.items()}
    steady = Steady.fit(features, material, np.arange(60))
    assert steady is not None
    similar = products(features, np.array([5, 6, 7]))
    some = np.array([3, 30, 31])
    for kind, value in steady.similarity(similar).items():
        assert not value[0].any()
        assert value[1, 6] == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_array_equal(steady.similarity(similar, some)[kind], value[:, some])


def test_where_too_few_materials_have_two_spectra_nothing_is_learned() -> None:
    features, material = spectra(LEAST_MATERIALS, 40, 0)
    several = np.flatnonzero(material < LEAST_MATERIALS - 1)
    alone = np.flatnonzero(material == LEAST_MATERIALS - 1)[:1]
    assert Steady.fit(features, material, np.concatenate([several, alone])) is None
    assert Steady.fit(features, material, several[:0]) is None
    assert Steady.fit(features, material, np.arange(len(material))) is not None


def test_parts_of_the_axis_teach_nothing_beside_whole_spectra() -> None:
    valid = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(shown_enough(valid, np.arange(4)), [0, 2])
    np.testing.assert_array_equal(shown_enough(valid, np.array([1])), [1])
    assert len(shown_enough(valid, np.arange(0))) == 0


def test_members_learn_it_from_their_own_folds_alone() -> None:
    data = world(samples=2)
    config = TrainConfig(folds=3, split="species")
    folds = data.folds(config.folds, config.seed, config.split)
    fitted = FittedExperts(data, Views(data), config, folds, {})
    for without in ((0,), (1, 2), (0, 2)):
        steady = fitted.steady(without, "raman")
        if steady is None:
            assert len(np.unique(data.material["raman"][~np.isin(folds["raman"], without)])) < LEAST_MATERIALS
            continue
        assert not np.isin(folds["raman"][steady.rows], without).any()
        assert set(steady.views) == set(STEADY_KINDS)
    assert fitted.steady((0,), "raman") is not None
