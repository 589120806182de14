"""Credentials come from the environment and go to the store alone: not into plans, logs, markers or messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spectroflow.config import load
from spectroflow.jobs import JobOptions
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate
from spectroflow.storage import Location
from tests.s3 import s3_server

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIADONOTWRITETHISKEY",
    "AWS_SECRET_ACCESS_KEY": "do-not-write-this-secret",
    "AWS_SESSION_TOKEN": "do-not-write-this-token",
}
SMALL = ("simulate.materials=2", "simulate.samples=1", 'simulate.modalities=["raman"]')


def _command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "spectroflow_cli", *arguments, "--debug", "--log-format", "json", "--workers", "0"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_nothing_of_a_whole_run_holds_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = JobOptions(config=load(None, SMALL), workers=0)
    simulate(str(tmp_path / "files"), form="files", options=options)
    (tmp_path / "files/broken.xy").write_bytes(b"not a spectrum")
    with s3_server("secrets") as bucket:
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        said = [
            _command("convert", str(tmp_path / "files"), f"{bucket}/archive"),
            # A store that nobody answers for, so that errors are told, with their traces.
            _command("verify", f"{bucket}/archive", AWS_ENDPOINT_URL="http://127.0.0.1:1", SPECTROFLOW_RETRY_SCALE="0"),
        ]
        assert [done.returncode for done in said] == [0, 6], said[-1].stderr.decode()
        assert b"Traceback" in said[-1].stderr
        fit(f"{bucket}/archive", options=options)
        written = [info.location.read_bytes() for info in Location.parse(f"{bucket}/archive").walk()]
    assert len(written) > 20
    for text in (*written, *(done.stdout + done.stderr for done in said)):
        for secret in SECRETS.values():
            assert secret.encode() not in text
