from __future__ import annotations

import json

import pytest
from engine_work import Numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.engine import EventLog, ExecuteOptions, Resources, execute, read_events, run_folder
from spectroflow.engine.event_log import last_event, last_progress
from spectroflow.engine.events import Event, MemoryAbovePlan, Progress, UnitDone, UnitRetried, UnitStarted, WorkerLost
from spectroflow.engine.progress import ProgressMeter
from spectroflow.storage import Location


def done(rows: int = 10, failed: int = 0, memory: int = 0) -> UnitDone:
    return UnitDone(unit="g-0", attempt=1, rows=rows, failed=failed, skipped=1, seconds=0.1, bytes=5, memory=memory)


@settings(deadline=None)
@given(st.text(), st.integers(1, 9))
def test_events_survive_the_log(text, attempt):
    event = UnitRetried(unit="g-000001", attempt=attempt, reason="error", detail=text)
    assert Event.from_json(json.dumps(event.to_json())) == event


def test_lines_that_are_not_events_are_left_out():
    for line in ("", "{", "[]", '"x"', "null", '{"event": "party"}', '{"event": "unit_done", "unit": 1}'):
        assert Event.from_json(line) is None


@pytest.mark.parametrize("where", ["file", "memory"])
def test_a_log_goes_on_where_a_killed_driver_left_it(tmp_path, where):
    run_dir = Location.parse(tmp_path / "run" if where == "file" else "memory://log/run")
    with EventLog(run_dir) as log:
        log(done(1))
        log(UnitStarted(unit="x", attempt=1, rows=3))
    if where == "file":
        with open((run_dir / "events.jsonl").path, "a") as file:
            file.write('{"event":"unit_done","ti')
    with EventLog(run_dir) as log:
        log(done(2))
    assert [event.rows for event in read_events(run_dir)] == [1, 2]


def progress(count: int) -> Progress:
    return Progress(
        units_done=count,
        units=9,
        rows_done=1,
        rows=1,
        failed=0,
        skipped=0,
        workers=1,
        rows_per_second=None,
        eta_seconds=None,
        running=[],
    )


@pytest.mark.parametrize("where", ["file", "memory"])
def test_the_last_progress_is_found_without_reading_the_whole_log(tmp_path, where):
    run_dir = Location.parse(tmp_path / "run" if where == "file" else "memory://log2/run")
    assert last_progress(run_dir) is None
    with EventLog(run_dir) as log:
        for count in range(2000):
            log(progress(count))
        log(done())
    found = last_progress(run_dir)
    assert found is not None
    assert found.units_done == 1999
    assert isinstance(last_event(run_dir, Progress, UnitDone), UnitDone)
    assert last_event(run_dir, WorkerLost) is None


def test_progress_counts_and_estimates_from_recent_work():
    heard: list[Event] = []
    now = [0.0]
    meter = ProgressMeter(
        heard.append, units=10, rows=100, units_done=2, rows_done=20, every=1.0, window=5.0, clock=lambda: now[0]
    )
    meter.tick(2, lambda: ["g-1"])
    assert heard == []
    for _ in range(6):
        now[0] += 1.0
        meter(done(10, failed=2))
        meter.tick(2, lambda: ["g-1"])
    last = heard[-1]
    assert isinstance(last, Progress)
    assert (last.units_done, last.rows_done, last.failed, last.skipped, last.workers) == (8, 80, 12, 6, 2)
    assert last.rows_per_second == pytest.approx(10)
    assert last.eta_seconds == pytest.approx(2)
    assert last.running == ["g-1"]


def test_memory_above_the_plan_is_told_once():
    heard: list[Event] = []
    meter = ProgressMeter(heard.append, units=9, rows=9, units_done=0, rows_done=0, planned_memory=100)
    for memory in (90, 109, 111, 120):
        meter(done(memory=memory))
    assert [event.memory for event in heard if isinstance(event, MemoryAbovePlan)] == [111]
    assert meter.memory == 120


def test_a_run_says_what_its_workers_took(tmp_path):
    root = Location.parse(tmp_path)
    numbers = Numbers(24, resources=Resources(memory_bytes=1 << 20))
    heard: list[Event] = []
    options = ExecuteOptions(workers=0)
    result = execute(
        numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), listener=heard.append
    )
    assert result.worker_memory > 20 << 20
    assert [event.planned for event in heard if isinstance(event, MemoryAbovePlan)] == [1 << 20]
    assert last_progress(run_folder(root, result.run)).units_done == 3


def test_names_of_events_are_stable():
    assert WorkerLost.name() == "worker_lost"
    own = {name for name, kind in Event.kinds.items() if kind.__module__.startswith("spectroflow.engine")}
    assert own == {
        "finalize_started",
        "memory_above_plan",
        "progress",
        "row_condemned",
        "run_finished",
        "run_started",
        "run_stopped",
        "unit_done",
        "unit_failed",
        "unit_retried",
        "unit_searched",
        "unit_started",
        "worker_lost",
        "worker_released",
        "worker_started",
    }
