"""Real spectra: every one of the pack is accounted for, and says what it is."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spectroflow
from spectroflow.archive import Archive
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.pipeline import read_pipeline
from spectroflow.jobs.summary import Summary

pytestmark = pytest.mark.real

EXAMPLE = Path(__file__).parents[2] / "examples" / "rruff" / "pipeline.toml"


@pytest.fixture(scope="module")
def converted(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, Archive]:
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA", str(real_data / "rruff"))
        patch.setenv("OUT", str(folder))
        pipeline, options = read_pipeline(str(EXAMPLE), JobOptions())
    summary = convert(
        list(pipeline.sources), pipeline.archive, manifest=pipeline.manifest, options=replace(options, workers=0)
    )
    return summary, spectroflow.open(pipeline.archive)


@pytest.fixture(scope="module")
def manifest(real_data: Path) -> dict[str, dict[str, str]]:
    with (real_data / "rruff" / "manifest.csv").open(newline="") as file:
        return {str(real_data / "rruff" / row["path"]): row for row in csv.DictReader(file)}


def test_all_2356_spectra_are_accounted_for(converted: tuple[Summary, Archive]) -> None:
    summary, opened = converted
    rows = summary.rows
    assert rows.total == 2356 == rows.ok + rows.failed + rows.skipped
    assert {name: sum(table.values()) for name, table in opened.counts.items()} == {
        "raman": 1382,
        "ir": 736,
        "xrd": 238,
    }
    assert summary.details["unclaimed"] == {".cif": 236}
    assert summary.details["warnings"] == []


def test_each_record_is_what_the_manifest_says(
    converted: tuple[Summary, Archive], manifest: dict[str, dict[str, str]]
) -> None:
    records = converted[1].records().to_pylist()
    assert {record["source"] for record in records} == set(manifest)
    for record in records:
        said = manifest[record["source"]]
        assert record["modality"] == said["modality"]
        assert record["sample_id"] == said["rruff_id"]
        assert record["label"] == said["group"]
        if record["status"] == 0:
            assert record["points"] <= int(said["n"])
            assert record["axis_min"] >= float(said["x0"]) - 1e-6
            assert record["axis_max"] <= float(said["x1"]) + 1e-6


def test_the_points_of_a_file_are_stored_as_they_are(converted: tuple[Summary, Archive]) -> None:
    checked = 0
    for spectrum in converted[1].spectra('label == "Quartz"'):
        lines = [line for line in Path(spectrum.record["source"]).read_text(errors="replace").splitlines() if line]
        points = np.array([line.split(",") for line in lines if not line.startswith("##") and "," in line], float)
        points = points[np.argsort(points[:, 0], kind="stable")]
        kept = np.isfinite(spectrum.intensity)
        assert np.array_equal(spectrum.axis, np.unique(points[:, 0]))
        where = np.searchsorted(points[:, 0], spectrum.axis[kept])
        assert np.array_equal(spectrum.intensity[kept], points[where, 1].astype(np.float32))
        checked += 1
    assert checked > 3
