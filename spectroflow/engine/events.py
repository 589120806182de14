"""What happens in a run, as one stream of typed events.

The progress bar, the log, the metrics and ``status`` are all made from it. Each event is a frozen
dataclass; in the log it is a JSON object with ``event`` (its name) and ``time`` (seconds since 1970,
for people only: nothing is decided by it).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

Reason = str
"""Why a worker or an attempt was lost: ``crashed``, ``memory``, ``timeout``, ``node`` or ``error``."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    kinds: ClassVar[dict[str, type[Event]]] = {}
    time: float = field(default_factory=time.time)

    def __init_subclass__(cls) -> None:
        Event.kinds[cls.name()] = cls

    @classmethod
    def name(cls) -> str:
        """Return the name of the event, for example ``unit_done``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def to_json(self) -> dict[str, Any]:
        """Return the event as a JSON object."""
        return {"event": self.name(), **asdict(self)}

    @staticmethod
    def from_json(line: str | bytes) -> Event | None:
        """Read an event; None for one that this version does not know, or for a line cut short."""
        try:
            tree = json.loads(line)
            return Event.kinds[tree.pop("event")](**tree)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A run begins, or goes on: ``resumed_units`` were done before."""

    run: str
    job: str
    units: int
    rows: int
    resumed_units: int
    backend: str


@dataclass(frozen=True, kw_only=True)
class UnitStarted(Event):
    """A unit was given to a worker."""

    unit: str
    attempt: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class UnitDone(Event):
    """A unit has its marker; ``memory`` is the worker's peak so far, in bytes."""

    unit: str
    attempt: int
    rows: int
    failed: int
    skipped: int
    seconds: float
    bytes: int
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class UnitRetried(Event):
    """An attempt came to nothing, and the unit will be tried again."""

    unit: str
    attempt: int
    reason: Reason
    detail: str


@dataclass(frozen=True, kw_only=True)
class UnitSearched(Event):
    """A unit ended its process too often; the row that does it is searched for."""

    unit: str
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class RowCondemned(Event):
    """A row that ends its process was found; it gets the status ``code``."""

    unit: str
    row: int
    code: str


@dataclass(frozen=True, kw_only=True)
class UnitFailed(Event):
    """A unit cannot be done; the run will stop."""

    unit: str
    attempt: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class WorkerStarted(Event):
    """A worker is ready."""

    worker: str
    node: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class WorkerLost(Event):
    """A worker died or was ended; its units are given to others."""

    worker: str
    reason: Reason
    detail: str


@dataclass(frozen=True, kw_only=True)
class WorkerReleased(Event):
    """A worker was let go because nothing is left for it to do."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class MemoryAbovePlan(Event):
    """A worker took more memory than was planned for it; told once in a run. Both are in bytes."""

    unit: str
    memory: int
    planned: int


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far the run is.

    ``rows_per_second`` is a recent average and None before there is one; ``eta_seconds`` likewise.
    ``running`` names units in work, at most a hundred of them.
    """

    units_done: int
    units: int
    rows_done: int
    rows: int
    failed: int
    skipped: int
    workers: int
    rows_per_second: float | None
    eta_seconds: float | None
    running: list[str]


@dataclass(frozen=True, kw_only=True)
class FinalizeStarted(Event):
    """Every unit has a marker; they are verified and merged now."""

    run: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The run is complete; nothing of it is part of the archive before it is committed."""

    run: str
    rows: int
    ok: int
    failed: int
    skipped: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunStopped(Event):
    """The run ended early; the same command resumes it."""

    run: str
    reason: str


Listener = Callable[[Event], None]
"""Whoever wants to hear; called on the driver, one event after the other."""


def ignore(event: Event) -> None:
    """Listen to nothing."""
