from __future__ import annotations

import numpy as np
import pytest

from spectroflow.metrics import match_lines
from spectroflow.modality import builtin
from spectroflow.models.lines import (
    COUNTS,
    POWERS,
    fit_rule,
    likely_lines,
    line_density,
    line_points,
    place_lines,
    within,
)

RAMAN = builtin()["raman"]
AXIS = RAMAN.grid.axis()


def spectra(*centers: list[float]) -> np.ndarray:
    values = [sum(np.exp(-0.5 * ((AXIS - c) / 6.0) ** 2) for c in row) for row in centers]
    return np.asarray(values, np.float32)


def test_a_density_integrates_to_the_number_of_lines_and_gives_them_back() -> None:
    values = spectra([300.0, 500.0, 1000.0], [250.0])
    density = line_density(values, RAMAN)
    # Lines per tolerance: summed over points it is lines times the points of a tolerance.
    np.testing.assert_allclose(density.sum(axis=1) * RAMAN.grid.step / RAMAN.match_tolerance, [3, 1], rtol=1e-3)
    lines = place_lines(density, RAMAN, 0.5)
    np.testing.assert_allclose(lines[0, :, 0], [300, 500, 1000], atol=RAMAN.grid.step)
    assert np.isfinite(lines[1, :, 0]).sum() == 1
    assert (lines[0, :, 1] > 0.9).all()
    assert (lines[0, :, 1] <= 1).all()


def test_unlikely_lines_are_not_placed_and_likely_ones_keep_apart() -> None:
    density = 0.4 * line_density(spectra([300.0]), RAMAN) + 0.8 * line_density(spectra([700.0]), RAMAN)
    assert np.isfinite(place_lines(density, RAMAN, 0.6)[0, :, 0]).sum() == 1
    assert np.isfinite(place_lines(density, RAMAN, np.asarray([0.3]))[0, :, 0]).sum() == 2
    ragged = line_density(spectra([300.0]), RAMAN) * (1 + 0.1 * np.sin(AXIS)).astype(np.float32)
    found = place_lines(ragged, RAMAN, 0.05)[0, :, 0]
    assert np.diff(found[np.isfinite(found)]).min(initial=np.inf) >= RAMAN.match_tolerance


def test_no_density_places_no_line() -> None:
    assert place_lines(np.zeros((3, AXIS.size), np.float32), RAMAN, 0.1).shape == (3, 0, 2)


def test_lines_outside_what_was_measured_do_not_count() -> None:
    values = spectra([300.0, 900.0])
    valid = np.tile(AXIS < 600, (1, 1))
    assert AXIS[line_points(values, valid)[0]] == pytest.approx([300.0], abs=2)
    lines = place_lines(line_density(values, RAMAN), RAMAN, 0.5)
    np.testing.assert_array_equal(np.isfinite(within(lines, valid, RAMAN)[0, :, 0]), [True, False])


def test_the_rule_is_the_one_that_matches_held_out_lines_best() -> None:
    rng = np.random.default_rng(0)
    true = [sorted(rng.uniform(150, 1250, 4).tolist()) for _ in range(30)]
    values = spectra(*true)
    valid = np.ones(values.shape, bool)
    false = spectra(*[sorted(rng.uniform(150, 1250, 4).tolist()) for _ in range(30)])
    sure, unsure = line_density(values, RAMAN), line_density(false, RAMAN)
    weights, mixed = np.ones(30), 0.5 * sure + 0.2 * unsure

    def score(density: np.ndarray, count: float, power: float) -> float:
        placed = likely_lines(density, RAMAN, count, power)[:, :, 0]
        pairs = [(row, AXIS[places]) for row, places in zip(placed, line_points(values), strict=True)]
        return float(np.mean([match_lines(*pair, RAMAN.match_tolerance).f1 for pair in pairs]))

    rule = fit_rule({"kernel": 1.0}, mixed, values, valid, RAMAN, weights)
    assert rule.weights == {"kernel": 1.0}
    assert score(mixed, rule.count, rule.power) == max(score(mixed, c, p) for c in COUNTS for p in POWERS)


def test_as_many_lines_are_placed_as_the_expected_f1_wants() -> None:
    density = 0.9 * line_density(spectra([300.0, 700.0]), RAMAN) + 0.1 * line_density(spectra([500.0, 900.0]), RAMAN)
    # Two likely lines: 2 * 1.8 / (2 + 2) = 0.9; a third one that is unlikely: 2 * 1.9 / (3 + 2) = 0.76.
    np.testing.assert_allclose(likely_lines(density, RAMAN, 1.0, 1.0)[0, :, 0], [300, 700], atol=RAMAN.grid.step)
    # Where ten times as many are to be reckoned with, each one that may match is worth naming.
    assert np.isfinite(likely_lines(density, RAMAN, 10.0, 1.0)[0, :, 0]).sum() == 4
    both = likely_lines(np.vstack([density, density]), RAMAN, np.asarray([1.0, 10.0]), 1.0)
    np.testing.assert_array_equal(np.isfinite(both[:, :, 0]).sum(axis=1), [2, 4])
    assert np.isfinite(both[0, :2, 0]).all(), "unused slots come last"
    assert likely_lines(0 * density, RAMAN, 1.0, 1.0).shape == (1, 0, 2)
