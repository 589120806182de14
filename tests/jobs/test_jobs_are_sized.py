"""What a job's plan says of its units and its cost, before it runs and when it is resumed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from spectroflow.config import load
from spectroflow.engine import load_plan, run_folder
from spectroflow.engine.events import Event, MemoryAbovePlan
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate
from spectroflow.storage import Location

SETTINGS = ("archive.shard_rows=2", "archive.chunk_rows=2", "simulate.materials=24", "simulate.samples=4")


@pytest.fixture(scope="module")
def spectra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spectra, two to a shard, so that units of many shards are possible."""
    folder = tmp_path_factory.mktemp("sized") / "archive"
    simulate(str(folder), form="archive", options=options(modalities=("raman", "xrd")))
    return folder


def options(*settings: str, **changes: object) -> JobOptions:
    config = load(None, [*SETTINGS, "fit.effort='fast'", *settings])
    return replace(JobOptions(config=config, workers=0), **changes)  # type: ignore[arg-type]


def test_units_follow_from_a_measurement_and_a_run_keeps_them(spectra: Path, tmp_path: Path) -> None:
    archive = shutil.copytree(spectra, tmp_path / "archive")
    few_inline = "engine.inline_rows=4"
    planned = fit(str(archive), options=options(few_inline, dry_run=True))
    assert "records of this input" in planned.details["estimated_from"]
    assert planned.details["estimated_work_seconds"] > 0
    assert planned.details["unit_shards"] > 1, "a row takes milliseconds, so that a unit is more than two rows"
    assert not list((archive / "runs").glob("fit-*")), "a dry run writes nothing"
    done = fit(str(archive), options=options("engine.unit_shards=3"))
    root = Location.parse(archive)
    saved = load_plan(run_folder(root, done.run))
    assert (saved.unit_shards, done.run) == (3, planned.run), "how units are cut is not part of a run's name"
    assert saved.estimate.seconds_from == "typical of this job"
    assert saved.estimate.bytes == planned.details["estimated_bytes"] > 0
    assert saved.estimate.memory_bytes > 0
    newest = max((archive / "versions").iterdir())
    newest.unlink()
    again = fit(str(archive), options=options(few_inline))
    assert (again.run, again.details["resumed_units"]) == (done.run, done.details["units"])
    assert load_plan(run_folder(root, done.run)) == saved


def test_an_earlier_run_of_the_same_configuration_is_believed(spectra: Path, tmp_path: Path) -> None:
    archive = shutil.copytree(spectra, tmp_path / "archive")
    first = fit(str(archive), options=options(modalities=("raman",)))
    planned = fit(str(archive), options=options(dry_run=True, modalities=("xrd",)))
    assert planned.details["estimated_from"] == f"what the run {first.run} took"
    other = fit(str(archive), options=options("fit.detection_sigma=9", dry_run=True, modalities=("xrd",)))
    assert other.details["estimated_from"] == "typical of this job"


def test_a_conversion_is_sized_by_reading_some_of_its_files(tmp_path: Path) -> None:
    files, archive = tmp_path / "files", tmp_path / "archive"
    simulate(str(files), form="files", options=options("simulate.samples=6", modalities=("raman",)))
    planned = convert([str(files)], str(archive), options=options("engine.inline_rows=4", dry_run=True))
    assert "records of this input" in planned.details["estimated_from"]
    assert not archive.exists()
    done = convert([str(files)], str(archive), options=options("engine.inline_rows=4"))
    assert done.run == planned.run
    assert done.details["units"] < -(-done.rows.total // 2), "units have more than one shard of two rows"


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_takes_the_memory_that_was_planned_for_it(tmp_path: Path) -> None:
    """Law 6, on shards of the size that archives have by default."""
    ray = pytest.importorskip("ray")
    heard: list[Event] = []
    config = load(None, ["simulate.materials=500", "simulate.samples=3", "fit.effort='fast'"])
    job = JobOptions(config=config, workers=1, modalities=("raman",), listener=heard.append)
    try:
        for command in (partial(simulate, form="archive"), fit):
            planned = command(str(tmp_path), options=replace(job, dry_run=True)).details
            done = command(str(tmp_path), options=job).details
            peak, estimate = done["worker_memory_bytes"], planned["estimated_worker_memory_bytes"]
            assert estimate / 5 < peak <= 1.1 * estimate
    finally:
        ray.shutdown()
    assert not [event for event in heard if isinstance(event, MemoryAbovePlan)]
