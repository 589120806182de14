from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.config import TrainConfig
from spectroflow.errors import ModelError
from spectroflow.models.blend import correlation
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.preprocess import prepare
from spectroflow.models.ranges import Range, choose_range, cut_data, find_ranges
from spectroflow.models.training import train_networks

POINTS = 100
PART = Range("raman", 24, 38)  # of 61 points


def shown(*ends: tuple[int, int]) -> np.ndarray:
    at = np.arange(POINTS)
    return np.asarray([(at >= first) & (at <= last) for first, last in ends])


def cut_short(data: TrainingData, rows: np.ndarray, kept: Range) -> TrainingData:
    """Return the data as if an instrument had seen only a range of some spectra."""
    table = data.spectra[kept.modality]
    valid = table.valid.copy()
    valid[rows] &= kept.inside(valid.shape[1])
    values = table.values.copy()
    values[rows] = prepare(table.values[rows], valid[rows], data.modalities[kept.modality])
    table = dataclasses.replace(table, values=values, valid=valid)
    return dataclasses.replace(data, spectra={**data.spectra, kept.modality: table})


@pytest.fixture(scope="module")
def partial_data(small_data: TrainingData) -> TrainingData:
    return cut_short(small_data, np.arange(0, 40, 2), PART)


@pytest.fixture(scope="module")
def generator(partial_data: TrainingData, small_config: TrainConfig) -> Generator:
    config = small_config.model_copy(update={"epochs": 1, "split": "sample"})
    return fit_generator(partial_data, train_networks(partial_data, config), config, directions=[("raman", "ir")])


def test_what_many_partial_spectra_show_is_a_range() -> None:
    whole, low, high = [(0, 99)] * 30, [(0, 19)] * 8 + [(1, 20)] * 4, [(77, 98)] * 11
    assert find_ranges("ir", shown(*whole, *low, *high)) == [Range("ir", 0, 19), Range("ir", 77, 98)]
    assert find_ranges("ir", shown(*whole, *low[:9])) == []  # too few
    assert find_ranges("ir", shown(*whole, *[(0, 24)] * 20)) == []  # a quarter of the axis
    assert find_ranges("ir", np.zeros((12, POINTS), bool)) == []
    assert find_ranges("ir", np.zeros((0, POINTS), bool)) == []


def test_a_spectrum_goes_where_it_has_most_in_common() -> None:
    ranges = [Range("ir", 0, 29), Range("ir", 60, 98)]
    asked = shown((0, 29), (3, 29), (61, 99), (0, 99), (0, 70), (40, 45), (20, 80))
    assert choose_range(asked, ranges).tolist() == [0, 0, 1, -1, -1, -1, -1]
    assert choose_range(np.zeros((2, POINTS), bool), ranges).tolist() == [-1, -1]
    assert choose_range(asked, []).tolist() == [-1] * 7


@given(st.lists(st.tuples(st.sampled_from([0, 1, 40, 70]), st.integers(17, 26)), min_size=10, max_size=60))
def test_every_range_is_that_of_a_spectrum_and_no_order_matters(spans: list[tuple[int, int]]) -> None:
    valid = shown(*((first, first + width - 1) for first, width in spans))
    found = find_ranges("ir", valid)
    assert find_ranges("ir", valid[::-1]) == found
    assert {(kept.first, kept.last - kept.first + 1) for kept in found} <= set(spans)
    assert all(kept.last - kept.first + 1 < POINTS / 4 for kept in found)
    assert set(range(len(found))) <= set(choose_range(valid, found).tolist())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nothing_outside_a_range_is_seen(small_data: TrainingData, seed: int) -> None:
    table = small_data.spectra["raman"]
    rng = np.random.default_rng(seed)
    noise = rng.random(table.values.shape, dtype=np.float32)
    inside = PART.inside(table.values.shape[1])
    other = dataclasses.replace(table, values=np.where(inside, table.values, noise))
    changed = dataclasses.replace(small_data, spectra={**small_data.spectra, "raman": other})
    one, two = cut_data(small_data, PART), cut_data(changed, PART)
    np.testing.assert_array_equal(one.spectra["raman"].values, two.spectra["raman"].values)
    assert not one.spectra["raman"].valid[:, ~inside].any()
    axis = small_data.modalities["raman"].grid.axis()
    centres = one.spectra["raman"].lines[:, :, 0]
    centres = centres[np.isfinite(centres)]
    assert ((centres >= axis[PART.first]) & (centres <= axis[PART.last])).all()
    assert one.spectra["ir"] is small_data.spectra["ir"]


def test_spectra_that_show_nothing_of_a_range_are_empty(small_data: TrainingData) -> None:
    upper = Range("raman", 45, 60)
    cut = cut_data(cut_short(small_data, np.arange(3), upper), PART).spectra["raman"]
    assert not cut.valid[:3].any()
    assert not cut.values[:3].any()
    assert np.isnan(cut.lines[:3]).all()
    assert cut.valid[3:, PART.first : PART.last + 1].all()


def test_partial_spectra_are_answered_by_a_specialist(generator: Generator, partial_data: TrainingData) -> None:
    assert list(generator.specialists) == [PART]
    assert generator.ranges("raman", "ir") == [PART]
    assert generator.card["ranges"] == ["raman: 580 to 860 cm-1"]
    table, wanted = partial_data.spectra["raman"], partial_data.spectra["ir"]
    asked = table.values, table.valid, table.lines, "raman", "ir", table.label, table.sample
    found = generator.generate_held_out(*asked, prepared=True, digests=table.digest, batch=16, parts=True)
    special, generator.specialists = generator.specialists, {}
    without = generator.generate_held_out(*asked, prepared=True, digests=table.digest, batch=16, parts=True)
    generator.specialists = special
    partial = np.flatnonzero(~table.valid.all(axis=1))
    whole = np.flatnonzero(table.valid.all(axis=1))
    np.testing.assert_array_equal(found.intensity[whole], without.intensity[whole])
    np.testing.assert_array_equal(found.lines[whole][:, : without.lines.shape[1]], without.lines[whole])

    def scores(intensity: np.ndarray) -> float:
        return float(correlation(intensity[partial], wanted.values[partial], wanted.valid[partial]).mean())

    assert scores(found.intensity) > scores(without.intensity) + 0.05
    assert scores(found.experts["nearest"]) > scores(without.experts["nearest"])


def test_a_specialist_is_kept_with_the_model(generator: Generator, partial_data: TrainingData) -> None:
    again = Generator.from_files(generator.files())
    table = partial_data.spectra["raman"]
    one, two = (
        g.generate(table.values[:6], table.valid[:6], table.lines[:6], "raman", "ir", batch=8)
        for g in (generator, again)
    )
    np.testing.assert_array_equal(one.intensity, two.intensity)
    np.testing.assert_array_equal(one.confidence, two.confidence)
    assert again.files() == generator.files()


def test_a_range_that_a_fold_lacks_has_no_specialist(small_data: TrainingData, small_config: TrainConfig) -> None:
    config = small_config.model_copy(update={"epochs": 1})
    fold = small_data.folds(config.folds, config.seed)["raman"]
    upper = Range("raman", PART.last + 1, 60)
    apart = cut_short(cut_short(small_data, np.flatnonzero(fold == 0), PART), np.flatnonzero(fold != 0), upper)
    assert find_ranges("raman", apart.spectra["raman"].valid) == [PART]
    fitted = fit_generator(apart, train_networks(apart, config), config, directions=[("raman", "ir")])
    assert fitted.specialists == {}
    assert fitted.directions == [("raman", "ir")]


@pytest.mark.parametrize("damage", [{"modality": "uv"}, {"last": 61}, {"first": 50}, {"first": "x"}])
def test_a_damaged_specialist_is_refused(generator: Generator, damage: dict[str, object]) -> None:
    files = dict(generator.files())
    config = json.loads(files["config.json"])
    config["specialists"][0] |= damage
    files["config.json"] = json.dumps(config).encode()
    with pytest.raises(ModelError, match="do not fit together"):
        Generator.from_files(files)


def test_company_does_not_matter_to_a_partial_spectrum(generator: Generator, partial_data: TrainingData) -> None:
    table = partial_data.spectra["raman"]

    def answer(rows: np.ndarray) -> np.ndarray:
        asked = table.values[rows], table.valid[rows], table.lines[rows], "raman", "ir"
        return generator.generate(*asked, batch=8).intensity

    mixed = answer(np.arange(8))
    np.testing.assert_allclose(answer(np.arange(0, 8, 2)), mixed[::2], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(answer(np.arange(5)), mixed[:5])
