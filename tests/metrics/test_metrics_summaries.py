"""Summaries add up: whichever way the rows were cut, the whole comes out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import UsageError
from spectroflow.metrics import Counts, Grouped, Histogram, Moments, Reliability, merge_json

value = st.one_of(st.floats(-1e6, 1e6, allow_subnormal=False), st.just(math.nan))
values = st.lists(value, max_size=30)
share = st.floats(0, 1)

MAKERS = {
    "moments": Moments.of,
    "histogram": lambda v: Histogram.of(v, low=-100.0, high=100.0, bins=7),
    "counts": lambda v: Counts.of("missing" if math.isnan(x) else "high" if x > 0 else "low" for x in v),
    "grouped": lambda v: Grouped.of(v, [f"m{len(str(x)) % 3}" for x in v]),
    "reliability": lambda v: Reliability.of([abs(math.sin(x)) for x in v], [abs(math.cos(x)) for x in v], bins=5),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def same(one, two):
    """Equal up to rounding, compared as JSON trees."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-4)
    return one == two


@each
@given(a=values, b=values, c=values)
def test_merging_is_associative_commutative_and_gives_the_whole(make, a, b, c):
    one, two, three = make(a), make(b), make(c)
    whole = make(a + b + c).to_json()
    assert same(one.merge(two).merge(three).to_json(), whole)
    assert same(one.merge(two.merge(three)).to_json(), whole)
    assert same(three.merge(one).merge(two).to_json(), whole)


@each
@given(a=values)
def test_json_keeps_everything_and_nothing_merges_to_itself(make, a):
    summary = make(a)
    text = json.dumps(summary.to_json(), allow_nan=False)
    assert type(summary).from_json(json.loads(text)) == summary
    assert same(summary.merge(make([])).to_json(), summary.to_json())


@given(a=values.filter(lambda v: sum(not math.isnan(x) for x in v) > 1))
def test_moments_against_numpy(a):
    summary, kept = Moments.of(a), np.array([x for x in a if not math.isnan(x)])
    assert (summary.n, summary.missing) == (len(kept), len(a) - len(kept))
    assert summary.mean == pytest.approx(kept.mean(), abs=1e-6)
    assert summary.std == pytest.approx(kept.std(ddof=1), rel=1e-6, abs=1e-6)
    assert (summary.low, summary.high) == (kept.min(), kept.max())


def test_moments_far_from_zero_keep_their_spread():
    rng = np.random.default_rng(0)
    data = 1e9 + rng.standard_normal(10_000)
    merged = Moments()
    for part in np.array_split(data, 97):
        merged = merged.merge(Moments.of(part))
    assert merged.std == pytest.approx(data.std(ddof=1), rel=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 1), st.integers(1, 40))
def test_quantiles_are_right_to_one_bin(data, q, bins):
    found = Histogram.of(data, low=0.0, high=1.0, bins=bins).quantile(q)
    low, high = (np.quantile(data, q, method=method) for method in ("lower", "higher"))
    assert low - 1 / bins - 1e-9 <= found <= high + 1 / bins + 1e-9


def test_histogram_counts_what_lies_outside():
    histogram = Histogram.of([-5, 0.0, 0.5, 1.0, 7, math.nan], low=0, high=1, bins=2)
    assert (histogram.counts, histogram.below, histogram.above, histogram.missing) == ((1, 2), 1, 1, 1)
    assert histogram.n == 5
    assert histogram.quantile(0.0) == 0.0
    assert histogram.quantile(1.0) == 1.0
    assert math.isnan(Histogram.of([], low=0, high=1, bins=2).quantile(0.5))


def test_bins_must_agree():
    one = Histogram.of([1], low=0, high=1, bins=2)
    with pytest.raises(UsageError, match="bins"):
        one.merge(Histogram.of([1], low=0, high=1, bins=3))
    with pytest.raises(UsageError, match="bins"):
        Reliability.of([1], [1], bins=2).merge(Reliability.of([1], [1], bins=3))
    with pytest.raises(UsageError, match="ascending"):
        Histogram.of([1], low=1, high=1, bins=3)


def test_macro_mean_counts_each_group_once():
    grouped = Grouped.of([1.0, 1.0, 1.0, 0.0, math.nan], ["a", "a", "a", "b", "c"])
    assert grouped.macro_mean == pytest.approx(0.5)
    assert math.isnan(Grouped().macro_mean)


def test_trees_of_summaries_merge_without_knowing_them():
    one = {"raman": {"r": Moments.of([1.0]).to_json(), "codes": Counts.of(["OK"]).to_json()}}
    two = {"raman": {"r": Moments.of([3.0]).to_json()}, "ir": {"r": Moments.of([5.0]).to_json()}}
    merged = merge_json(one, two)
    assert Moments.from_json(merged["raman"]["r"]).mean == 2.0
    assert merged["raman"]["codes"] == one["raman"]["codes"]
    assert merged["ir"] == two["ir"]
    assert merge_json({}, one) == one
