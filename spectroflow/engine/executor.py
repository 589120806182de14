"""The small interface between the driver, which owns attempts, and whatever carries tasks out."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.events import Listener, Reason
from spectroflow.engine.unit import Unit
from spectroflow.errors import SpectroFlowError
from spectroflow.storage import is_storage_refusal


@dataclass(frozen=True, slots=True)
class Task:
    """Work for one worker: an attempt of a unit, or a probe of some of its rows.

    Attributes
    ----------
    unit, attempt
        What to do, and which attempt of the driver it is.
    skip
        Row -> status name for rows that must not be touched.
    probe
        The rows to compute without writing; None for an attempt.
    timeout
        Seconds after its start at which the task counts as hung.
    """

    unit: Unit
    attempt: int
    skip: Mapping[int, str] = field(default_factory=dict)
    probe: range | None = None
    timeout: float = float("inf")


@dataclass(frozen=True, slots=True)
class Problem:
    """An exception that a task ended with, in a form that crosses process borders.

    Attributes
    ----------
    kind, text
        Its class name and its message.
    trace
        Where it came from.
    known
        The exception itself where it is one of ours.
    storage
        Whether the storage refused: full, read-only, gone.
    memory
        Whether memory ran out.
    """

    kind: str
    text: str
    trace: str
    known: SpectroFlowError | None = None
    storage: bool = False
    memory: bool = False

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """Describe an exception."""
        return cls(
            kind=type(error).__name__,
            text=str(error),
            trace="".join(traceback.format_exception(error)),
            known=error if isinstance(error, SpectroFlowError) else None,
            storage=is_storage_refusal(error),
            memory=isinstance(error, MemoryError),
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A task came to its end; a probe has no outcome."""

    task: Task
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Raised:
    """A task ended with an exception; its worker goes on."""

    task: Task
    problem: Problem


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, and with it the task it was at and those that waited for it, in that order."""

    tasks: list[Task]
    reason: Reason
    detail: str


Report = Finished | Raised | Lost


class Executor(Protocol):
    """Carries tasks out. It never tries again by itself: attempts belong to the driver."""

    def start(self) -> None:
        """Get workers; raise :class:`~spectroflow.errors.Unreachable` where there can be none."""

    def listeners(self) -> list[Listener]:
        """Return who else wants to hear of the run, once started."""
        ...

    def free(self) -> int:
        """Return how many tasks it would take now."""
        ...

    def submit(self, task: Task) -> None:
        """Take a task."""

    def wait(self, timeout: float) -> list[Report]:
        """Return what has happened, waiting at most ``timeout`` seconds for anything to."""
        ...

    def running(self) -> list[Task]:
        """Return the tasks in work."""
        ...

    @property
    def workers(self) -> int:
        """How many workers are ready."""
        ...

    def stop(self) -> None:
        """End the workers; what they had begun stays undone."""


def carry_out(workshop: Workshop, task: Task) -> Outcome | Problem | None:
    """Do a task in this process; exceptions come back as values."""
    try:
        if task.probe is None:
            return workshop.attempt(task.unit, task.attempt, task.skip)
        workshop.probe(task.unit, task.probe)
    except Exception as error:
        return Problem.of(error)
    return None
