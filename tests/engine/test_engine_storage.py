"""The engine on storage that fills up, refuses, stutters, or is an object store."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, all_failures, execute, last_progress, read_events, run_folder
from spectroflow.errors import Unreachable
from spectroflow.storage import Location
from tests.s3 import s3_server


def run(numbers: Numbers, root: Location, **fields):
    options = ExecuteOptions(backend="inline", verify_fraction=1.0)
    return execute(numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), **fields)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(Numbers(61), place)
    return content(place)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, 160 KiB large."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a file system needs the rights to do so")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(small_disk, undisturbed):
    root = Location.parse(small_disk / "archive")
    ballast = small_disk / "ballast"
    plan = Numbers(61).plan()

    def fill(event):
        if event.name() == "unit_done" and event.unit == "g0-000003":
            with contextlib.suppress(OSError):
                ballast.write_bytes(b"x" * (1 << 20))

    with pytest.raises(Unreachable, match="No space left") as caught:
        run(Numbers(61), root, listener=fill)
    assert caught.value.exit_code == 6
    ballast.unlink()
    result = run(Numbers(61), root)
    assert 4 <= result.resumed_units < plan.unit_count
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    assert not [info for info in root.walk() if info.path.endswith(".partial")]


def test_a_read_only_disk_is_told_and_nothing_is_lost(small_disk, undisturbed):
    root = Location.parse(small_disk / "archive")

    def lock(event):
        if event.name() == "unit_done" and event.unit == "g0-000003":
            subprocess.run(["mount", "--bind", str(small_disk), str(small_disk)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(small_disk)], check=True)

    with pytest.raises(Unreachable, match="Read-only") as caught:
        run(Numbers(61), root, listener=lock)
    assert caught.value.exit_code == 6
    subprocess.run(["umount", str(small_disk)], check=True)
    assert run(Numbers(61), root).rows == expected_rows(61)
    assert content(root) == undisturbed


_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class _Proxy(BaseHTTPRequestHandler):
    """Passes requests on to an S3 server, but answers every few of them wrongly.

    ``503`` and ``429`` refuse before anything happens; ``lost`` does what was asked and then answers 503;
    ``cut`` closes the connection half way through a body; ``silent`` closes it without an answer.
    """

    protocol_version = "HTTP/1.1"
    target = ""
    every = 7
    kinds = ("503", "cut", "429", "lost", "silent")
    count = 0
    seen: ClassVar[dict[str, int]] = {}
    lock = threading.Lock()

    def _pass(self) -> None:
        with self.lock:
            type(self).count += 1
            number = self.count
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.kinds[(number // self.every) % len(self.kinds)] if number % self.every == 0 else ""
        if fault:
            self.seen[fault] = self.seen.get(fault, 0) + 1
        if fault in {"503", "429"}:
            self._answer(int(fault), {}, _SLOW_DOWN)
            return
        if fault == "silent":
            self.close_connection = True
            return
        parts = urlsplit(self.target)
        upstream = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        passed = {
            key: value
            for key, value in answer.getheaders()
            if key.lower() not in {"transfer-encoding", "connection", "content-length", "server", "date"}
        }
        upstream.close()
        if self.command == "HEAD":
            passed["Content-Length"] = answer.getheader("Content-Length") or "0"
        if fault == "lost":
            self._answer(503, {}, _SLOW_DOWN)
            return
        if fault == "cut" and self.command == "GET" and len(data) > 1:
            self._answer(answer.status, passed, data[: len(data) // 2], claimed=len(data))
            self.close_connection = True
            return
        self._answer(answer.status, passed, data)

    def _answer(self, code: int, headers: dict[str, str], data: bytes, claimed: int | None = None) -> None:
        self.send_response_only(code)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data) if claimed is None else claimed))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    with s3_server("engine") as url:
        yield url


@contextlib.contextmanager
def faulty(bucket: str) -> Iterator[type[_Proxy]]:
    """Put the proxy between this process and the server."""
    import s3fs

    _Proxy.target = os.environ["AWS_ENDPOINT_URL"]
    _Proxy.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
            s3fs.S3FileSystem.clear_instance_cache()
            yield _Proxy
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()
        server.server_close()


def test_an_object_store_holds_the_same_bytes(bucket, undisturbed):
    root = Location.parse(f"{bucket}/plain")
    result = run(Numbers(61), root)
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    place = run_folder(root, result.run)
    assert len(list(all_failures(place))) == result.rows["failed"] + result.rows["skipped"]
    assert [event.name() for event in read_events(place)][-1] == "run_finished"
    assert last_progress(place).units_done == 8
    assert run(Numbers(61), root).resumed_units == 8


def test_a_store_that_stutters_changes_nothing(bucket, undisturbed):
    root = Location.parse(f"{bucket}/faulty")
    with faulty(bucket) as proxy:
        result = run(Numbers(61), root)
        assert result.rows == expected_rows(61)
        assert set(proxy.seen) == set(proxy.kinds)
    assert content(root) == undisturbed


@pytest.mark.slow
def test_killed_on_an_object_store_and_resumed(bucket, undisturbed):
    root = Location.parse(f"{bucket}/killed")
    code = f"""
from engine_work import Numbers
from spectroflow.engine import ExecuteOptions, execute
from spectroflow.storage import Location
numbers, root = Numbers(61), Location.parse({root.url!r})
execute(numbers.plan(), numbers, root, options=ExecuteOptions(workers=0), prepare=numbers.prepare(root))
"""
    for fault, unit in (("between-arrays", "g0-000002"), ("before-marker", "g0-000004"), ("in-finalize", "*")):
        environment = {
            **os.environ,
            "PYTHONPATH": os.path.dirname(__file__),
            "SPECTROFLOW_FAULT": f"{fault}:{unit}",
        }
        child = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    result = run(Numbers(61), root)
    assert result.resumed_units == 8
    assert content(root) == undisturbed
