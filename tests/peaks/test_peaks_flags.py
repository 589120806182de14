"""Every flag: a spectrum that gets it, and one beside it that does not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from spectroflow import peaks
from spectroflow.peaks import Flag

X = np.arange(600.0)
NOISE = np.random.default_rng(71).normal(size=X.size)
ONE = [[300.0, 60.0, 12.0, 0.5]]
TWO = [[300.0, 60.0, 12.0, 0.5], [308.0, 50.0, 12.0, 0.5]]


def drawn(lines: list[list[float]]) -> np.ndarray:
    return 20.0 + peaks.render(X, lines) + NOISE


def counted() -> np.ndarray:
    return np.random.default_rng(72).poisson(20.0 + peaks.render(X, ONE)).astype(float)


SPECTRUM: dict[Flag, Callable[[], peaks.Fit]] = {
    Flag.NO_PEAKS: lambda: peaks.fit(X, 20.0 + NOISE),
    Flag.MAX_ITER: lambda: peaks.fit(X, 1e3 * np.sin(X / 7.0) + NOISE),
    Flag.MASKED: lambda: peaks.fit(X, np.where(np.abs(X - 100) < 5, np.nan, drawn(ONE))),
    Flag.SIGMA_ESTIMATED: lambda: peaks.fit(X, drawn(ONE)),
    Flag.BAD_CHI2: lambda: peaks.fit(X, np.where(X > 300, 500.0, 0.0) + NOISE),
    Flag.CAP: lambda: peaks.fit(X, drawn([[c, 40.0, 8.0, 0.5] for c in range(50, 600, 50)]), slots=3),
    Flag.NO_NOISE: lambda: peaks.fit(X, np.full(X.size, 3.0)),
    Flag.AXIS_REPAIRED: lambda: peaks.fit(X[::-1], drawn(ONE)),
    Flag.TOO_SHORT: lambda: peaks.fit(X[:4], drawn(ONE)[:4]),
    Flag.COUNTS: lambda: peaks.fit(X, counted()),
    Flag.CORRELATED: lambda: peaks.fit(X, np.convolve(drawn(ONE), np.full(7, 1 / 7), "same")),
    Flag.SATURATED: lambda: peaks.fit(X, np.minimum(drawn(ONE), 60.0)),
}
LINE: dict[Flag, Callable[[], np.ndarray]] = {
    Flag.AT_BOUND: lambda: peaks.refine(X, drawn(ONE) - 20.0, ONE, bounds=([[290, 0, 5, 0]], [[299, 99, 20, 1]])).lines,
    Flag.SINGULAR_COV: lambda: peaks.refine(X, drawn(ONE) - 20.0, [[300, 30, 12, 0.5], [300, 30, 12, 0.5]]).lines,
    Flag.BLENDED: lambda: peaks.fit(X, drawn(TWO)).lines,
    Flag.SATURATED: lambda: peaks.fit(X, np.minimum(drawn(ONE), 60.0)).lines,
    Flag.EDGE: lambda: peaks.fit(X, drawn([[6.0, 80.0, 12.0, 0.5]])).lines,
}


def of_lines(lines: np.ndarray) -> Flag:
    return Flag(int(np.bitwise_or.reduce(lines[:, -1].astype(int))))


@pytest.mark.parametrize("flag", SPECTRUM, ids=lambda flag: flag.name)
def test_flags_of_a_spectrum(flag: Flag) -> None:
    assert flag in SPECTRUM[flag]().flags
    if flag is not Flag.SIGMA_ESTIMATED:
        assert flag not in peaks.fit(X, drawn(ONE)).flags
    else:
        assert flag not in peaks.fit(X, drawn(ONE), sigma=1.0).flags


@pytest.mark.parametrize("flag", LINE, ids=lambda flag: flag.name)
def test_flags_of_a_line(flag: Flag) -> None:
    assert flag in of_lines(LINE[flag]())
    assert flag not in of_lines(peaks.fit(X, drawn(ONE)).lines)


def test_no_flag_is_left_out() -> None:
    assert set(SPECTRUM) | set(LINE) == set(Flag)


def test_a_line_without_uncertainty_says_so_and_has_none() -> None:
    lines = LINE[Flag.SINGULAR_COV]()
    assert np.all(np.isnan(lines[:, 5:10]))
    assert np.all(np.isfinite(lines[:, :5]))


def test_names_stay_what_they_are_after_a_fit() -> None:
    peaks.fit(X, drawn(ONE))
    assert not [name for name in peaks.__all__ if isinstance(getattr(peaks, name), ModuleType)]
