from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.modality import builtin
from spectroflow.models.features import spectrum_features
from spectroflow.models.preprocess import fill, prepare


@pytest.mark.parametrize("name", ["raman", "ir", "xrd"])
def test_scale_and_slow_background_do_not_matter(name: str) -> None:
    modality = builtin()[name]
    axis = modality.grid.axis()
    part = (axis - axis[0]) / (axis[-1] - axis[0])
    width = 3 * modality.resolution
    line = np.exp(-2.77 * ((axis - axis[0] - 0.4 * (axis[-1] - axis[0])) / width) ** 2)
    valid = np.ones((2, axis.size), bool)
    found = prepare(np.stack([line, 70 * line + 20 + 5 * part]).astype(np.float32), valid, modality)
    assert found.dtype == np.float32
    assert found.max(axis=1) == pytest.approx([1, 1])
    assert np.abs(found[0] - found[1]).max() < 0.05
    offset = prepare(np.stack([line, 70 * line + 20]).astype(np.float32), valid, modality)
    for features in spectrum_features(offset, modality).values():
        assert features[0] @ features[1] > 0.999


def test_nothing_measured_and_nothing_there_are_zeros() -> None:
    modality = builtin()["raman"]
    values = np.full((2, modality.grid.points), 7.0, np.float32)
    valid = np.ones_like(values, bool)
    valid[0] = False
    values[0] = np.nan
    prepared = prepare(values, valid, modality)
    assert not prepared.any()
    assert all(np.isfinite(features).all() for features in spectrum_features(prepared, modality).values())


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_fill_takes_the_nearest_measured_value(mask: list[bool]) -> None:
    valid = np.asarray([mask])
    values = np.arange(len(mask), dtype=np.float64)[None] + 5
    filled = fill(np.where(valid, values, np.nan), valid)[0]
    at = np.flatnonzero(mask)
    for i, value in enumerate(filled):
        nearest = min((abs(int(j) - i) for j in at), default=None)
        assert value == 0 if nearest is None else abs(value - 5 - i) == nearest


def test_what_was_not_measured_stays_zero_and_does_not_matter() -> None:
    modality = builtin()["ir"]
    rng = np.random.default_rng(0)
    values = rng.random((2, modality.grid.points), dtype=np.float32)
    values[1] = values[0]
    valid = np.ones_like(values, bool)
    valid[:, :50] = False
    values[1, :50] = 1e6
    prepared = prepare(values, valid, modality)
    assert not prepared[:, :50].any()
    np.testing.assert_array_equal(prepared[0], prepared[1])
