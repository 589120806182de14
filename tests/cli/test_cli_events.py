"""One stream of events, seen from outside: the log of a command, and status from another process meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectroflow.engine import read_events
from spectroflow.engine.events import Event, Progress, RunFinished, RunStarted, UnitDone, WorkerStarted
from spectroflow.storage import Location

SETTINGS = ("archive.shard_rows=2", "archive.chunk_rows=2", "simulate.materials=10", "simulate.samples=2")


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "spectroflow_cli", *words]


def _status(path: Path) -> dict[str, Any]:
    """Ask another process how a run is."""
    done = subprocess.run(_command("status", str(path), "--json"), capture_output=True, check=True, timeout=60)
    told: dict[str, Any] = json.loads(done.stdout)["runs"][0]
    return told


@pytest.mark.ray
def test_log_and_status_tell_of_a_run_while_it_goes_on_and_after_it(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    archive = tmp_path / "archive"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ("simulate", str(archive), "--format", "archive", "--log-format", "json", "--json", "--workers", "1")
    seen: list[dict[str, Any]] = []
    heard: list[Event] = []
    with subprocess.Popen(
        _command(*words, *settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as child:
        assert child.stderr is not None
        assert child.stdout is not None
        for line in child.stderr:
            event = Event.from_json(line)
            assert event is not None, line
            heard.append(event)
            if isinstance(event, UnitDone) and not seen:
                # The pipe holds the driver back no more than a terminal would; it goes on while we ask.
                seen.append(_status(archive))
        result = json.loads(child.stdout.read())
    assert child.returncode == 0
    run = archive / "runs" / result["run"]
    assert seen[0]["run"] == result["run"]
    assert 1 <= seen[0]["units_done"] <= seen[0]["units"]
    after = _status(run)
    assert after["state"] == "committed"
    assert after["rows"] == result["rows"]
    assert after["told"]["event"] == "run_finished"
    kinds = [type(event) for event in heard]
    assert kinds[0] is RunStarted
    assert kinds[-1] is RunFinished
    assert WorkerStarted in kinds
    assert kinds.count(UnitDone) == after["units"]
    assert sum(event.rows for event in heard if isinstance(event, UnitDone)) == result["rows"]["total"]
    last = [event for event in heard if isinstance(event, Progress)][-1]
    assert (last.rows_done, last.units_done) == (result["rows"]["total"], after["units"])
    unlogged = {"unit_started"}
    logged = list(read_events(Location.parse(run)))
    assert logged == [event for event in heard if event.name() not in unlogged]
