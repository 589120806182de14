"""The least-squares kernel against scipy, certified answers and its own promises."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peaks import nist_digits, starting_values, with_scipy
from benchmarks.synthetic_lines import Score, bounds, spectra
from spectroflow import peaks
from spectroflow.errors import UsageError
from spectroflow.peaks.normal import covariance_block, factor, solve


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10_000))
def test_factor_solve_and_covariance(blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 4 * blocks + 2
    jacobian = rng.normal(size=(3 * size, size))
    for i in range(blocks):  # lines see only their neighbours
        jacobian[:, 4 * i : 4 * i + 4] *= (np.abs(np.linspace(0, blocks, 3 * size) - i - 0.5) < 1)[:, None]
    matrix = jacobian.T @ jacobian + 1e-6 * np.eye(size)
    first = np.array([np.flatnonzero(np.abs(row[: i + 1]) > 0)[0] for i, row in enumerate(matrix)])
    first = np.minimum(first, np.arange(size)).astype(np.int64)
    lower, right = np.tril(matrix).copy(), rng.normal(size=size)
    assert factor(lower, first, size)
    answer = right.copy()
    solve(lower, first, size, answer)
    np.testing.assert_allclose(matrix @ answer, right, atol=1e-6)
    block = np.empty((4, 4))
    covariance_block(lower, first, size, 0, block, np.empty((size, 4)))
    np.testing.assert_allclose(block, np.linalg.inv(matrix)[:4, :4], rtol=1e-5)


def test_as_good_as_scipy_from_the_same_starts() -> None:
    x, y, truth = spectra(12, 41, with_background=False)
    rng = np.random.default_rng(41)
    excess = []
    for data, true in zip(y, truth, strict=True):
        start = starting_values(true, rng)
        excess.append(peaks.refine(x, data, start).chi2 / with_scipy(x, data, start) - 1)
    assert abs(np.median(excess)) < 1e-3
    assert np.mean(np.array(excess) > 0.01) <= 0.05


@pytest.mark.real
@pytest.mark.parametrize(("name", "digits"), [("Gauss1", 9), ("Gauss2", 9), ("Gauss3", 9), ("Eckerle4", 8)])
@pytest.mark.parametrize("start", [0, 1])
def test_certified_by_nist(real_data: Path, name: str, digits: int, start: int) -> None:
    assert nist_digits(real_data / "nist_strd" / f"{name}.dat", start) >= digits


def test_bounds_are_kept() -> None:
    x = np.arange(100.0)
    y = peaks.render(x, [[50.0, 10.0, 12.0, 1.0]]) + np.random.default_rng(0).normal(size=100)
    fit = peaks.refine(x, y, [[44, 8, 8, 0.5]], bounds=([[40, 0, 5, 0.2]], [[48, 9, 10, 0.6]]))
    center, height, fwhm, eta = fit.lines[0, :4]
    assert center == 48
    assert 0 <= height <= 9
    assert 5 <= fwhm <= 10
    assert 0.2 <= eta <= 0.6
    assert peaks.Flag(int(fit.lines[0, -1])) & peaks.Flag.AT_BOUND


def test_refine_refuses_what_does_not_fit_together() -> None:
    x = np.arange(50.0)
    for wrong in (
        {"starts": [[1, 2, 3]]},
        {"starts": [[1, 2, 3, 0]], "shape": "square"},
        {"starts": [[1, 2, 3, 0]], "background": "cubic"},
        {"starts": [[1, 2, 3, 0]], "background": "exponential"},
    ):
        with pytest.raises(UsageError):
            peaks.refine(x, x, **wrong)
    with pytest.raises(UsageError):
        peaks.refine(x[::-1], x, [[1, 2, 3, 0]])


@pytest.fixture(scope="module", params=["standard", "fast"])
def found(request: pytest.FixtureRequest) -> tuple[Score, float]:
    """What was found in synthetic spectra, and the median noise."""
    x, y, truth = spectra(80, 42)
    batch = peaks.fit_batch(x, y, peaks.FitSettings(effort=request.param))
    score = Score()
    for i, true in enumerate(truth):
        score.add(bounds(x, true), batch.lines[i, : int(batch.fit[i, 0])].astype(float))
    return score, float(np.median(batch.fit[:, 1]))


def test_identifiable_lines_are_found_and_few_others(found: tuple[Score, float]) -> None:
    score, _ = found
    assert score.identifiable > 200
    assert score.figures()["recall_identifiable"] >= 0.99
    assert score.figures()["precision"] >= 0.97


def test_errors_are_those_of_the_noise_and_sigma_says_so(found: tuple[Score, float]) -> None:
    score, noise = found
    # 0.62 to 0.75 and 0.9 to 1.15 over many spectra; a few hundred lines scatter.
    assert 0.58 <= score.figures()["centre_error_over_sigma"] <= 0.80
    assert 0.85 <= score.figures()["pull_std"] <= 1.25
    assert noise == pytest.approx(1.0, abs=0.03)


def test_pure_noise_has_no_lines() -> None:
    noise = np.random.default_rng(43).normal(size=(600, 1024))
    batch = peaks.fit_batch(np.arange(1024.0), noise, peaks.FitSettings())
    assert batch.fit[:, 0].mean() <= 0.02
    assert np.all(batch.fit[batch.fit[:, 0] == 0, -1].astype(int) & peaks.Flag.NO_PEAKS)


def test_counting_statistics_are_recognised() -> None:
    rng = np.random.default_rng(44)
    x = np.arange(800.0)
    rate = 30 + peaks.render(x, [[200, 900, 12, 0.5], [500, 200, 10, 0.5]])
    counts = rng.poisson(rate).astype(float)
    result = peaks.fit(x, counts)
    assert result.flags & peaks.Flag.COUNTS
    assert not result.flags & peaks.Flag.SIGMA_ESTIMATED
    assert 0.8 < result.quantities["chi2_reduced"] < 1.2
    assert peaks.fit(x, counts, noise="differences").flags & peaks.Flag.SIGMA_ESTIMATED


def test_interpolated_data_do_not_sprout_lines() -> None:
    rng = np.random.default_rng(45)
    coarse = np.arange(0.0, 1000.0, 2.0)
    y = peaks.render(coarse, [[300.0, 60.0, 12.0, 0.5], [700.0, 30.0, 20.0, 0.8]]) + rng.normal(size=coarse.size)
    x = np.arange(0.0, 998.0, 0.5)
    result = peaks.fit(x, np.interp(x, coarse, y))
    assert result.flags & peaks.Flag.CORRELATED
    strong = result.column("height") > 6
    np.testing.assert_allclose(result.column("center")[strong], [300, 700], atol=1)
    assert len(result.lines) <= 4


def test_a_row_depends_on_nothing_but_itself() -> None:
    x, y, _ = spectra(24, 46)
    config = peaks.FitSettings()
    whole = peaks.fit_batch(x, y, config)
    for part in (slice(0, 1), slice(5, 6), slice(3, 17)):
        again = peaks.fit_batch(x, y[part], config)
        assert again.lines.tobytes() == whole.lines[part].tobytes()
        assert again.fit.tobytes() == whole.fit[part].tobytes()
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda i: peaks.fit_batch(x, y[i : i + 1], config).lines, range(24)))
    assert np.concatenate(threads).tobytes() == whole.lines.tobytes()


def test_padding_changes_nothing() -> None:
    x, y, _ = spectra(4, 47)
    axis, values = np.full((4, 2048), np.nan), np.full((4, 2048), np.nan)
    for i, shift in enumerate((0, 1, 500, 1024)):
        axis[i, shift : shift + 1024], values[i, shift : shift + 1024] = x, y[i]
    padded = peaks.fit_batch(axis, values, peaks.FitSettings())
    assert padded.lines.tobytes() == peaks.fit_batch(x, y, peaks.FitSettings()).lines.tobytes()


def test_the_gil_is_released() -> None:
    x, y, _ = spectra(40, 48)
    peaks.fit_batch(x, y[:1], peaks.FitSettings())
    ticks: list[float] = []
    worker = threading.Thread(target=lambda: peaks.fit_batch(x, np.tile(y, (3, 1)), peaks.FitSettings()))
    worker.start()
    while worker.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0)
    # Were the GIL held from one spectrum to the next, this thread would run some hundred times at most.
    assert len(ticks) > 500


@pytest.mark.parametrize("effort", ["fast", "standard", "precise"])
@pytest.mark.parametrize("shape", ["gaussian", "lorentzian", "pseudo-voigt", "voigt"])
def test_every_effort_and_shape(effort: str, shape: str) -> None:
    rng = np.random.default_rng(49)
    x = np.arange(600.0)
    eta = {"gaussian": 0.0, "lorentzian": 1.0}.get(shape, 0.5)
    true = np.array([[150.0, 40, 9, eta], [320, 25, 14, eta], [335, 50, 8, eta]])
    y = 20 + 0.01 * x + peaks.render(x, true, shape) + rng.normal(size=600)
    result = peaks.fit(x, y, shape=shape, effort=effort)
    assert result.settings.rendered_shape == ("voigt" if (shape, effort) == ("pseudo-voigt", "precise") else shape)
    for center, height, *_ in true:
        line = result.lines[np.argmin(np.abs(result.column("center") - center))]
        assert abs(line[0] - center) < 5 * line[5] + 0.05
        assert abs(line[1] - height) < 5 * line[6] + 2
    drawn = peaks.curves(x, y, result.lines, result.settings)
    assert np.std(drawn.residual) < 1.15
    np.testing.assert_allclose(drawn.fitted - drawn.background, drawn.components.sum(axis=0), atol=1e-9)


def test_second_x_ray_line_is_part_of_the_first() -> None:
    rng = np.random.default_rng(50)
    waves = (1.54056, 1.54439, 0.5)
    x = np.arange(20.0, 90.0, 0.01)
    true = [[31.0, 900, 0.12, 0.5], [45.3, 400, 0.13, 0.5], [75.2, 300, 0.15, 0.5]]
    y = rng.poisson(40 + peaks.render(x, true, "thompson-cox-hastings", waves)).astype(float)
    from spectroflow.modality import builtin

    result = peaks.fit(x, y, modality=builtin()["xrd"])
    strong = result.lines[result.column("height") > 30]
    np.testing.assert_allclose(strong[:, 0], [31.0, 45.3, 75.2], atol=0.005)
    np.testing.assert_allclose(strong[:, 1], [900, 400, 300], rtol=0.1)


def test_more_lines_than_slots() -> None:
    x = np.arange(1000.0)
    true = [[c, 20 + c / 20, 8, 0.5] for c in range(50, 1000, 50)]
    y = peaks.render(x, true) + np.random.default_rng(51).normal(size=1000)
    result = peaks.fit(x, y, slots=5)
    assert result.flags & peaks.Flag.CAP
    assert len(result.lines) == 5
    assert np.all(np.diff(result.column("center")) > 0)
    assert np.min(result.column("center")) > 600


def test_background_alone_is_the_one_that_was_fitted() -> None:
    x, y, _ = spectra(5, 52)
    for row in y:
        for baseline in ("spline", "arpls", "none"):
            result = peaks.fit(x, row, baseline=baseline)
            drawn = peaks.curves(x, row, result.lines, result.settings)
            noise = result.quantities["noise_sigma"]
            chi2 = np.sum((drawn.residual / noise) ** 2) / x.size
            if baseline == "spline":
                assert chi2 == pytest.approx(result.quantities["chi2_reduced"], rel=0.1)
            assert np.sqrt(np.mean(drawn.background**2)) == pytest.approx(
                result.quantities["baseline_rms"], rel=1e-3, abs=1e-12
            )


def test_mask_and_known_sigma() -> None:
    x, y, _ = spectra(1, 53)
    mask = np.ones(x.size, bool)
    mask[100:110] = False
    spoiled = y[0].copy()
    spoiled[~mask] = 1e6
    result = peaks.fit(x, spoiled, mask=mask, sigma=1.0)
    assert result.flags & peaks.Flag.MASKED
    assert not result.flags & peaks.Flag.SIGMA_ESTIMATED
    per_point = peaks.fit(x, spoiled, mask=mask, sigma=np.ones(x.size))
    np.testing.assert_allclose(per_point.lines, result.lines, rtol=1e-9)
    with pytest.raises(UsageError):
        peaks.fit(x, y[0], sigma=np.ones(3))
    with pytest.raises(UsageError):
        peaks.fit(x, y[0][:-1])
    with pytest.raises(UsageError):
        peaks.fit(x, y[0], shape="square")  # type: ignore[arg-type]
