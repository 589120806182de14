"""Whatever is wrong with a spectrum becomes a flag, soon, and never an exception."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.synthetic_lines import spectra
from spectroflow import peaks
from spectroflow.peaks import FIT_QUANTITIES, LINE_PARAMETERS, Flag
from spectroflow.status import FAILED

N = 1024
X = np.linspace(100.0, 1300.0, N)
RNG = np.random.default_rng(7)
NOISE = RNG.normal(size=N)
CLEAN = 40.0 + peaks.render(X, [[300.0, 60.0, 12.0, 0.5], [700.0, 30.0, 20.0, 0.8], [715.0, 25.0, 9.0, 0.2]])
GOOD = CLEAN + NOISE


def where(condition, value, otherwise=GOOD):
    return np.where(condition, value, otherwise)


BROKEN = {
    "all NaN": (X, np.full(N, np.nan)),
    "some NaN": (X, where(np.arange(N) % 7 == 0, np.nan)),
    "a hole of NaN": (X, where((X > 690) & (X < 705), np.nan)),
    "all infinite": (X, np.full(N, np.inf)),
    "some infinite": (X, where(np.arange(N) % 97 == 0, -np.inf)),
    "empty": (X[:0], GOOD[:0]),
    "one point": (X[:1], GOOD[:1]),
    "two points": (X[:2], GOOD[:2]),
    "seven points": (X[:7], GOOD[:7]),
    "constant": (X, np.full(N, 3.0)),
    "zero": (X, np.zeros(N)),
    "negative": (X, GOOD - 1e4),
    "upside down": (X, -GOOD),
    "saturated": (X, np.minimum(GOOD, 75.0)),
    "one huge spike": (X, where(np.arange(N) == 500, 1e9)),
    "step": (X, np.where(X > 600, 1e4, 0.0) + NOISE),
    "tiny scale": (X, GOOD * 1e-30),
    "huge scale": (X, GOOD * 1e30),
    "descending axis": (X[::-1], GOOD[::-1]),
    "repeated axis": (np.repeat(X[::2], 2), GOOD),
    "constant axis": (np.full(N, 5.0), GOOD),
    "shuffled axis": (X[RNG.permutation(N)], GOOD),
    "NaN in the axis": (where(np.arange(N) % 50 == 0, np.nan, X), GOOD),
    "no noise": (X, CLEAN),
    "whole numbers, few": (X, np.round(GOOD / 20)),
    "zeros at both ends": (X, where((X < 200) | (X > 1200), 0.0)),
    "alternating": (X, np.where(np.arange(N) % 2 == 0, 1.0, -1.0)),
    "a ramp": (X, X.copy()),
}
CANNOT = {"all NaN", "all infinite", "empty", "one point", "two points", "seven points", "constant axis"}
#: Nothing is wrong with these beyond their scale or sign, so that no flag need say so.
HARMLESS = {"negative", "upside down", "tiny scale", "huge scale", "step", "one huge spike", "whole numbers, few"}
REPAIRED = Flag.AXIS_REPAIRED | Flag.MASKED | Flag.SATURATED | Flag.NO_PEAKS | Flag.NO_NOISE | Flag.TOO_SHORT


def check(lines: np.ndarray, quantities: dict[str, float]) -> None:
    spectrum = Flag(int(quantities["flags"]))
    kept = int(quantities["lines"])
    assert np.all(np.isnan(lines[kept:]))
    for row in lines[:kept]:
        line = dict(zip(LINE_PARAMETERS, row, strict=True))
        assert np.all(np.isfinite([line[k] for k in ("center", "height", "fwhm", "shape", "area")])), line
        assert line["height"] >= 0
        assert 0 <= line["shape"] <= 1
        if not all(np.isfinite(line[k]) for k in LINE_PARAMETERS if k.endswith("_sigma")):
            assert Flag(int(line["flags"])) & (Flag.SINGULAR_COV | Flag.AT_BOUND)
    if kept == 0:
        assert spectrum & Flag.NO_PEAKS
    if not np.isfinite(quantities["chi2_reduced"]):
        assert spectrum & Flag.TOO_SHORT


@pytest.mark.parametrize("name", BROKEN)
def test_flags_and_no_exception(name: str) -> None:
    x, y = BROKEN[name]
    result = peaks.fit(x, y)
    check(result.lines, result.quantities)
    if name not in HARMLESS:
        assert result.flags & (REPAIRED | Flag.CORRELATED), result.flags
    if name in CANNOT:
        assert result.flags & Flag.TOO_SHORT
        assert len(result.lines) == 0


def test_batch_says_which_rows_cannot_be_fitted() -> None:
    axis = np.full((len(BROKEN), N), np.nan)
    values = np.full((len(BROKEN), N), np.nan)
    for i, (x, y) in enumerate(BROKEN.values()):
        axis[i, : len(x)], values[i, : len(y)] = x, y
    batch = peaks.fit_batch(axis, values, peaks.FitSettings())
    for i, name in enumerate(BROKEN):
        quantities = dict(zip(FIT_QUANTITIES, batch.fit[i].tolist(), strict=True))
        if name != "huge scale":  # 1e30 squared is beyond float32; its lines are not
            check(batch.lines[i], quantities)
        assert (batch.status[i] != 0) == (name in CANNOT), name
    assert batch.status[list(BROKEN).index("all NaN")] == FAILED["NO_DATA"]
    assert batch.status[list(BROKEN).index("two points")] == FAILED["TOO_FEW_POINTS"]


def test_none_takes_more_than_ten_times_as_long_as_a_good_one() -> None:
    def seconds(x: np.ndarray, y: np.ndarray) -> float:
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            peaks.fit(x, y)
            best = min(best, time.process_time() - start)
        return best

    axis, good, _ = spectra(15, seed=31)
    usual = np.median([seconds(axis, y) for y in good])
    slow = {name: seconds(*BROKEN[name]) / usual for name in BROKEN}
    assert {name: round(t, 1) for name, t in slow.items() if t > 10} == {}


def test_scale_does_not_matter() -> None:
    base = peaks.fit(X, GOOD)
    for scale in (1e-30, 1e-3, 1e30):
        other = peaks.fit(X, GOOD * scale)
        np.testing.assert_allclose(other.lines[:, [0, 2, 3, 5, 7]], base.lines[:, [0, 2, 3, 5, 7]], rtol=1e-6)
        np.testing.assert_allclose(other.lines[:, [1, 4, 6, 9]] / scale, base.lines[:, [1, 4, 6, 9]], rtol=1e-6)


def test_a_turned_axis_does_not_matter() -> None:
    base, turned = peaks.fit(X, GOOD), peaks.fit(X[::-1], GOOD[::-1])
    np.testing.assert_array_equal(base.lines, turned.lines)
    assert turned.flags & Flag.AXIS_REPAIRED


def test_saturated_lines_say_so() -> None:
    result = peaks.fit(X, np.minimum(GOOD, 75.0))
    assert result.flags & Flag.SATURATED
    flags = [Flag(int(f)) for f in result.column("flags")]
    centres = result.column("center")
    assert flags[int(np.argmin(np.abs(centres - 300)))] & Flag.SATURATED
    assert not flags[int(np.argmin(np.abs(centres - 715)))] & Flag.SATURATED
