"""Real commands, as a person gives them: their results, their errors, their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spectroflow_cli.main import app


def spectroflow(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def result(*arguments: object) -> dict[str, Any]:
    done = spectroflow(*arguments, "--json")
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    tree: dict[str, Any] = json.loads(line)
    assert {"command", "run", "status", "rows", "seconds", "output"} <= set(tree)
    rows = tree["rows"]
    if tree["status"] != "dry run":
        assert rows["ok"] + rows["failed"] + rows["skipped"] == rows["total"]
    return tree


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "files"
    small = ("--set", "simulate.materials=3", "--set", "simulate.samples=1", "--set", "simulate.broken=2")
    found = result("simulate", folder, "--modality", "raman", "--modality", "ir", *small)
    assert found["rows"]["total"] >= 6
    return folder


@pytest.fixture(scope="module")
def archive(files: Path) -> Path:
    folder = files.parent / "archive"
    result("convert", files, folder, "--manifest", files / "manifest.csv", "--workers", "0")
    return folder


def test_a_second_conversion_has_nothing_to_do(files: Path, archive: Path) -> None:
    again = result("convert", files, archive, "--manifest", files / "manifest.csv", "--workers", "0")
    assert again["status"] == "nothing to do"
    assert again["rows"]["total"] == 0


def test_a_dry_run_writes_nothing(files: Path, tmp_path: Path) -> None:
    found = result("convert", files, tmp_path / "archive", "--dry-run")
    assert found["status"] == "dry run"
    assert found["rows"]["ok"] == 0
    assert not list((tmp_path / "archive").glob("segments/*"))


def test_looking_at_an_archive(archive: Path) -> None:
    assert result("inspect", archive)["command"] == "inspect"
    assert result("status", archive)["rows"]["total"] >= 6
    assert result("versions", archive)["command"] == "versions"
    shown = spectroflow("inspect", archive).stdout
    assert "raman" in shown
    assert "measured" in shown


def test_max_failed_decides_the_exit_code(files: Path, tmp_path: Path) -> None:
    """Two files of the folder are broken."""
    done = spectroflow("convert", files, tmp_path / "a", "--workers", "0", "--max-failed", "0", "--json")
    tree = json.loads(done.stdout)
    assert tree["rows"]["failed"] > 0
    assert done.exit_code == 4
    assert tree["status"] == "too many failures"
    assert spectroflow("convert", files, tmp_path / "b", "--workers", "0", "--max-failed", "100%").exit_code == 0


def test_export_of_a_selection(archive: Path, tmp_path: Path) -> None:
    everything = result("export", archive, tmp_path / "all.csv")
    some = result("export", archive, tmp_path / "some.csv", "--modality", "raman")
    assert 0 < some["rows"]["ok"] < everything["rows"]["ok"]
    assert (tmp_path / "some.csv").exists()


Line = Callable[[Path, Path], list[object]]
WRONG: dict[str, tuple[Line, int, str]] = {
    "a source that is not there": (lambda a, t: ["convert", t / "nope", t / "x"], 3, "nope"),
    "an archive that is not there": (lambda a, t: ["fit", t / "nope"], 3, "nope"),
    "a file for an archive": (lambda a, t: ["status", __file__], 3, "test_cli_commands"),
    "an unknown key": (lambda a, t: ["fit", a, "--set", "fit.efort=1"], 3, "'effort'"),
    "an unknown table": (lambda a, t: ["fit", a, "--set", "fitt.effort='fast'"], 3, "'fit'"),
    "a value that does not fit": (lambda a, t: ["fit", a, "--set", "fit.effort=heroic"], 3, "fit.effort"),
    "no key": (lambda a, t: ["fit", a, "--set", "effort"], 3, "section.key=value"),
    "a configuration that is not there": (lambda a, t: ["fit", a, "--config", t / "no.toml"], 3, "no.toml"),
    "an unknown modality": (lambda a, t: ["fit", a, "--modality", "rmaan"], 2, "'raman'"),
    "a filter on an unknown column": (lambda a, t: ["export", a, t / "x.csv", "--where", "lable == 'x'"], 2, "label"),
    "a filter that is code": (lambda a, t: ["export", a, t / "x.csv", "--where", "__import__('os')"], 2, "--where"),
    "wrong workers": (lambda a, t: ["convert", a, t / "x", "--workers", "many"], 2, "--workers"),
    "half a pair": (lambda a, t: ["train", a, t / "m", "--from", "raman"], 2, "--to"),
    "a pipeline that is not there": (lambda a, t: ["run", t / "night.toml"], 3, "night.toml"),
    "a model that is not there": (lambda a, t: ["transfer", t / "m", a, t / "o"], 3, "/m"),
    "a form that is not known": (lambda a, t: ["export", a, t / "x.csv", "--format", "docx"], 2, "docx"),
    "a cluster that nobody wrote down": (lambda a, t: ["fit", a, "--cluster", "lab"], 2, "lab"),
    "a cluster that does not answer": (lambda a, t: ["fit", a, "--cluster", "127.0.0.1:9"], 6, "127.0.0.1:9"),
    "a version that is not there": (lambda a, t: ["restore", a, "99"], 3, "99"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_ends_in_one_sentence(
    name: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECTROFLOW_CLUSTERS", str(tmp_path / "clusters.toml"))
    line, code, hint = WRONG[name]
    before = sorted(path for path in archive.rglob("*") if path.is_file())
    done = spectroflow(*line(archive, tmp_path))
    assert done.exit_code == code, done.output
    assert hint in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.output
    assert "bug" not in done.stderr
    assert sorted(path for path in archive.rglob("*") if path.is_file()) == before, "nothing that was there is lost"


def test_a_reader_that_goes_away_is_no_error(archive: Path) -> None:
    """As in ``spectroflow inspect ARCHIVE | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "spectroflow_cli", "inspect", str(archive), "--json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
