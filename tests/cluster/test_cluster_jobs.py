"""Commands on a real cluster: submission, log, result, exit code, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_head import Head

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


def test_doctor_examines_the_cluster_from_its_nodes(head: Head, tmp_path: Path) -> None:
    done = head.spectroflow("doctor", str(tmp_path), "--cluster", head.address, "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    checks = {check["name"]: check for check in json.loads(line)["checks"]}
    assert checks["cluster"]["state"] == "ok"
    assert checks[f"cluster: storage {tmp_path}"]["state"] == "ok"
    nodes = [check for name, check in checks.items() if name.startswith("cluster: node ")]
    assert [check["state"] for check in nodes] == ["ok"]
    assert nodes[0]["found"].startswith("2 CPU")
    assert list(tmp_path.iterdir()) == [], "canaries are removed"


def test_the_exit_code_and_the_sentence_of_a_failing_command_come_back(head: Head, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    here = head.spectroflow("fit", str(missing))
    there = head.spectroflow("fit", str(missing), "--cluster", head.address)
    assert here.returncode == there.returncode == 3
    assert there.stdout == ""
    assert here.stderr.splitlines()[-1] in there.stderr.splitlines()
    assert "Traceback" not in there.stderr


def test_a_job_on_the_cluster_writes_the_archive_and_returns_its_result(head: Head, tmp_path: Path) -> None:
    small = ("--set", "simulate.materials=2", "--set", "simulate.samples=1", "--set", "simulate.broken=1")
    assert head.spectroflow("simulate", str(tmp_path / "files"), "--modality", "raman", *small).returncode == 0
    arguments = ("convert", str(tmp_path / "files"), str(tmp_path / "archive"), "--max-failed", "0", "--json")
    done = head.spectroflow(*arguments, "--cluster", head.address)
    assert done.returncode == 4, "one file is broken, and that code comes back"
    (line,) = done.stdout.splitlines()
    tree = json.loads(line)
    assert tree["status"] == "too many failures"
    assert tree["rows"]["ok"] == 2
    assert "convert: " in done.stderr, "progress is in the log"
    looked = head.spectroflow("inspect", str(tmp_path / "archive"), "--json")
    assert json.loads(looked.stdout)["rows"]["ok"] == 2


def test_files_of_the_submitter_travel_along(head: Head, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[fit]\nefort = 'fast'\n")
    done = head.spectroflow("fit", str(tmp_path), "--config", str(config), "--cluster", head.address)
    assert done.returncode == 3
    assert "wrong.toml" in done.stderr
    assert "effort" in done.stderr, "the nearest key is named, so the file was read there"


def test_a_stopped_job_ends_its_follower_with_130(head: Head, tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\necho waiting\nexec sleep 300\n")
    slow.chmod(0o755)
    command = [sys.executable, "-m", "spectroflow_cli", "fit", str(tmp_path), "--cluster", head.address]
    environment = head.environment(SPECTROFLOW_CLUSTER_PYTHON=str(slow))
    followers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(1)]
    name = job_name(followers[0])
    followers.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    assert job_name(followers[1]) == name, "the same command follows the job that runs already"
    wait_for_line(followers[1], "waiting")
    followers[1].send_signal(signal.SIGINT)
    assert followers[1].wait(30) == 130
    listed = json.loads(head.spectroflow("jobs", "list", "--cluster", head.address, "--json").stdout)["jobs"]
    assert [job["status"] for job in listed if job["job"] == name] == ["running"], "the job outlives its follower"
    stopped = head.spectroflow("jobs", "stop", name, "--cluster", head.address, "--json")
    assert json.loads(stopped.stdout)["status"] == "stopped"
    assert followers[0].wait(60) == 130
    again = head.spectroflow("jobs", "logs", name, "--cluster", head.address)
    assert again.returncode == 130
    assert "waiting" in again.stderr
    for follower in followers:
        assert follower.stderr
        follower.stderr.close()


@pytest.mark.slow
def test_an_interpreter_that_is_not_there_is_named(head: Head, tmp_path: Path) -> None:
    done = head.spectroflow(
        "fit", str(tmp_path), "--cluster", head.address, SPECTROFLOW_CLUSTER_PYTHON="/nowhere/python"
    )
    assert done.returncode == 6
    assert "/nowhere/python" in done.stderr
    assert "clusters.toml" in done.stderr


def test_a_wrong_token_is_said(head: Head, tmp_path: Path) -> None:
    done = head.spectroflow("fit", str(tmp_path), "--cluster", head.address, RAY_AUTH_TOKEN="0" * 64)
    assert done.returncode == 6
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_named_cluster_brings_its_token(head: Head, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(head.token)
    clusters = tmp_path / "clusters.toml"
    clusters.write_text(f'[clusters.lab]\naddress = "{head.address}"\ntoken_file = "{tmp_path / "token"}"\n')
    environment = {"SPECTROFLOW_CLUSTERS": str(clusters), "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}
    done = head.spectroflow("jobs", "list", "--cluster", "lab", "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert head.token not in done.stdout + done.stderr


def test_the_address_wins_over_the_environment(head: Head) -> None:
    done = head.spectroflow("jobs", "list", "--cluster", head.address, RAY_ADDRESS="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr


def job_name(follower: subprocess.Popen[str]) -> str:
    line = wait_for_line(follower, "job ")
    found = re.match(r"job (\S+) on", line)
    assert found, line
    return found[1]


def wait_for_line(follower: subprocess.Popen[str], text: str, seconds: float = 60) -> str:
    assert follower.stderr
    deadline = time.monotonic() + seconds
    os.set_blocking(follower.stderr.fileno(), True)
    while time.monotonic() < deadline:
        line = follower.stderr.readline()
        if text in line:
            return line
        assert line, f"the follower ended with {follower.poll()}"
    raise AssertionError(f"no {text!r} within {seconds} s")
