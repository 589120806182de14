"""Reading with parsers that are not trusted, in a child process with limits on memory and time.

The child is started when the first such file comes, and reused from file to file; it is ended and
replaced when it exceeds a limit or dies.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from spectroflow.errors import RecordError
from spectroflow.formats.base import Probe, RawRecord
from spectroflow.formats.child import receive, send, unpack_probe, unpack_records

PATIENCE = 4.0
"""Seconds on the wall for each second of CPU time that a reader may take."""

_START_SECONDS = 120.0
_REMEDY = "The file is damaged or of a dialect that is not supported; export it again."


class Sandbox:
    """A reader in a child process.

    Parameters
    ----------
    memory
        Bytes that reading one file may take above what the idle child has.
    timeout
        Seconds of CPU time that it may take, rounded up to whole ones.

    Notes
    -----
    Threads may share one; their calls are done one after the other. CPU time is what counts, so that a busy machine
    refuses no file that an idle one reads; a reader that waits without computing is ended after :data:`PATIENCE`
    times as long.
    """

    def __init__(self, *, memory: int = 1 << 30, timeout: float = 30.0) -> None:
        self.memory = memory
        self.timeout = timeout
        self.starts = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def probe(self, format_name: str, data: bytes, name: str) -> Probe:
        """Call a format's ``probe``; raise what it raises, or say which limit it broke."""
        return unpack_probe(self._ask("probe", format_name, data, name)[0])

    def read(self, format_name: str, data: bytes, name: str) -> list[RawRecord]:
        """Call a format's ``read``; raise what it raises, or say which limit it broke."""
        return unpack_records(*self._ask("read", format_name, data, name))

    def _ask(self, call: str, format_name: str, data: bytes, name: str) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            child = self._running()
            answer = _Answer(child, PATIENCE * self.timeout)
            question = {"call": call, "format": format_name, "name": name, "seconds": self.timeout}
            try:
                answer.exchange(question, data)
                message = receive(answer.read)
            except TimeoutError:
                self._end()
                raise self._too_long(name) from None
            except OSError:
                message = None
            if message is None:
                code = self._end()
                if code == -signal.SIGXCPU:
                    raise self._too_long(name)
                raise RecordError("READER_FAILED", f"its reader died ({_ending(code)})", where=name, remedy=_REMEDY)
        header, body = message
        if "code" in header:
            if header["code"] == "READER_MEMORY":
                header["remedy"] = "Raise convert.reader_memory if this is meant, or export the file again."
            raise RecordError(header["code"], header["message"], where=name, remedy=header["remedy"] or _REMEDY)
        return header, body

    def _too_long(self, name: str) -> RecordError:
        return RecordError(
            "READER_TIMEOUT",
            f"reading it takes longer than {self.timeout:g} seconds",
            where=name,
            remedy="Raise convert.reader_timeout if this is meant, or export the file again.",
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        # One thread per library: a reader is one of many on its machine, and idle threads take address space.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "spectroflow.formats.child", str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.starts += 1
        if receive(_Answer(self._child, _START_SECONDS).read) is None:
            code = self._end()
            raise RecordError(
                "READER_FAILED",
                f"the process that reads files did not start ({_ending(code)})",
                remedy="Run 'spectroflow doctor'.",
            )
        return self._child

    def _end(self) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        if child.poll() is None:
            if child.stdin is not None:
                try:
                    child.stdin.close()
                    child.wait(0.05)
                except (OSError, subprocess.TimeoutExpired):
                    child.kill()
            else:
                child.kill()
        code = child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        return code


class _Answer:
    """One exchange with a child, with a deadline on every byte."""

    def __init__(self, child: subprocess.Popen[bytes], timeout: float) -> None:
        if child.stdin is None or child.stdout is None:
            raise OSError("the child has no pipes")
        self._questions, self._answers = child.stdin, child.stdout
        self._deadline = time.monotonic() + timeout

    def exchange(self, header: dict[str, Any], data: bytes) -> None:
        """Send a question; the child reads all of it before it answers."""
        threading.Thread(target=self._send, args=(header, data), daemon=True).start()

    def _send(self, header: dict[str, Any], data: bytes) -> None:
        try:
            send(self._questions, header, data)
        except (OSError, ValueError):
            return

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer where the child closed its end."""
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while size > 0:
                left = self._deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                part = os.read(self._answers.fileno(), min(size, 1 << 20))
                if not part:
                    break
                parts.append(part)
                size -= len(part)
        return b"".join(parts)


def _ending(code: int | None) -> str:
    if code is None:
        return "without a trace"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
