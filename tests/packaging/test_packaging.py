"""What is shipped, what it needs, and the commands a newcomer runs blind."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import spectroflow

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
}
TESTED_EXTRAS = ("s3", "vendor", "bench", "dev")


def requirements(*extras: str) -> list[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for lines in lists for line in lines]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a clone")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_both_packages_whole(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sources = {path.relative_to(ROOT) for path in tracked() if path.is_relative_to(ROOT / "spectroflow")}
    sources |= {path.relative_to(ROOT / "cli") for path in tracked() if path.is_relative_to(ROOT / "cli")}
    missing = {str(path) for path in sources} - names
    assert missing == set()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"spectroflow", "spectroflow_cli"}
    assert {"spectroflow/py.typed", "spectroflow_cli/py.typed", "spectroflow/modalities/raman.toml"} <= names


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "spectroflow = spectroflow_cli.main:app" in wheel.read(name).decode()
    assert [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    text = wheel.read(name).decode()
    assert "License-Expression: Apache-2.0" in text
    assert f"Version: {spectroflow.__version__}" in text


def test_one_version_everywhere() -> None:
    assert PROJECT["version"] == spectroflow.__version__ == metadata.version("spectroflow")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_requirement_is_pinned_within_its_range() -> None:
    wanted = [r for r in requirements(*TESTED_EXTRAS) if canonicalize_name(r.name) != "spectroflow"]
    assert {r.name for r in wanted if canonicalize_name(r.name) not in PINS} == set()
    assert {str(r): pin for r in wanted if not r.specifier.contains(pin := PINS[canonicalize_name(r.name)])} == {}


def test_pins_are_versions_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "no local versions, paths or URLs"
    assert len(PINS) == len(lines), "each once"
    assert PINS["torch"] == "2.13.0"


def test_the_torch_range_is_open() -> None:
    (torch,) = [r for r in requirements() if r.name == "torch"]
    assert {s.operator for s in torch.specifier} == {">="}


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    words = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
    assert words == "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645", (
        "the text of https://www.apache.org/licenses/LICENSE-2.0.txt, white space apart"
    )


def make(target: str, *variables: str) -> str:
    """Return what make would run for a target whose environment is already there."""
    command = ["make", "--dry-run", "--no-print-directory", target, *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        ("demo", "/bin/spectroflow demo"),
        ("test", "/bin/python -m pytest"),
        ("lint", "/bin/mypy"),
        ("faults", "/bin/python -m benchmarks.faults"),
        ("real", "/bin/spectroflow run examples/rruff/pipeline.toml"),
        ("bench", "/bin/python -m benchmarks."),
        ("constraints", "pip freeze"),
    ],
)
def test_make_targets_prepare_their_environment(target: str, runs: str, tmp_path: Path) -> None:
    shown = make(target, f"VENV={tmp_path}/new", f"DATA={tmp_path}")
    made = shown.index(f"-m venv {tmp_path}/new")
    installed = shown.index("pip install", made)
    assert "-c constraints.txt" in shown[installed:].splitlines()[0]
    assert runs in shown[installed:]


def test_make_help_lists_every_target() -> None:
    shown = make("help")
    text = (ROOT / "Makefile").read_text()
    assert "grep" in shown
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.M))
    assert targets == set(re.findall(r"^([a-z-]+):.*##", text, re.M))


def test_real_without_data_is_a_usage_error(tmp_path: Path) -> None:
    new = tmp_path / "venv"
    (new / "bin").mkdir(parents=True)
    for name in ("bin/python", ".installed"):
        (new / name).touch()
    future = (ROOT / "pyproject.toml").stat().st_mtime + 10**6
    os.utime(new / ".installed", (future, future))
    command = ["make", "--no-print-directory", "real", f"VENV={new}", "DATA="]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "DATA=folder" in done.stderr


def test_continuous_integration_is_a_script_that_runs_blind() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text()
    assert text.index("make lint") < text.index("make test")


def test_the_project_speaks_of_itself_alone() -> None:
    """Nothing in it depends on, or tells of, the machine that it was written on."""
    # Written with classes of one letter, so that the pattern does not find itself and this file is checked too.
    private = re.compile(r"\.\./share[d]|/wor[k]/|/tmp/(?:ven[v]|dat[a]|spe[c])\b")
    found = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix not in {".png", ".npz", ".parquet"} and private.search(path.read_text("utf-8", errors="replace"))
    }
    assert found - {".ci/run"} == set()
