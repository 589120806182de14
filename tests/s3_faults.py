"""A proxy in front of an S3 server that answers some requests wrongly, as a network and a busy store do."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock
from urllib.parse import urlsplit

KINDS = ("503", "cut", "429", "lost", "silent", "short", "hang")
"""What is done to a request:

- ``503`` and ``429`` refuse before anything happens.
- ``lost`` does what was asked and then answers 503.
- ``silent`` closes the connection without an answer.
- ``hang`` does not answer until the client has given up.
- ``cut`` closes the connection half way through a body.
- ``short`` gives half of a body, and says that this is all of it.
"""

SILENCE = 0.3
"""Seconds after which clients give up a request."""

_REFUSAL = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_BODY_ONLY = {"cut", "short"}


class FaultyServer(ThreadingHTTPServer):
    """Passes requests on, but does to one of ``every`` requests one of ``kinds`` in turn.

    Attributes
    ----------
    seen
        How often each kind was done to a request.
    requests
        How many requests came in.
    """

    daemon_threads = True

    def __init__(self, target: str, kinds: Sequence[str], every: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target)
        self.kinds = tuple(kinds)
        self.every = every
        self.seen: Counter[str] = Counter()
        self.requests = 0
        self._due = 0
        self._lock = threading.Lock()

    def fault_for(self, method: str) -> str:
        """Return what to do to the next request; bodies are only cut where there are any."""
        with self._lock:
            self.requests += 1
            self._due += self.requests % self.every == 0
            kind = self.kinds[sum(self.seen.values()) % len(self.kinds)] if self.kinds else ""
            if not self._due or not kind or (kind in _BODY_ONLY and method != "GET"):
                return ""
            self._due -= 1
            self.seen[kind] += 1
            return kind

    def heal(self) -> None:
        """Pass everything on from now on."""
        self.kinds = ()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.server.fault_for(self.command)
        if fault in {"503", "429"}:
            self._answer(int(fault), {}, _REFUSAL)
            return
        if fault in {"silent", "hang"}:
            time.sleep(2 * SILENCE if fault == "hang" else 0)
            self.close_connection = True
            return
        upstream = HTTPConnection(self.server.target.hostname or "", self.server.target.port or 80, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        hop = {"transfer-encoding", "connection", "content-length", "server", "date"}
        passed = {key: value for key, value in answer.getheaders() if key.lower() not in hop}
        size = answer.getheader("Content-Length") or "0"
        upstream.close()
        if fault == "lost":
            self._answer(503, {}, _REFUSAL)
        elif fault == "cut":
            self._answer(answer.status, passed, data[: len(data) // 2], claimed=str(len(data)))
            self.close_connection = True
        elif fault == "short":
            self._answer(answer.status, passed, data[: len(data) // 2])
        else:
            self._answer(answer.status, passed, data, claimed=size if self.command == "HEAD" else "")

    def _answer(self, code: int, headers: dict[str, str], data: bytes, claimed: str = "") -> None:
        self.send_response_only(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", claimed or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def faulty(*kinds: str, every: int = 5) -> Iterator[FaultyServer]:
    """Put a proxy between this process and the server that the environment names.

    Parameters
    ----------
    kinds
        Of :data:`KINDS`; all of them if none is given.
    every
        One request of so many is disturbed; 1 disturbs all.
    """
    import s3fs

    server = FaultyServer(os.environ["AWS_ENDPOINT_URL"], kinds or KINDS, every)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    through = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "SPECTROFLOW_STORAGE_TIMEOUT": str(SILENCE),
    }
    try:
        with mock.patch.dict(os.environ, through):
            s3fs.S3FileSystem.clear_instance_cache()
            yield server
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()
        server.server_close()
