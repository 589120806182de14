"""Similarity measures against scipy, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import spatial, special, stats

from spectroflow import metrics
from spectroflow.errors import UsageError

POINTS = 23
AXIS = np.linspace(100.0, 210.0, POINTS)
spectra = arrays(np.float64, POINTS, elements=st.floats(-5, 1000, allow_subnormal=False))
masks = arrays(np.bool_, POINTS)
MEASURES = {
    "pearson_r": metrics.pearson_r,
    "rmse": metrics.rmse,
    "spectral_angle": metrics.spectral_angle,
    "hit_quality_index": metrics.hit_quality_index,
    "spectral_information_divergence": metrics.spectral_information_divergence,
    "wasserstein_1": lambda a, b, valid=None: metrics.wasserstein_1(a, b, valid, axis=AXIS),
}
BEST = {"pearson_r": 1.0, "hit_quality_index": 100.0}
each = pytest.mark.parametrize("name", sorted(MEASURES))


def random_pair(seed, positive=False):
    rng = np.random.default_rng(seed)
    a, b = rng.gamma(1.0, 50.0, (2, POINTS)) - (0.0 if positive else 10.0)
    mask = rng.random(POINTS) < 0.8
    mask[:3] = True
    return a, b, mask


@pytest.mark.parametrize("seed", range(20))
def test_against_scipy(seed):
    a, b, mask = random_pair(seed)
    x, y = a[mask], b[mask]
    assert metrics.pearson_r(a, b, mask) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    cosine = 1 - spatial.distance.cosine(x, y)
    assert metrics.spectral_angle(a, b, mask) == pytest.approx(np.arccos(cosine), abs=1e-9)
    assert metrics.hit_quality_index(a, b, mask) == pytest.approx(100 * cosine**2, abs=1e-9)
    assert metrics.rmse(a, b, mask) == pytest.approx(np.sqrt(np.mean((x / x.max() - y / y.max()) ** 2)))
    a, b, mask = random_pair(seed, positive=True)
    x, y = a[mask], b[mask]
    p, q = x / x.sum(), y / y.sum()
    divergence = special.rel_entr(p, q).sum() + special.rel_entr(q, p).sum()
    assert metrics.spectral_information_divergence(a, b, mask) == pytest.approx(divergence, rel=1e-9)
    distance = stats.wasserstein_distance(AXIS[mask], AXIS[mask], x, y)
    assert metrics.wasserstein_1(a, b, mask, axis=AXIS) == pytest.approx(distance, rel=1e-9)


@each
@given(a=spectra, b=spectra, mask=masks)
def test_symmetric_and_in_bounds(name, a, b, mask):
    measure = MEASURES[name]
    one, two = measure(a, b, mask), measure(b, a, mask)
    assert np.allclose(one, two, rtol=1e-9, atol=1e-9, equal_nan=True)
    if np.isnan(one):
        return
    low, high = {
        "pearson_r": (-1, 1),
        "hit_quality_index": (0, 100),
        "spectral_angle": (0, np.pi),
        "wasserstein_1": (0, np.ptp(AXIS)),
    }.get(name, (0, np.inf))
    assert low - 1e-9 <= one <= high + 1e-9


@each
@given(a=spectra, factor=st.floats(0.01, 100))
def test_a_scaled_spectrum_is_the_same_spectrum(name, a, factor):
    assume(a.max() > 1 and np.ptp(a) > 1)
    assert MEASURES[name](a, factor * a) == pytest.approx(BEST.get(name, 0.0), abs=2e-7)


@each
@given(a=spectra, b=spectra, mask=masks, junk=st.floats(allow_nan=True, allow_infinity=True))
def test_nothing_outside_the_mask_counts(name, a, b, mask, junk):
    clean = MEASURES[name](np.where(mask, a, 0), np.where(mask, b, 0), mask)
    dirty = MEASURES[name](np.where(mask, a, junk), np.where(mask, b, junk), mask)
    assert np.array_equal(clean, dirty, equal_nan=True)


@each
def test_rows_are_done_one_by_one(name):
    rng = np.random.default_rng(2)
    a, b = rng.gamma(1.0, 50.0, (2, 7, POINTS))
    mask = rng.random((7, POINTS)) < 0.7
    together = MEASURES[name](a, b, mask)
    assert together.shape == (7,)
    assert together.dtype == np.float64
    alone = [float(MEASURES[name](a[row], b[row], mask[row])) for row in range(7)]
    assert np.allclose(together, alone, rtol=1e-12, equal_nan=True)
    against_one = MEASURES[name](a, b[0])
    assert np.isclose(against_one[3], MEASURES[name](a[3], b[0]))


@each
def test_no_value_is_nan_never_a_number(name):
    measure = MEASURES[name]
    a, b, _ = random_pair(0)
    nothing = np.zeros(POINTS, dtype=bool)
    one_point = nothing.copy()
    one_point[4] = True
    assert np.isnan(measure(a, b, nothing))
    assert np.isnan(measure(a, b, one_point))
    assert np.isnan(measure(np.where(AXIS < 150, a, np.nan), b, np.ones(POINTS, dtype=bool)))
    assert np.isnan(measure(np.zeros(POINTS), b))
    assert np.isnan(measure(a, np.zeros(POINTS)))
    assert not np.isnan(measure(np.where(AXIS < 150, a, np.nan), b)), "without a mask NaN is no data"


def test_a_constant_has_no_correlation():
    a, _, _ = random_pair(3)
    for constant in (1.0, 0.1, 1e9 + 0.1, 1e-300):
        assert np.isnan(metrics.pearson_r(np.full(POINTS, constant), a))


def test_wasserstein_is_a_shift_in_axis_units():
    axis = np.linspace(0, 1000, 2001)
    a = np.exp(-(((axis - 300) / 10) ** 2))
    b = np.exp(-(((axis - 342.5) / 10) ** 2))
    assert metrics.wasserstein_1(a, b, axis=axis) == pytest.approx(42.5, rel=1e-6)


def test_small_angles_keep_their_digits():
    a = np.ones(POINTS)
    b = a.copy()
    b[0] += 1e-9
    expected = 1e-9 * np.sqrt(1 - 1 / POINTS) / np.sqrt(POINTS)
    assert metrics.spectral_angle(a, b) == pytest.approx(expected, rel=1e-5)


class TestBlur:
    axis = np.arange(0.0, 400.0, 0.5)

    def line(self, fwhm):
        return np.exp(-4 * np.log(2) * ((self.axis - 200) / fwhm) ** 2)

    def test_widths_add_in_squares(self):
        seen = metrics.blur(self.axis, self.line(12.0), 16.0)
        above = self.axis[seen > seen.max() / 2]
        assert above[-1] - above[0] == pytest.approx(20.0, abs=1.0)
        assert seen.max() == pytest.approx(12 / 20, rel=0.01)
        assert seen.sum() == pytest.approx(self.line(12.0).sum(), rel=1e-3)

    def test_gaps_stay_gaps_and_do_not_leak(self):
        mask = (self.axis < 150) | (self.axis > 250)
        constant = np.where(mask, 7.0, 1e9)
        seen = metrics.blur(self.axis, constant, 8.0, mask)
        assert np.isnan(seen[~mask]).all()
        assert np.allclose(seen[mask], 7.0)

    def test_rows_and_no_width(self):
        rows = np.stack([self.line(5.0), self.line(50.0)])
        assert np.allclose(metrics.blur(self.axis, rows, 8.0)[1], metrics.blur(self.axis, rows[1], 8.0))
        assert np.array_equal(metrics.blur(self.axis, rows, 0.0), rows)

    @pytest.mark.parametrize("axis", [axis**1.1, axis[::-1]])
    def test_an_irregular_axis_is_refused(self, axis):
        with pytest.raises(UsageError, match="regular"):
            metrics.blur(axis, self.line(5.0), 8.0)


def test_compare_gives_every_measure_of_whole_spectra():
    rng = np.random.default_rng(5)
    a, b = rng.gamma(1.0, 50.0, (2, 3, POINTS))
    mask = np.ones((3, POINTS), dtype=bool)
    mask[1, :] = False
    found = metrics.compare(a, b, mask, axis=AXIS, resolution=15.0)
    assert set(found) == set(metrics.MEASURES) - {"precision", "recall", "f1", "position_error"}
    assert all(
        values.shape == (3,) and np.isnan(values[1]) and np.isfinite(values[[0, 2]]).all() for values in found.values()
    )
    assert (found["r_common"][[0, 2]] != found["r"][[0, 2]]).all()
