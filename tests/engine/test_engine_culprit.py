from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.engine.culprit import Search


def hunt(rows: range, killers: dict[int, str], known: frozenset[int] = frozenset(), limit: int = 1000):
    search = Search(rows, known, limit)
    probes = deaths = 0
    while (asked := search.next()) is not None:
        assert len(asked) > 0
        assert not known & set(asked), "a condemned row was probed again"
        hit = [killers[row] for row in asked if row in killers]
        probes += 1
        deaths += bool(hit)
        search.feed(hit[0] if hit else None)
    return search, probes, deaths


@settings(deadline=None)
@given(st.data())
def test_exactly_the_killing_rows_are_found(data):
    start = data.draw(st.integers(0, 500))
    rows = range(start, start + data.draw(st.integers(1, 200)))
    killers = data.draw(st.dictionaries(st.sampled_from(rows), st.sampled_from(["crashed", "timeout"]), max_size=6))
    known = frozenset(data.draw(st.sets(st.sampled_from(rows), max_size=5)))
    search, _, _ = hunt(rows, killers, known)
    assert set(search.found) == set(killers) - known
    codes = {"crashed": "CRASHED_WORKER", "timeout": "TIMED_OUT"}
    assert search.found == {row: codes[how] for row, how in killers.items() if row not in known}


@settings(deadline=None)
@given(st.integers(1, 1024), st.data())
def test_one_killing_row_costs_at_most_two_probes_a_halving(size, data):
    row = data.draw(st.integers(0, size - 1))
    _, probes, deaths = hunt(range(size), {row: "crashed"})
    halvings = math.ceil(math.log2(size)) if size > 1 else 0
    assert probes <= max(1, 2 * halvings)
    assert deaths <= max(1, halvings)


def test_a_unit_of_nothing_but_killers_is_given_up_after_the_limit():
    search, probes, _ = hunt(range(1024), dict.fromkeys(range(1024), "crashed"), limit=4)
    assert search.exhausted
    assert len(search.found) == 5
    assert probes < 60


def test_rows_that_kill_only_together_condemn_none():
    search = Search(range(8))
    while search.next() is not None:
        search.feed(None)
    assert search.found == {}


def test_nothing_is_left_to_probe_where_all_is_known():
    assert Search(range(3), frozenset(range(3))).next() is None
