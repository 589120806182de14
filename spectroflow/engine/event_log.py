"""The log of a run: its events as JSON lines, readable while the run goes on and after it.

On local disks the log is one file, ``events.jsonl``, that grows by whole lines. Objects cannot grow,
so elsewhere it is a folder of parts, ``events/<time>-<number>.jsonl``, each written once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from spectroflow.engine.events import Event, Progress, UnitStarted
from spectroflow.storage import Location

LOG_NAME = "events.jsonl"
PARTS_FOLDER = "events"

_PART_SECONDS = 20.0
_PART_LINES = 5000
_TAIL_BYTES = 1 << 16


class EventLog:
    """Writes events below a run's folder; a listener.

    ``UnitStarted`` is left out: ``Progress`` names the units in work, and there may be millions of units.
    """

    def __init__(self, run_dir: Location) -> None:
        self._run_dir = run_dir
        self._lines: list[str] = []
        self._file: IO[str] | None = None
        self._part = 0
        self._prefix = f"{time.time_ns():020d}"
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        if self._run_dir.is_local:
            path = Path((self._run_dir / LOG_NAME).path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)
            if self._file.tell():
                # A line that a killed driver left unfinished must not swallow the first of ours.
                self._file.write("\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        else:
            self._flush()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, UnitStarted):
            return
        line = json.dumps(event.to_json(), separators=(",", ":"))
        if self._file is not None:
            # A disk that is full stops the run where it loses something, and the log is not that.
            with suppress(OSError):
                self._file.write(line + "\n")
            return
        self._lines.append(line)
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._written > _PART_SECONDS:
            self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        self._part += 1
        place = self._run_dir / PARTS_FOLDER / f"{self._prefix}-{self._part:06d}.jsonl"
        place.write_bytes(("\n".join(self._lines) + "\n").encode())
        self._lines = []
        self._written = time.monotonic()


def read_events(run_dir: Location) -> Iterator[Event]:
    """Yield the events of a run in the order they were written; lines that are not whole are left out."""
    if run_dir.is_local:
        try:
            chunks = [(run_dir / LOG_NAME).read_bytes()]
        except FileNotFoundError:
            return
    else:
        folder = run_dir / PARTS_FOLDER
        chunks = [(folder / name).read_bytes() for name in folder.list()]
    for chunk in chunks:
        for line in chunk.splitlines():
            event = Event.from_json(line)
            if event is not None:
                yield event


def last_progress(run_dir: Location) -> Progress | None:
    """Return how far the run last said it was, from the end of its log; None where it has not said.

    Progress is told every few seconds while a run goes on, so that the age of this event tells whether a
    driver is alive.
    """
    found = last_event(run_dir, Progress)
    return found if isinstance(found, Progress) else None


def last_event(run_dir: Location, *kinds: type[Event]) -> Event | None:
    """Return the newest event of some kinds, from the end of the log; None where it does not hold one."""
    if run_dir.is_local:
        places = [run_dir / LOG_NAME]
    else:
        folder = run_dir / PARTS_FOLDER
        places = [folder / name for name in reversed(folder.list())]
    for place in places:
        try:
            lines = place.read_bytes(-_TAIL_BYTES).splitlines()
        except FileNotFoundError:
            continue
        for line in reversed(lines):
            event = Event.from_json(line)
            if isinstance(event, kinds):
                return event
    return None
