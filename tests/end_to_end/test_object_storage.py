"""The same jobs on S3 as on a disk: the same bytes, and readers see whole versions."""

from __future__ import annotations

from pathlib import Path

import pytest

import spectroflow
from spectroflow.config import load
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.maintain import verify
from spectroflow.jobs.simulate import simulate
from spectroflow.storage import Location
from tests.s3 import s3_server

SETTINGS = ("simulate.materials=3", "simulate.samples=2", "archive.shard_rows=4", "archive.chunk_rows=2")


@pytest.fixture(scope="module")
def options() -> JobOptions:
    return JobOptions(config=load(None, SETTINGS), workers=0)


def _objects(root: Location) -> dict[str, bytes]:
    return {
        f"{part}/{info.path}": info.location.read_bytes()
        for part in ("segments", "layers")
        for info in (root / part).walk()
    }


def test_an_archive_in_a_bucket_has_the_bytes_of_one_on_a_disk(tmp_path: Path, options: JobOptions) -> None:
    files = tmp_path / "files"
    simulate(str(files), form="files", options=options)
    manifest = str(files / "manifest.csv")
    with s3_server("laboratory") as bucket:
        for place in (str(tmp_path / "archive"), f"{bucket}/archive"):
            assert convert([str(files)], place, manifest=manifest, options=options).rows.ok == 18
            assert fit(place, options=options).rows.ok == 18
            assert convert([str(files)], place, manifest=manifest, options=options).status == "nothing to do"
        local, remote = Location.parse(tmp_path / "archive"), Location.parse(f"{bucket}/archive")
        assert _objects(local) == _objects(remote)
        assert verify(f"{bucket}/archive", options=options).exit_code == 0
        here, there = (spectroflow.open(str(place)) for place in (local, f"{bucket}/archive"))
        assert here.counts == there.counts


def test_files_in_a_bucket_are_converted(tmp_path: Path, options: JobOptions) -> None:
    with s3_server("incoming") as bucket:
        written = simulate(f"{bucket}/files", form="files", options=options)
        assert written.rows.ok == 18
        manifest = f"{bucket}/files/manifest.csv"
        done = convert([f"{bucket}/files"], str(tmp_path / "archive"), manifest=manifest, options=options)
        assert (done.rows.ok, done.rows.failed) == (18, 0)
        again = convert([f"{bucket}/files"], str(tmp_path / "archive"), manifest=manifest, options=options)
        assert again.status == "nothing to do"
