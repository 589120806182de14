"""A real Ray head on loopback, with token authentication, started as a child process."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Head:
    address: str
    token: str
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "SPECTROFLOW_CLUSTERS": str(self.folder / "none"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**kept, **own, **more}

    def spectroflow(
        self, *arguments: str, timeout: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spectroflow_cli", *arguments],
            env=self.environment(**environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def ray_head(folder: Path) -> Iterator[Head]:
    # Ray's sockets lie below its folder, and their paths have to be short.
    temp = Path(tempfile.mkdtemp(prefix="sf", dir="/tmp"))
    gcs, dashboard, client, listen, grpc, runtime, metrics = free_ports(7)
    token = secrets.token_hex(32)
    found = Head(f"http://127.0.0.1:{dashboard}", token, folder)
    ray = Path(sys.executable).with_name("ray")
    log = (temp / "head.log").open("w")
    child = subprocess.Popen(
        [
            *(str(ray), "start", "--head", "--block", "--disable-usage-stats", "--node-ip-address=127.0.0.1"),
            *(f"--port={gcs}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"),
            *(f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={listen}"),
            *(f"--dashboard-agent-grpc-port={grpc}", f"--runtime-env-agent-port={runtime}"),
            *(f"--metrics-export-port={metrics}", "--num-cpus=2", "--object-store-memory=100000000"),
            f"--temp-dir={temp}",
        ],
        env=found.environment(),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(found, child, temp / "head.log")
        yield found
    finally:
        end(child)
        log.close()
        shutil.rmtree(temp, ignore_errors=True)


def wait_for(head: Head, child: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    request = urllib.request.Request(f"{head.address}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"})
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            pytest.fail(f"the head ended with {child.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.5)
    pytest.fail(f"the head did not answer: {log.read_text()[-2000:]}")


def end(child: subprocess.Popen[bytes], patience: float = 20) -> None:
    """End the head, then what is left of the process group that was made for it, and nothing else."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
