"""Noise, background, spikes, grids and scales against oracles and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spectroflow.errors import UsageError
from spectroflow.signal import arpls, despike, noise_sigma, normalise, resample
from spectroflow.signal.ordering import ascending, kth_smallest, median

RNG = np.random.default_rng(3)
finite = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def spectrum(n: int = 600, seed: int = 0) -> np.ndarray:
    x = np.arange(n, dtype=float)
    y = 50 * np.exp(-x / 400) + np.random.default_rng(seed).normal(size=n)
    for center, height, width in ((100, 50, 8), (300, 30, 5), (450, 60, 12)):
        y += height * np.exp(-(((x - center) / width) ** 2))
    return y


class TestNoise:
    @pytest.mark.parametrize("sigma", [1e-20, 0.3, 1e12])
    def test_white_noise_below_lines(self, sigma: float) -> None:
        values = [noise_sigma(sigma * spectrum(1024, seed)) / sigma for seed in range(40)]
        assert np.mean(values) == pytest.approx(1.0, abs=0.03)

    def test_masked_points_do_not_count(self) -> None:
        y = spectrum()
        dirty = y.copy()
        dirty[::3] = 1e5
        mask = np.ones(y.size, bool)
        mask[::3] = False
        assert noise_sigma(dirty, mask) == noise_sigma(y[mask])

    def test_edge_cases(self) -> None:
        assert np.isnan(noise_sigma([1.0, 2.0]))
        assert noise_sigma(np.zeros(20)) == 0.0
        assert noise_sigma(np.full(20, 3.0)) == 0.0
        assert np.isfinite(noise_sigma(np.random.default_rng(0).uniform(-1.7, 1.7, size=50) * 1e308))


class TestBackground:
    @pytest.mark.parametrize("n", [20, 60, 600])
    @pytest.mark.parametrize("lam", [1e2, 1e5])
    @pytest.mark.filterwarnings("ignore")
    def test_equals_pybaselines(self, n: int, lam: float) -> None:
        oracle = pytest.importorskip("pybaselines.whittaker")
        y = spectrum(max(n, 600))[:n]
        expected, _ = oracle.arpls(y, lam=lam)
        np.testing.assert_allclose(arpls(y, lam), expected, atol=2e-4 * np.ptp(y))

    def test_points_left_out_do_not_pull(self) -> None:
        y = spectrum()
        y[200:204] = np.nan
        mask = np.ones(y.size, bool)
        mask[400:410] = False
        dirty = y.copy()
        dirty[400:410] = -1e4
        np.testing.assert_allclose(arpls(dirty, mask=mask), arpls(y, mask=mask), rtol=1e-6)

    def test_scale_does_not_matter(self) -> None:
        y = spectrum()
        np.testing.assert_allclose(arpls(1e-30 * y), 1e-30 * arpls(y), rtol=1e-9)

    def test_refuses_nonsense(self) -> None:
        with pytest.raises(UsageError):
            arpls(np.ones(10), lam=0)
        with pytest.raises(UsageError):
            arpls([1.0, np.nan, 2.0])


class TestResample:
    def test_coarse_data_are_interpolated(self) -> None:
        x = np.arange(0.0, 101.0, 5.0)
        values, valid = resample(x, 2 * x + 1, np.arange(0.0, 101.0, 1.0))
        assert valid.all()
        np.testing.assert_allclose(values, 2 * np.arange(101.0) + 1)

    def test_a_narrow_line_keeps_its_area(self) -> None:
        x = np.arange(0.0, 100.0, 0.01)
        y = np.exp(-(((x - 50.3) / 0.05) ** 2))
        values, _ = resample(x, y, np.arange(1.0, 99.0, 1.0))
        assert values.sum() == pytest.approx(np.trapezoid(y, x), rel=1e-6)

    @settings(max_examples=50, deadline=None)
    @given(st.integers(2, 60), st.floats(0.05, 7.0), finite, st.floats(-10, 10))
    def test_a_straight_line_stays(self, n: int, step: float, offset: float, slope: float) -> None:
        x = 3.0 + step * np.arange(n)
        grid = np.arange(0.0, 100.0, 1.5)
        values, valid = resample(x, offset + slope * x, grid)
        inside = (grid >= x[0]) & (grid <= x[-1])
        np.testing.assert_array_equal(valid, inside)
        # At the ends the mean is over half a cell, whose centre is not the grid point.
        whole = valid & (grid - 0.75 >= x[0]) & (grid + 0.75 <= x[-1])
        np.testing.assert_allclose(values[whole], offset + slope * grid[whole], rtol=1e-9, atol=1e-6)
        assert np.all(values[~valid] == 0)

    def test_gaps_are_not_valid(self) -> None:
        x = np.concatenate((np.arange(0.0, 30.0, 0.5), np.arange(60.0, 90.0, 0.5)))
        _, valid = resample(x, np.ones(x.size), np.arange(0.0, 90.0, 2.0))
        grid = np.arange(0.0, 90.0, 2.0)
        np.testing.assert_array_equal(valid, (grid < 29.6) | (grid >= 60))

    def test_order_and_repeats_do_not_matter(self) -> None:
        x = np.linspace(0, 50, 201)
        y = np.sin(x)
        grid = np.arange(2.0, 48.0, 1.0)
        shuffled = RNG.permutation(np.concatenate((np.arange(201), np.arange(201))))
        np.testing.assert_allclose(resample(x[shuffled], y[shuffled], grid)[0], resample(x, y, grid)[0], rtol=1e-12)

    def test_too_little_data(self) -> None:
        values, valid = resample([1.0], [2.0], [0.0, 1.0, 2.0])
        assert not valid.any()
        assert not values.any()
        with pytest.raises(UsageError):
            resample([1.0, 2.0], [1.0, 2.0], [2.0, 1.0])
        with pytest.raises(UsageError):
            resample([1.0, 2.0], [1.0, 2.0], [0.0, 1.0, 5.0])


class TestSpikes:
    def test_spikes_go_and_lines_stay(self) -> None:
        y = spectrum(1024)
        clean, found = despike(y)
        assert not found.any()
        y[[50, 700, 701]] += 300.0
        clean, found = despike(y)
        assert np.flatnonzero(found).tolist() == [50, 700, 701]
        assert np.max(np.abs(clean - spectrum(1024))[[50, 700, 701]]) < 10

    def test_the_narrowest_line_stays(self) -> None:
        for shift in (0.0, 0.25, 0.5):
            x = np.arange(200.0)
            y = 500 * np.exp(-4 * np.log(2) * ((x - 100 - shift) / 1.9) ** 2) + np.random.default_rng(1).normal(
                size=200
            )
            assert not despike(y)[1].any()

    def test_short_or_empty(self) -> None:
        assert despike([1.0, 2.0])[0].tolist() == [1.0, 2.0]
        assert not despike(np.full(30, np.nan))[1].any()


class TestNormalise:
    # In thousandths: of differences near the last bit, or of subnormal numbers, scaling itself keeps nothing.
    @settings(max_examples=50, deadline=None)
    @given(
        arrays(np.float64, st.integers(3, 40), elements=st.floats(-1e3, 1e3).map(lambda v: round(v, 3))),
        st.floats(1e-3, 1e3),
    )
    def test_scale_is_removed(self, y: np.ndarray, scale: float) -> None:
        for method in ("max", "area", "vector", "minmax", "snv"):
            if method == "max" and y.max() <= 0:
                continue
            np.testing.assert_allclose(normalise(scale * y, method), normalise(y, method), rtol=1e-6, atol=1e-6)

    def test_each_does_what_it_says(self) -> None:
        y = RNG.uniform(1, 5, 50)
        assert normalise(y, "max").max() == pytest.approx(1)
        assert np.abs(normalise(y, "area")).sum() == pytest.approx(1)
        assert np.linalg.norm(normalise(y, "vector")) == pytest.approx(1)
        assert (normalise(y, "minmax").min(), normalise(y, "minmax").max()) == (0, 1)
        assert normalise(y, "snv").std() == pytest.approx(1)

    def test_points_that_were_not_measured_become_zero(self) -> None:
        valid = np.array([True, True, False, True])
        assert normalise([1.0, 4.0, 100.0, 2.0], valid=valid).tolist() == [0.25, 1.0, 0.0, 0.5]
        assert not normalise(np.full(5, np.nan)).any()
        with pytest.raises(UsageError):
            normalise([1.0], "loud")  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5).map(lambda v: round(v, 1))))
def test_order_statistics(values: np.ndarray) -> None:
    ordered = np.sort(values)
    assert [kth_smallest(values, k) for k in range(values.size)] == ordered.tolist()
    assert median(values) == pytest.approx(np.median(values))
    np.testing.assert_array_equal(ascending(values), np.argsort(values, kind="stable"))


@settings(max_examples=40, deadline=None)
@given(st.integers(65, 900), st.integers(0, 10_000), st.sampled_from([1e-300, 1.0, 1e300]), st.booleans())
def test_order_statistics_of_many(count: int, seed: int, scale: float, rounded: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    values[: count // 3] = np.round(values[: count // 3]) if rounded else 7.0
    values = values * scale
    ordered = np.sort(values)
    for k in (0, 1, count // 3, count // 2, count - 1):
        assert kth_smallest(values, k) == ordered[k]
    assert median(values) == np.median(values)
