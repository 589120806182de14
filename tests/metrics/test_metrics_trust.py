"""Intervals over materials and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spectroflow.errors import UsageError
from spectroflow.metrics import (
    Reliability,
    bootstrap_interval,
    coverage_curve,
    macro_average,
    material_means,
    paired_difference,
)


def test_macro_average_weighs_materials_not_spectra():
    values, labels = [1.0, 1.0, 1.0, 0.0, np.nan], ["quartz"] * 3 + ["calcite"] * 2
    assert macro_average(values, labels) == pytest.approx(0.5)
    assert material_means(values, labels)[0] == ["calcite", "quartz"]
    assert np.isnan(macro_average([np.nan], ["a"]))
    with pytest.raises(UsageError, match="labels"):
        macro_average([1.0, 2.0], ["a"])


def test_interval_agrees_with_scipy():
    rng = np.random.default_rng(3)
    means = rng.normal(0.7, 0.1, 40)
    ours = bootstrap_interval(means, [str(n) for n in range(40)], samples=4000)
    theirs = stats.bootstrap(
        (means,), np.mean, n_resamples=4000, method="percentile", random_state=0
    ).confidence_interval
    assert ours.mean == pytest.approx(means.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_interval_covers_the_truth_as_often_as_it_says_and_spectra_are_not_materials():
    rng = np.random.default_rng(0)
    labels = [f"m{n // 10}" for n in range(300)]
    covered, naive = 0, 0
    for seed in range(200):
        values = np.repeat(rng.normal(0.5, 0.2, 30), 10) + rng.normal(0, 0.02, 300)
        own = bootstrap_interval(values, labels, samples=300, seed=seed)
        each = bootstrap_interval(values, [str(n) for n in range(300)], samples=300, seed=seed)
        covered += own.low <= 0.5 <= own.high
        naive += each.low <= 0.5 <= each.high
    assert covered >= 175
    assert naive < 130, "drawing spectra instead of materials would hide the difference"


def test_pairs_find_a_small_gain_that_two_intervals_hide():
    rng = np.random.default_rng(1)
    base = rng.normal(0.5, 0.2, 60)
    gain = base + rng.normal(0.02, 0.01, 60)
    labels = [str(n) for n in range(60)]
    difference = paired_difference(gain, base, labels)
    assert difference.excludes_zero
    assert difference.mean == pytest.approx((gain - base).mean())
    one, two = bootstrap_interval(gain, labels), bootstrap_interval(base, labels)
    assert one.low < two.high, "the two intervals overlap"
    assert not paired_difference(base, base[::-1], labels).excludes_zero
    gain[5] = np.nan
    assert paired_difference(gain, base, labels).materials == 59


def test_interval_is_seeded_and_says_when_there_is_none():
    values, labels = [0.1, 0.5, 0.9], ["a", "b", "c"]
    assert bootstrap_interval(values, labels) == bootstrap_interval(values, labels)
    many = np.linspace(0, 1, 37) ** 2
    names = [str(n) for n in range(37)]
    assert bootstrap_interval(many, names, seed=1) != bootstrap_interval(many, names, seed=2)
    for lonely in (bootstrap_interval([0.5], ["a"]), bootstrap_interval(values, labels, samples=0)):
        assert np.isnan([lonely.low, lonely.high]).all()
        assert not lonely.excludes_zero


def test_honest_confidence_has_no_calibration_error_and_boasting_has():
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    honest = Reliability.of(confidence, rng.random(200_000) < confidence)
    assert honest.expected_error < 0.005
    assert honest.brier_score == pytest.approx(1 / 6, abs=0.003)
    boasting = Reliability.of(np.full(1000, 0.95), np.arange(1000) < 700)
    assert boasting.expected_error == pytest.approx(0.25)
    assert boasting.greatest_error == pytest.approx(0.25)
    assert boasting.n == 1000


def test_edges_of_confidence_have_a_bin_and_nonsense_is_refused():
    table = Reliability.of([0.0, 0.1, 1.0, np.nan], [0, 1, 1, 1], bins=10)
    assert table.counts == (1, 1, 0, 0, 0, 0, 0, 0, 0, 1)
    assert table.missing == 1
    assert np.isnan(table.mean_outcome[4])
    for wrong in ([1.2], [-0.1]):
        with pytest.raises(UsageError, match="between 0 and 1"):
            Reliability.of(wrong, [1.0])
    assert np.isnan(Reliability.of([], []).expected_error)


def test_keeping_only_the_confident_keeps_the_good():
    confidence = np.array([0.9, 0.1, 0.8, 0.2, np.nan])
    outcome = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    share, kept = coverage_curve(confidence, outcome)
    assert share.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert kept == pytest.approx([1, 1, 2 / 3, 0.5])
    tied = coverage_curve([0.5, 0.5], [1.0, 0.0])[1]
    assert tied == pytest.approx([0.5, 0.5]), "the order of equal rows must not matter"
    assert coverage_curve([], [])[0].shape == (0,)
