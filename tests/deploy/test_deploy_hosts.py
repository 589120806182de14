"""Cron, systemd, Slurm and Ray's launcher: each is well formed and runs commands that exist."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from deployment import DEPLOY, HOME, PROJECT, ROOT, commands_in, parse

PIPELINE = "/etc/spectroflow/pipeline.toml"
VARIABLES = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "pipeline.toml").read_text().split("[pipeline]")[1]))


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "systemd" / name)
    return parser


def test_cron() -> None:
    lines = [
        line for line in (DEPLOY / "cron" / "spectroflow.cron").read_text().splitlines() if line and line[0] != "#"
    ]
    settings = dict(line.split("=", 1) for line in lines[:-1])
    assert set(settings) >= VARIABLES
    fields = lines[-1].split(maxsplit=6)
    for field, most in zip(fields[:5], (59, 23, 31, 12, 7), strict=True):
        assert field == "*" or 0 <= int(field) <= most
    command = " ".join(fields[6:])
    assert "%" not in command.replace("\\%", ""), "cron ends a command at a bare percent sign"
    words = shlex.split(command.replace("\\%", "%"))
    found = parse(words[words.index(f"{HOME}/bin/spectroflow") + 1 :])
    assert found["pipeline"] == PIPELINE
    assert found["max_failed"] == "1%"


def test_systemd_service() -> None:
    service = unit("spectroflow-nightly.service")["Service"]
    program, *words = shlex.split(service["ExecStart"].replace("%%", "%"))
    assert program == f"{HOME}/bin/spectroflow"
    assert parse(words)["max_failed"] == "1%"
    assert service["KillSignal"] == "SIGTERM", "which the command answers with exit code 130, resumable"
    text = (DEPLOY / "systemd" / "spectroflow-nightly.service").read_text()
    assert set(re.findall(r"^Environment=(\w+)=", text, re.M)) >= VARIABLES


def test_systemd_timer() -> None:
    timer = unit("spectroflow-nightly.timer")["Timer"]
    assert (DEPLOY / "systemd" / timer["Unit"]).is_file()
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", timer["OnCalendar"]], check=True, capture_output=True)


def test_ray_launcher_file_fits_rays_schema() -> None:
    tree = yaml.safe_load((DEPLOY / "ray" / "on-premises.yaml").read_text())
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(tree, schema)
    assert tree["max_workers"] == len(tree["provider"]["worker_ips"])
    (source,) = tree["file_mounts"].values()
    assert (DEPLOY / "ray" / source).resolve() == ROOT
    extras = re.findall(r"'\.\[([\w,]+)\]'", " ".join(tree["setup_commands"]))
    assert set(extras[0].split(",")) <= set(PROJECT["optional-dependencies"])
    starts = [*tree["head_start_ray_commands"], *tree["worker_start_ray_commands"]]
    assert all(f"{HOME}/bin/ray " in line for line in starts)


def ray_start_options() -> set[str]:
    from ray.scripts.scripts import start

    return {option for parameter in start.params for option in parameter.opts}


@pytest.mark.parametrize("path", ["ray/on-premises.yaml", "slurm/spectroflow.sbatch"])
def test_options_of_ray_start_exist(path: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / path).read_text())
    lines = re.findall(r"ray\"? start ([^&\n]*)", text)
    assert len(lines) == 2
    used = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert used <= ray_start_options()


def test_slurm_script_is_bash_and_runs_commands_of_ours() -> None:
    path = DEPLOY / "slurm" / "spectroflow.sbatch"
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text()
    assert os.access(path, os.X_OK)
    (default,) = re.findall(r"command=\((run [^)]*)\)", text)
    assert parse(shlex.split(default))["pipeline"] == PIPELINE
    (shown,) = re.findall(r"# +sbatch \S+ (fit .*)", text)
    assert parse(shlex.split(shown))["modality"] == ["raman"]


FAKE_SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(180)
def test_slurm_script_runs_a_command_on_its_own_ray(tmp_path: Path) -> None:
    """Slurm's part is played by two scripts that run everything here; Ray and the command are real."""
    tools = {"srun": FAKE_SRUN, "scontrol": "#!/bin/sh\necho localhost\n", "hostname": "#!/bin/sh\necho 127.0.0.1\n"}
    for name, text in tools.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for name in ("ray", "spectroflow", "python"):
        (home / "bin" / name).symlink_to(Path(sys.executable).with_name(name))
    slurm = {"SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": str(os.getpid()), "SLURM_CPUS_PER_TASK": "2"}
    environment = {**kept, **slurm, "PATH": f"{tmp_path}:{kept['PATH']}", "SPECTROFLOW_HOME": str(home)}
    done = subprocess.run(
        [str(DEPLOY / "slurm" / "spectroflow.sbatch"), "doctor", "--nodes", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (answer,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    nodes = [check for check in answer["checks"] if check["name"].startswith("node ")]
    assert [node["state"] for node in nodes] == ["ok"]


@pytest.mark.parametrize(
    "path", [DEPLOY / "README.md", DEPLOY / "ray" / "on-premises.yaml"], ids=lambda path: path.name
)
def test_commands_that_are_shown_exist(path: Path) -> None:
    for words in commands_in(path.read_text()):
        if "..." not in words:
            parse(words)


def test_files_that_the_page_names_exist() -> None:
    text = (DEPLOY / "README.md").read_text()
    named = re.findall(r"`((?:kuberay|slurm|ray|cron|systemd|docker)/[\w.-]*)`", text)
    assert len(named) >= 6
    assert all((DEPLOY / name).exists() for name in named)
    for link in re.findall(r"\]\((\.\./[\w./-]+)", text):
        assert (DEPLOY / link).exists()
