"""Progress of a run on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from spectroflow.engine.events import (
    Event,
    Progress,
    RowCondemned,
    RunFinished,
    RunStarted,
    UnitDone,
    UnitStarted,
    WorkerLost,
)
from spectroflow.jobs.train import NetworkProgress
from spectroflow_cli.progress import Bar, PlainLines, describe, duration, json_lines, shown
from spectroflow_cli.request import Request


def progress(done: int) -> Progress:
    return Progress(
        units_done=done // 10,
        units=10,
        rows_done=done,
        rows=100,
        failed=2,
        skipped=1,
        workers=3,
        rows_per_second=12.5,
        eta_seconds=125.0,
        running=[],
    )


def run_of_events(run: str = "fit-1") -> Iterator[Event]:
    yield RunStarted(run=run, job="fit", units=10, rows=100, resumed_units=4, backend="ray")
    for done in range(0, 101, 10):
        yield UnitStarted(unit=f"g-{done}", attempt=1, rows=10)
        yield UnitDone(unit=f"g-{done}", attempt=1, rows=10, failed=0, skipped=0, seconds=1, bytes=10)
        yield progress(done)
    yield WorkerLost(worker="w1", reason="memory", detail="killed")
    yield RowCondemned(unit="g-1", row=17, code="CRASHED_WORKER")
    yield RunFinished(run=run, rows=100, ok=97, failed=2, skipped=1, seconds=80)


def test_plain_lines_tell_what_matters_and_little_else(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter(range(1000))
    show = PlainLines(every=5, clock=lambda: float(next(ticks)))
    for event in run_of_events():
        show(event)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "fit: 100 records in 10 units, 4 of them done before (ray, run fit-1)"
    assert 1 <= sum("records/s" in line for line in lines) <= 4
    assert "  worker w1 was lost (memory): killed" in lines
    assert "  g-1: row 17 is CRASHED_WORKER" in lines
    assert lines[-1] == "  97 ok, 2 failed, 1 skipped in 1 min 20 s"
    assert len(lines) <= 8


def test_json_lines_are_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    events = list(run_of_events())
    for event in events:
        json_lines(event)
    assert [Event.from_json(line) for line in capsys.readouterr().err.splitlines()] == events


def test_the_bar_follows_runs(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    for run in ("fit-1", "fit-2"):
        for event in run_of_events(run):
            bar(event)
    bar.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("97 ok, 2 failed, 1 skipped") >= 2


def test_training_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    bar, lines = Bar(), PlainLines(every=0)
    for epoch in (1, 2):
        event = NetworkProgress(network="raman-fold0", epoch=epoch, epochs=2, figures={"loss": 0.25 / epoch})
        bar(event)
        lines(event)
    bar.close()
    shown = capsys.readouterr().err
    assert "train raman-fold0" in shown
    assert "raman-fold0: epoch 2 of 2, loss 0.125" in shown


@pytest.mark.parametrize(
    ("terminal", "log_format", "kind"),
    [(True, "text", Bar), (False, "text", PlainLines), (True, "json", type(json_lines))],
)
def test_what_is_shown_where(terminal: bool, log_format: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with shown(Request(command="fit", log_format=log_format)) as listener:
        assert isinstance(listener, kind)


def test_an_event_that_nobody_knows_is_not_shown() -> None:
    assert describe({"event": "unheard_of", "time": 0.0}) == ""


def test_json_of_every_event_kind_is_json() -> None:
    for event in run_of_events():
        assert json.loads(json.dumps(event.to_json()))["event"] == event.name()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
