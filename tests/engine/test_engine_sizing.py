from __future__ import annotations

import pytest
from engine_work import Numbers

from spectroflow.engine import ExecuteOptions, Group, execute
from spectroflow.engine.sizing import measured_seconds_per_row, seconds_per_row_of_earlier_runs, unit_shards_for
from spectroflow.storage import Location


@pytest.mark.parametrize(
    ("rows", "seconds_per_row", "workers", "shards"),
    [
        (1_000_000, 0.003, 2, 20),  # 60 s of 3 ms rows in shards of 1,000
        (1_000_000, 0.5, 2, 1),  # a shard is longer than a unit should be
        (100_000, 0.0001, 2, 6),  # little work: each worker still gets eight units
        (1_000, 0.0001, 64, 1),
        (1_000_000, None, 2, 1),
        (0, 0.1, 2, 1),
    ],
)
def test_units_are_about_a_minute_of_work(rows, seconds_per_row, workers, shards):
    group = Group(name="g", rows=rows, shard_rows=1000)
    assert unit_shards_for([group], seconds_per_row, workers=workers) == shards


def test_an_earlier_run_tells_how_long_a_row_takes(tmp_path):
    root = Location.parse(tmp_path)
    assert seconds_per_row_of_earlier_runs(root, "numbers") is None
    numbers = Numbers(24, slow=0.08)
    execute(numbers.plan(), numbers, root, options=ExecuteOptions(workers=0), prepare=numbers.prepare(root))
    rate = seconds_per_row_of_earlier_runs(root, "numbers")
    assert rate is not None
    assert 0.01 <= rate < 0.05
    assert seconds_per_row_of_earlier_runs(root, "number") is None


def test_a_row_that_kills_does_not_kill_who_measures():
    unit = next(Numbers(24).plan().units())
    rate = measured_seconds_per_row(Numbers(24), unit, budget=0.5)
    assert rate is not None
    assert 0 < rate < 0.1
    assert measured_seconds_per_row(Numbers(24, misbehave={0: "kill"}), unit, budget=0.5) is None
