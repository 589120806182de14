"""Conversion says why: what it refuses, what it finds nothing in, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import spectroflow
from spectroflow.archive import latest_version
from spectroflow.config import load
from spectroflow.errors import InvalidInput, UsageError
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.inspection import status
from spectroflow.jobs.retry import retry
from spectroflow.storage import Location


def test_a_dry_run_writes_nothing(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    summary = convert(
        [str(files)],
        str(tmp_path / "archive"),
        manifest=str(files / "manifest.csv"),
        options=replace(inline, dry_run=True),
    ).to_json()
    assert summary["status"] == "dry run"
    assert summary["rows"] == {"total": 29, "ok": 0, "failed": 0, "skipped": 0}
    assert not (tmp_path / "archive").exists()


def test_wrong_arguments_are_named(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    with pytest.raises(UsageError, match="nothing to convert"):
        convert([], str(tmp_path / "archive"), options=inline)
    with pytest.raises(InvalidInput, match="nowhere"):
        convert([str(tmp_path / "nowhere")], str(tmp_path / "archive"), options=inline)
    with pytest.raises(InvalidInput):
        convert([str(files)], str(tmp_path / "archive"), manifest=str(tmp_path / "no.csv"), options=inline)
    assert not (tmp_path / "archive").exists()


def test_a_spectrum_longer_than_there_is_room_for_says_how_to_make_room(tmp_path: Path, inline: JobOptions) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "long_raman.xy").write_text("".join(f"{100 + i / 100} {i % 50 + 1}\n" for i in range(9000)))
    convert([str(folder)], str(tmp_path / "a"), options=inline)
    (failure,) = status(str(tmp_path / "a")).details["failures"]
    assert failure["code"] == "TOO_LONG"
    assert "modality.raman.capacity" in failure["remedy"]
    roomy = replace(inline, config=load(None, ["archive.shard_rows=8", "modality.raman.capacity=9216"]))
    done = retry(str(tmp_path / "a"), options=roomy)
    assert (done.rows.total, done.rows.ok) == (1, 1)
    assert spectroflow.open(str(tmp_path / "a")).records("points == 9000 and status == 0").num_rows == 1


def test_what_is_no_archive_is_not_written_to(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    """Two folders given and the archive forgotten: the second one is not filled with runs."""
    before = sorted((files / "ir").iterdir())
    with pytest.raises(InvalidInput, match=r"other things than an archive.*last argument"):
        convert([str(files / "raman")], str(files / "ir"), options=inline)
    assert sorted((files / "ir").iterdir()) == before
    with pytest.raises(InvalidInput, match="this is a file"):
        convert([str(files / "raman")], str(before[0]), options=inline)


def test_why_there_is_nothing_to_do_is_said(tmp_path: Path, inline: JobOptions) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert convert([str(folder)], str(tmp_path / "a"), options=inline).lines[0] == "there is no file in what was given"
    (folder / "readme.md").write_text("hello")
    lines = convert([str(folder)], str(tmp_path / "a"), options=inline).lines
    assert lines[0] == "none of the files is of a known format"
    assert not (tmp_path / "a").exists()


def test_max_failed_decides_the_exit_code(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    summary = convert(
        [str(files)], str(tmp_path / "a"), manifest=str(files / "manifest.csv"), options=replace(inline, max_failed="4")
    )
    assert summary.exit_code == 4
    assert latest_version(Location.parse(tmp_path / "a")).number == 1, "what could be read is in the archive"
    summary = convert(
        [str(files)],
        str(tmp_path / "b"),
        manifest=str(files / "manifest.csv"),
        options=replace(inline, max_failed="20%"),
    )
    assert summary.exit_code == 0
