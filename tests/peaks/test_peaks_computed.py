"""Spectra that were computed have no noise; what a fit finds in them is what was put in, but for a few lines."""

from __future__ import annotations

import numpy as np

from spectroflow import peaks
from spectroflow.peaks import Flag

X = np.linspace(100.0, 1300.0, 1024)


def computed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines of one spectrum, centre, height, width and shape, and the spectrum."""
    count = int(rng.integers(2, 7))
    lines = np.column_stack(
        (
            rng.uniform(200.0, 1200.0, count),
            rng.uniform(5.0, 60.0, count),
            rng.uniform(6.0, 25.0, count),
            rng.uniform(0.0, 1.0, count),
        )
    )
    return lines, 40.0 + peaks.render(X, lines)


def test_four_lines_of_five_are_found_and_few_others() -> None:
    rng = np.random.default_rng(1)
    right, total, others = 0, 0, 0
    for _ in range(60):
        truth, spectrum = computed(rng)
        fit = peaks.fit(X, spectrum)
        assert fit.flags & Flag.NO_NOISE
        nearest = np.argmin(np.abs(fit.lines[:, 0] - truth[:, :1]), axis=1)
        found = fit.lines[nearest, :3] / truth[:, :3]
        right += int(np.sum(np.all(np.abs(found - 1.0) < [0.001, 0.05, 0.05], axis=1)))
        total += len(truth)
        others += len(fit.lines) - len(truth)
    assert right > 0.8 * total
    assert others < 2 * 60


def test_a_line_of_half_a_percent_is_found_beside_strong_ones() -> None:
    truth = np.array([[300.0, 100.0, 12.0, 0.5], [800.0, 60.0, 15.0, 0.3], [1050.0, 0.5, 14.0, 0.5]])
    fit = peaks.fit(X, 40.0 + peaks.render(X, truth))
    assert len(fit.lines) == 3
    np.testing.assert_allclose(fit.lines[:, 0], truth[:, 0], atol=0.5)
    np.testing.assert_allclose(fit.lines[:, 1], truth[:, 1], rtol=0.1)
