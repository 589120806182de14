"""Line matching against exhaustive search."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.metrics import match_line_sets, match_lines

centers = st.lists(st.floats(0, 60).map(lambda x: round(x, 1)), max_size=5)


def best_by_trying_everything(found, true, tolerance):
    """The most pairs within the tolerance, and the least total distance for that many."""
    for count in range(min(len(found), len(true)), 0, -1):
        totals = [
            sum(distances)
            for own in combinations(found, count)
            for other in permutations(true, count)
            if max(distances := [abs(a - b) for a, b in zip(own, other, strict=True)]) <= tolerance
        ]
        if totals:
            return count, min(totals)
    return 0, 0.0


@settings(max_examples=150, deadline=None)
@given(centers, centers, st.sampled_from([0.0, 2.0, 8.0]))
def test_as_many_pairs_as_possible_then_the_nearest(found, true, tolerance):
    match = match_lines(found, true, tolerance)
    count, total = best_by_trying_everything(found, true, tolerance)
    assert match.matched == count
    distances = [abs(found[i] - true[j]) for i, j in match.pairs]
    assert all(distance <= tolerance for distance in distances)
    assert len({i for i, _ in match.pairs}) == len({j for _, j in match.pairs}) == count
    assert sum(distances) == pytest.approx(total, abs=1e-9)


def test_figures():
    match = match_lines([100.0, 205.0, 400.0, 900.0], [101.0, 202.0, 500.0], 8.0)
    assert (match.found, match.true, match.matched) == (4, 3, 2)
    assert match.precision == pytest.approx(0.5)
    assert match.recall == pytest.approx(2 / 3)
    assert match.f1 == pytest.approx(4 / 7)
    assert match.position_error == pytest.approx(2.0)


def test_one_found_line_cannot_stand_for_two():
    assert match_lines([100.0], [98.0, 102.0], 8.0).matched == 1
    # The greedy choice (102 to 101) would leave 104 alone.
    assert match_lines([102.0, 104.0], [95.0, 101.0], 8.0).matched == 2


def test_the_tolerance_itself_is_near_enough():
    assert match_lines([8.0], [0.0], 8.0).matched == 1
    assert match_lines([8.0001], [0.0], 8.0).matched == 0


def test_nothing_is_not_zero():
    neither, missed, invented = match_lines([], [], 8), match_lines([], [5.0], 8), match_lines([5.0], [], 8)
    assert np.isnan([neither.precision, neither.recall, neither.f1, missed.precision, invented.recall]).all()
    assert (missed.recall, missed.f1, invented.precision, invented.f1) == (0, 0, 0, 0)


def test_padded_rows():
    found = np.array([[10.0, np.nan, 30.0], [np.nan, np.nan, np.nan]])
    true = np.array([[np.nan, 11.0], [5.0, np.nan]])
    figures = match_line_sets(found, true, 2.0)
    assert figures["precision"][0] == pytest.approx(0.5)
    assert figures["recall"].tolist() == [1.0, 0.0]
    assert figures["position_error"][0] == pytest.approx(1.0)
    assert np.isnan(figures["position_error"][1])
    assert match_lines(found[0], true[0], 2.0).pairs.tolist() == [[0, 1]], "indices are those of the slots"
