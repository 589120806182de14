"""From files to a report on a small simulated archive, in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

import spectroflow
from spectroflow.archive import latest_version
from spectroflow.config import load
from spectroflow.errors import ModelError, UsageError
from spectroflow.jobs import JobOptions
from spectroflow.jobs.demo import demo
from spectroflow.jobs.evaluate import evaluate
from spectroflow.jobs.fit import fit
from spectroflow.jobs.pipeline import run_pipeline
from spectroflow.jobs.report import write_report
from spectroflow.jobs.train import train
from spectroflow.jobs.transfer import transfer
from spectroflow.storage import Location

SETTINGS = (
    "simulate.materials=12",
    "simulate.samples=2",
    "train.folds=3",
    "train.epochs=4",
    "train.hidden=32",
    "train.latent=8",
    "train.metric_steps=3",
    "archive.shard_rows=16",
    "archive.chunk_rows=8",
    "evaluate.bootstrap=50",
)


@pytest.fixture(scope="module")
def options() -> JobOptions:
    return JobOptions(config=load(None, SETTINGS), workers=0)


@pytest.fixture(scope="module")
def went(tmp_path_factory: pytest.TempPathFactory, options: JobOptions) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "demo"
    summary = demo(str(folder), options=options)
    assert summary.exit_code == 0
    assert summary.rows.total == summary.rows.ok + summary.rows.failed + summary.rows.skipped
    return folder


def test_every_spectrum_has_lines_and_every_direction_figures(went: Path) -> None:
    opened = spectroflow.open(str(went / "archive"))
    assert opened.modalities == ["ir", "raman", "xrd"]
    for entry in opened.segments():
        if entry.modality != "unknown":
            layer = opened.lines_layer(entry.id)
            assert layer is not None
            assert np.array_equal(opened.layer_array(layer, "status") == 0, opened.array(entry.id, "status") == 0)
    told = json.loads((went / "model" / "evaluation.json").read_text())["protocols"]["species"]
    assert len(told["directions"]) == 6
    for figures in told["directions"].values():
        assert figures["materials"] == 12
        for predictor in ("model", "mean", "nearest", "soft", "ridge", "oracle", "replicate"):
            assert -1 <= figures["predictors"][predictor]["r"]["mean"] <= 1


def test_generated_spectra_say_that_they_are(went: Path) -> None:
    opened = spectroflow.open(str(went / "generated"))
    measured = spectroflow.open(str(went / "archive"))
    assert len(opened.segments()) == 6
    for entry in opened.segments():
        assert entry.origin == "generated"
        group = zarr.open_group(str(went / "generated" / "segments" / entry.id / "spectra.zarr"), mode="r")
        assert group.attrs["origin"] == "generated"
        assert entry.source_segment is not None
        source = measured.version.segment(entry.source_segment)
        assert (entry.rows, entry.shard_rows) == (source.rows, source.shard_rows)
        ok = opened.array(entry.id, "status") == 0
        confidence, verdict = opened.array(entry.id, "confidence")[ok], opened.array(entry.id, "verdict")[ok]
        assert ok.any()
        assert ((confidence >= 0) & (confidence <= 1)).all()
        assert set(np.unique(verdict)) <= {0, 1, 2}
        for name in ("intensity", "uncertainty"):
            assert np.isfinite(opened.array(entry.id, name)[ok]).all()


def test_the_page_stands_alone(went: Path) -> None:
    page = (went / "report.html").read_text()
    assert "<script" in page
    assert 'src="http' not in page
    assert "generated" in page
    assert "nearest neighbour" in page


def test_running_it_again_does_nothing(went: Path, options: JobOptions) -> None:
    before = {name: latest_version(Location.parse(went / name)).number for name in ("archive", "generated")}
    again = run_pipeline(str(went / "pipeline.toml"), options=options)
    steps = again.details["steps"]
    assert {name: step["status"] for name, step in steps.items() if name != "report"} == dict.fromkeys(
        ("convert", "fit", "train", "transfer", "evaluate"), "nothing to do"
    )
    assert {name: latest_version(Location.parse(went / name)).number for name in before} == before


def test_other_protocols_train_what_they_need_once_and_stand_beside_the_first(went: Path, options: JobOptions) -> None:
    model, archive = str(went / "one-way"), str(went / "archive")
    train(archive, model, pairs=[("raman", "ir")], options=options)
    evaluate(model, archive, options=options)
    planned = evaluate(model, archive, protocol="paper", options=replace(options, dry_run=True))
    assert planned.status == "dry run"
    assert "would train" in planned.lines[0]
    assert not (went / "one-way" / "protocols").exists()
    summary = evaluate(model, archive, protocol="sample", options=options)
    assert summary.details["protocol"] == "sample"
    kept = json.loads((went / "one-way" / "protocols" / "sample" / "config.json").read_text())
    assert kept["train"]["split"] == "sample"
    told = json.loads((went / "one-way" / "evaluation.json").read_text())["protocols"]
    assert list(told) == ["species", "sample"]
    found = told["sample"]["directions"]["raman to ir"]
    assert 0 < found["spectra"] < found["spectra"] + found["left_out"]
    assert found["sample_seen"] == 0
    assert {"elements/model", "elements/composition"} <= set(found["predictors"])
    named = told["sample"]["experiments"]["classification"]["raman to ir"]
    assert all(0 <= named[kind]["mean"] <= 1 for kind in ("measured", "generated", "retrieved", "input"))
    again = evaluate(model, archive, protocol="sample", options=options)
    assert again.status == "nothing to do"
    assert again.details["directions"]["raman to ir"]["predictors"] == found["predictors"]
    write_report(model, str(went / "both.html"), options=options)
    page = (went / "both.html").read_text()
    for text in ("New samples of materials it knows", "Naming the material", "Against the best baseline", "oracle"):
        assert text in page
    with pytest.raises(UsageError, match="no protocol 'strict'"):
        evaluate(model, archive, protocol="strict", options=options)


def test_a_generated_archive_is_judged_by_a_reference(went: Path, options: JobOptions) -> None:
    summary = evaluate(str(went / "generated"), reference=str(went / "archive"), options=options)
    assert len(summary.details["segments"]) == 6
    for figures in summary.details["segments"].values():
        assert figures["materials"] == 12


def test_a_model_for_other_directions_or_grids_is_refused(went: Path, options: JobOptions, tmp_path: Path) -> None:
    model, archive = str(went / "model"), str(went / "archive")
    with pytest.raises(ModelError, match=r"was trained for ir to raman"):
        transfer(model, archive, str(tmp_path / "out"), pairs=[("raman", "raman")], options=options)
    other = replace(options, config=load(None, [*SETTINGS, "modality.raman.grid={start=200.0, stop=1200.0, step=2.0}"]))
    with pytest.raises(ModelError, match="grid"):
        transfer(model, archive, str(tmp_path / "out"), pairs=[("raman", "ir")], options=other)
    with pytest.raises(ModelError, match="there is no model"):
        transfer(archive, archive, str(tmp_path / "out"), pairs=[], options=options)
    assert not (tmp_path / "out").exists()


def test_a_filter_leaves_the_other_rows_out(went: Path, options: JobOptions, tmp_path: Path) -> None:
    opened = spectroflow.open(str(went / "archive"))
    label = opened.records("status == 0", modality="raman")["label"][0].as_py()
    chosen = replace(options, where=f"label == {label!r}")
    summary = transfer(
        str(went / "model"), str(went / "archive"), str(tmp_path / "out"), pairs=[("raman", "ir")], options=chosen
    )
    assert summary.rows.ok == opened.records(f"status == 0 and label == {label!r}", modality="raman").num_rows > 0
    usable = opened.records("status == 0", modality="raman").num_rows
    assert summary.details["codes"]["NOT_SELECTED"] == usable - summary.rows.ok
    with pytest.raises(UsageError, match="cannot be limited"):
        fit(str(went / "archive"), options=chosen)
