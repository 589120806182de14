"""Law 3: what a job writes depends on its input, configuration and code alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spectroflow.config import Config, load
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.plan import load_plan
from spectroflow.jobs import JobOptions
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate
from spectroflow.storage import Location

Digests = Callable[[Path], dict[str, str]]


def _make(folder: Path, options: JobOptions) -> Path:
    simulate(str(folder), form="archive", options=options)
    fit(str(folder), options=options)
    return folder


@pytest.mark.ray
def test_one_worker_three_workers_and_none_write_the_same_bytes(
    tmp_path: Path, simulated: Path, inline: JobOptions, digests: Digests
) -> None:
    expected = digests(simulated)
    assert len(expected) > 30
    for workers in (1, 3):
        made = _make(tmp_path / str(workers), replace(inline, workers=workers))
        assert digests(made) == expected


def test_how_units_are_cut_does_not_show(tmp_path: Path, simulated: Path, inline: JobOptions, digests: Digests) -> None:
    config: Config = inline.config.model_copy(update={"engine": load(None, ["engine.unit_shards=3"]).engine})
    made = _make(tmp_path / "cut", replace(inline, config=config))
    assert digests(made) == digests(simulated)


def test_a_run_killed_half_way_and_resumed_writes_the_same_bytes(
    tmp_path: Path, simulated: Path, digests: Digests
) -> None:
    folder = tmp_path / "killed"
    script = textwrap.dedent(
        """
        import os, signal, sys
        from spectroflow.config import load
        from spectroflow.engine.events import UnitDone
        from spectroflow.jobs import JobOptions
        from spectroflow.jobs.fit import fit
        from spectroflow.jobs.simulate import simulate

        folder, kill_after, *settings = sys.argv[1:]
        done = 0

        def listener(event):
            global done
            done += isinstance(event, UnitDone)
            if done == int(kill_after):
                os.kill(os.getpid(), signal.SIGKILL)

        options = JobOptions(config=load(None, settings), workers=0, listener=listener)
        simulate(folder, form="archive", options=options)
        fit(folder, options=options)
        """
    )
    settings = ("archive.shard_rows=8", "archive.chunk_rows=4", "simulate.materials=8", "simulate.samples=2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def attempt(kill_after: int) -> int:
        command = [sys.executable, "-c", script, str(folder), str(kill_after), *settings]
        return subprocess.run(command, env=environment, check=False).returncode

    assert attempt(2) == -signal.SIGKILL
    run = next((folder / "runs").iterdir())
    plan = load_plan(Location.parse(run))
    assert 2 <= len(Ledger(Location.parse(run), plan.fingerprint).names()) < plan.unit_count
    assert not (folder / "versions").exists(), "nothing is part of the archive before it is committed"
    assert attempt(7) == -signal.SIGKILL
    assert attempt(-1) == 0
    assert digests(folder) == digests(simulated)
