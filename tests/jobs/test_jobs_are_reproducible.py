"""Law 3: what a job writes depends on its input, configuration and code alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from spectroflow.config import load
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.plan import load_plan
from spectroflow.engine.ray_cluster import connect
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.evaluate import evaluate
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate
from spectroflow.jobs.train import train
from spectroflow.jobs.transfer import transfer
from spectroflow.storage import Location

Digests = Callable[[Path], dict[str, str]]


SETTINGS = (
    "archive.shard_rows=4",
    "archive.chunk_rows=2",
    "simulate.materials=9",
    "simulate.samples=2",
    "train.folds=3",
    "train.epochs=2",
    "train.hidden=16",
    "train.latent=4",
    "evaluate.bootstrap=20",
)
PAIR = ("raman", "xrd")


def _options(*settings: str, workers: int = 0) -> JobOptions:
    return JobOptions(config=load(None, [*SETTINGS, *settings]), workers=workers, modalities=PAIR)


@dataclass(frozen=True)
class Way:
    """Runs every job over units, always in the same folder, since generated segments name their input."""

    files: Path
    model: Path
    place: Path

    def digests(self, digests: Digests, options: JobOptions) -> dict[str, str]:
        """Simulate, convert, fit, transfer and evaluate anew; return the digest of everything they wrote."""
        shutil.rmtree(self.place, ignore_errors=True)
        simulated, archive, out = (str(self.place / name) for name in ("simulated", "archive", "out"))
        simulate(simulated, form="archive", options=options)
        convert([str(self.files)], archive, manifest=str(self.files / "manifest.csv"), options=options)
        fit(archive, options=options)
        transfer(str(self.model), archive, out, pairs=[PAIR], options=options)
        evaluate(str(self.model), archive, options=options)
        runs = sorted(path.name.split("-")[0] for path in self.place.glob("*/runs/*"))
        assert runs == ["convert", "evaluate", "fit", "simulate", "transfer"]
        folders = (self.place / name for name in ("simulated", "archive", "out"))
        return {f"{folder.name}/{key}": digest for folder in folders for key, digest in digests(folder).items()}


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Files to convert, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("way")
    files = folder / "files"
    simulate(str(files), form="files", options=_options())
    convert([str(files)], str(folder / "learned"), manifest=str(files / "manifest.csv"), options=_options())
    fit(str(folder / "learned"), options=_options())
    train(str(folder / "learned"), str(folder / "model"), options=_options())
    return Way(files, folder / "model", folder / "place")


@pytest.fixture(scope="module")
def expected(way: Way, digests: Digests) -> dict[str, str]:
    """What one process writes in the planned order, a shard at a time."""
    found = way.digests(digests, _options("engine.unit_shards=1"))
    kinds = {"intensity", "axis", "status", "records", "lines", "fit", "uncertainty", "confidence", "verdict", "score"}
    assert kinds <= {part for key in found for part in key.split("/")}
    return found


def test_neither_order_nor_the_cut_of_units_shows_in_any_job(
    way: Way, expected: dict[str, str], digests: Digests
) -> None:
    assert way.digests(digests, _options("engine.unit_shards=3", "engine.order='shuffled'")) == expected


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_writes_the_same_bytes_in_every_job(
    way: Way, expected: dict[str, str], digests: Digests, workers: int
) -> None:
    ray = pytest.importorskip("ray")
    connect(5)
    try:
        shuffled = _options("engine.unit_shards=1", "engine.order='shuffled'", workers=workers)
        assert way.digests(digests, shuffled) == expected
    finally:
        ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
def test_a_model_is_the_same_from_one_process_and_from_two_workers(way: Way, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    connect(3)
    try:
        train(str(way.model.parent / "learned"), str(tmp_path / "model"), options=_options(workers=2))
    finally:
        ray.shutdown()
    assert json.loads((tmp_path / "model" / "card.json").read_text())["cost"]["workers"] == 2
    weights = "model.safetensors"
    assert (tmp_path / "model" / weights).read_bytes() == (way.model / weights).read_bytes()


@pytest.mark.ray
def test_three_workers_and_none_write_the_same_bytes(
    tmp_path: Path, simulated: Path, inline: JobOptions, digests: Digests
) -> None:
    expected = digests(simulated)
    assert len(expected) > 30
    options = replace(inline, workers=3)
    simulate(str(tmp_path), form="archive", options=options)
    fit(str(tmp_path), options=options)
    assert digests(tmp_path) == expected


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
