"""Copies of markers, a thousand to an object, so that a quarter of a million need not be read one by one.

The markers decide what is done; a rollup only saves reading them. The driver writes one for every
thousand units that it hears of. A copy counts while the marker is there in the copy's size, and copies are
thrown away together as soon as one marker is taken back. What has no copy is read itself.

They are for object stores, where each reading is a request and where the store answers for its bytes. On
disks, which do not, and which give ten thousand small files a second, every marker is read.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from spectroflow.errors import SpectroFlowError
from spectroflow.storage import Location

FOLDER = "rollups"

_LINES = 1000
_HELD = 20_000
_BEGIN = b'{"unit":"'


def has_rollups(run_dir: Location) -> bool:
    """Say whether markers there are worth copying."""
    return not run_dir.is_local


class RollupWriter:
    """Collects markers as they come in. Failing to write is no harm, so it is no error."""

    def __init__(self, run_dir: Location) -> None:
        self._active = has_rollups(run_dir)
        self._folder = run_dir / FOLDER
        self._lines: list[bytes] = []
        self._written = 0
        self._prefix = f"{time.time_ns():020d}"

    def add(self, line: bytes) -> None:
        """Keep a marker; it is one line of JSON."""
        if line and self._active:
            self._lines.append(line)
        if len(self._lines) >= _LINES:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        self._written += 1
        with suppress(OSError, SpectroFlowError):
            place = self._folder / f"{self._prefix}-{self._written:06d}.jsonl"
            place.write_bytes(b"\n".join(self._lines) + b"\n")
        self._lines = []


class RollupReader:
    """Finds copies of markers that are asked for in the order, more or less, in which they were made.

    Rollups are read one after the other as they are needed; a bounded number of copies is held.
    """

    def __init__(self, run_dir: Location) -> None:
        folder = run_dir / FOLDER
        names = folder.list() if has_rollups(run_dir) else []
        self._unread = deque(folder / name for name in names if name.endswith(".jsonl"))
        self._held: dict[str, bytes] = {}

    def take(self, unit_id: str, size: int) -> bytes | None:
        """Return the copy of a marker of that size, or None."""
        while unit_id not in self._held and self._unread and len(self._held) < _HELD:
            self._read(self._unread.popleft())
        line = self._held.pop(unit_id, None)
        return line if line is not None and len(line) == size else None

    def _read(self, place: Location) -> None:
        try:
            lines = place.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            if line.startswith(_BEGIN):
                self._held[line[len(_BEGIN) : line.index(b'"', len(_BEGIN))].decode()] = line


def discard_rollups(run_dir: Location) -> None:
    """Throw all copies away, because a marker is taken back."""
    if has_rollups(run_dir):
        (run_dir / FOLDER).delete_tree()
