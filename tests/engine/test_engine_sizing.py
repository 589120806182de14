from __future__ import annotations

import pytest
from engine_work import Numbers

from spectroflow.engine import ExecuteOptions, Group, Plan, execute
from spectroflow.engine.plan import Estimate
from spectroflow.engine.sizing import Pace, earlier_pace, measured_pace, sized, unit_shards_for
from spectroflow.storage import Location


@pytest.mark.parametrize(
    ("rows", "seconds_per_row", "workers", "shards"),
    [
        (1_000_000, 0.003, 2, 20),  # 60 s of 3 ms rows in shards of 1,000
        (1_000_000, 0.5, 2, 1),  # a shard is longer than a unit should be
        (1_000_000, 0.001, 2, 20),  # less work: each worker still gets twenty-four units
        (100_000, 0.0001, 2, 10),  # little work: a unit is a second of it
        (10_000, 0.0001, 2, 5),  # very little work: each worker still gets a unit
        (1_000, 0.0001, 64, 1),
        (1_000_000, None, 2, 1),
        (0, 0.1, 2, 1),
    ],
)
def test_units_are_about_a_minute_of_work(rows, seconds_per_row, workers, shards):
    group = Group(name="g", rows=rows, shard_rows=1000)
    assert unit_shards_for([group], seconds_per_row, workers=workers) == shards


def test_a_plan_is_cut_by_its_pace_and_keeps_its_fingerprint():
    plan = Plan.of(job="x", groups=[Group(name="g", rows=1_000_000, shard_rows=1000)], estimate=Estimate(bytes=7))
    cut = sized(plan, Pace(0.003, "a stopwatch"), workers=2)
    assert (cut.run, cut.fingerprint) == (plan.run, plan.fingerprint)
    assert (cut.unit_shards, cut.unit_count) == (20, 50)
    assert cut.estimate == Estimate(units=50, rows=1_000_000, bytes=7, seconds=3000.0, seconds_from="a stopwatch")
    asked = sized(plan, Pace(0.003, "a stopwatch"), workers=2, unit_shards=7)
    assert (asked.unit_shards, asked.estimate.units) == (7, 143)


def test_an_earlier_run_of_the_same_configuration_tells_how_long_a_row_takes(tmp_path):
    root = Location.parse(tmp_path)
    numbers = Numbers(24, slow=0.08)
    plan = numbers.plan(config={"effort": "fast"})
    assert earlier_pace(root, [plan.run], plan.config) is None
    execute(plan, numbers, root, options=ExecuteOptions(workers=0), prepare=numbers.prepare(root))
    pace = earlier_pace(root, ["numbers-of-nobody", plan.run], {"effort": "fast"})
    assert pace is not None
    assert 0.01 <= pace.seconds_per_row < 0.05
    assert plan.run in pace.source
    assert earlier_pace(root, [plan.run], {"effort": "precise"}) is None


def test_a_row_that_kills_does_not_kill_who_measures():
    unit = next(Numbers(24).plan().units())
    pace = measured_pace(Numbers(24), unit, budget=0.5)
    assert pace is not None
    assert 0 < pace.seconds_per_row < 0.1
    assert measured_pace(Numbers(24, misbehave={0: "kill"}), unit, budget=0.5) is None
