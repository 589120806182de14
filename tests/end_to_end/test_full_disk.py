"""The command line on a disk that fills up: exit code and sentence as documented, and the same command resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from spectroflow.config import load
from spectroflow.jobs import JobOptions
from spectroflow.jobs.simulate import simulate
from tests.disks import resize, small_disk

SMALL = ("simulate.materials=3", "simulate.samples=2", 'simulate.modalities=["raman"]')


def _convert(files: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    manifest = ["--manifest", str(files / "manifest.csv")]
    return subprocess.run(
        [sys.executable, "-m", "spectroflow_cli", "convert", files, archive, *manifest, "--workers", "0", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_full_disk_ends_a_command_with_6_and_room_lets_it_go_on(tmp_path: Path) -> None:
    simulate(str(tmp_path / "files"), form="files", options=JobOptions(config=load(None, SMALL), workers=0))
    with small_disk(tmp_path / "disk", kib=40) as disk:
        full = _convert(tmp_path / "files", disk / "archive")
        assert full.returncode == 6, full.stderr
        assert "the storage refuses" in full.stderr
        assert "run the same command again" in full.stderr
        assert full.stdout == ""
        resize(disk, 20_000)
        done = _convert(tmp_path / "files", disk / "archive")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == {"total": 6, "ok": 6, "failed": 0, "skipped": 0}
