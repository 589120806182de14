"""The life of an archive through the jobs: nights, compaction, verification, garbage, restoring."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from spectroflow.archive import Archive
from spectroflow.errors import ArchiveError, UsageError
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.maintain import compact, gc, parse_duration, restore, verify, versions
from spectroflow.jobs.simulate import simulate


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, inline: JobOptions) -> tuple[Path, Path, str]:
    """An archive of three nights with lines, one file of which could not be read and one of which changed."""
    base = tmp_path_factory.mktemp("nights")
    config = inline.config.model_copy(
        update={"simulate": inline.config.simulate.model_copy(update={"materials": 6, "modalities": ("raman", "ir")})}
    )
    simulate(str(base / "all"), form="files", options=replace(inline, config=config))
    archive = base / "archive"
    manifest = str(base / "all/manifest.csv")
    files = sorted(p for p in (base / "all").rglob("*.txt"))
    for night in range(3):
        for path in files[night::3]:
            target = base / "inbox" / path.relative_to(base / "all")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
            if path == files[0]:
                target.write_text(target.read_text()[:200])
        if night == 2:
            changed = base / "inbox" / files[3].relative_to(base / "all")
            changed.write_bytes(files[4].read_bytes())
        convert([str(base / "inbox")], str(archive), manifest=manifest, options=inline)
        fit(str(archive), options=inline)
    return base / "inbox", archive, manifest


@pytest.fixture
def archive(nights: tuple[Path, Path, str], tmp_path: Path) -> Path:
    shutil.copytree(nights[1], tmp_path / "archive", copy_function=shutil.copy2)
    return tmp_path / "archive"


def _records(archive: Path) -> list[dict[str, object]]:
    rows = Archive(str(archive)).records().drop_columns(["segment", "row"]).to_pylist()
    return sorted(rows, key=lambda row: (row["modality"], row["source"], row["record"]))


def test_compaction_costs_no_record_and_makes_no_job_start_over(
    nights: tuple[Path, Path, str], archive: Path, inline: JobOptions
) -> None:
    before = _records(archive)
    assert Archive(str(archive)).version.superseded
    dry = compact(str(archive), options=replace(inline, dry_run=True))
    assert dry.status == "dry run"
    done = compact(str(archive), options=inline)
    assert (done.status, done.exit_code) == ("done", 0)
    # The file that nobody could read is the only one of its kind, and stays where it is.
    assert done.rows.total == done.rows.ok == sum(row["modality"] != "unknown" for row in before) == len(before) - 1
    assert done.details["segments"] < done.details["segments_before"]
    assert _records(archive) == before
    assert verify(str(archive), options=inline).status == "done"
    assert compact(str(archive), options=inline).status == "nothing to do"
    assert fit(str(archive), options=inline).status == "nothing to do"
    shutil.copytree(nights[0], archive.parent / "inbox", copy_function=shutil.copy2)
    again = convert([str(nights[0])], str(archive), manifest=nights[2], options=inline)
    assert again.status == "nothing to do"


def test_verify_tells_damage_and_its_exit_code(archive: Path, inline: JobOptions) -> None:
    whole = verify(str(archive), options=inline)
    assert (whole.status, whole.exit_code, whole.details["findings"]) == ("done", 0, [])
    victim = sorted(archive.glob("segments/*/spectra.zarr/intensity/c/0/0"))[0]
    content = victim.read_bytes()
    victim.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    damaged = verify(str(archive), options=inline)
    assert (damaged.status, damaged.exit_code) == ("damaged", 3)
    key = str(victim.relative_to(archive))
    assert [finding["key"] for finding in damaged.details["findings"]] == [key]
    assert any(key in line for line in damaged.lines)
    with pytest.raises(ArchiveError, match="no archive"):
        verify(str(archive / "elsewhere"), options=inline)


def test_a_damaged_newest_version_is_said_and_restored(archive: Path, inline: JobOptions) -> None:
    newest = sorted((archive / "versions").iterdir())[-1]
    before = Archive(str(archive), 5).version
    newest.write_bytes(newest.read_bytes().replace(b'"rows": ', b'"rows": 1', 1))
    summary = verify(str(archive), options=inline)
    assert summary.status == "damaged"
    listed = versions(str(archive))
    assert "error" in listed.details["versions"][-1]
    assert restore(str(archive), 5).details["version"] == 7
    assert Archive(str(archive)).version.segments == before.segments


def test_gc_frees_what_compaction_replaced(archive: Path, inline: JobOptions) -> None:
    before = _records(archive)
    compact(str(archive), options=inline)
    assert gc(str(archive), grace="0s", options=inline).status == "nothing to do"
    for path in archive.rglob("*"):
        os.utime(path, (path.stat().st_mtime - 8 * 86400,) * 2)
    dry = gc(str(archive), grace="7d", keep=1, options=replace(inline, dry_run=True))
    done = gc(str(archive), grace="7d", keep=1, options=inline)
    assert dry.details == done.details
    assert done.details["objects"]["segment"] > 0
    assert len(list((archive / "segments").iterdir())) == len(Archive(str(archive)).segments())
    assert _records(archive) == before
    assert verify(str(archive), options=inline).status == "done"
    with pytest.raises(UsageError, match="cannot be kept"):
        gc(str(archive), keep=0, options=inline)


def test_versions_are_listed_oldest_first(archive: Path) -> None:
    listed = versions(str(archive))
    assert [entry["number"] for entry in listed.details["versions"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["command"] for entry in listed.details["versions"]] == ["convert", "fit"] * 3


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1 day", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)
