"""One worker of the Ray executor: the actor, and what the driver knows of it."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.events import Reason
from spectroflow.engine.executor import Problem, Task, carry_out
from spectroflow.engine.memory import oom_kills
from spectroflow.engine.preflight import Canary, environment
from spectroflow.engine.ray_cluster import why_it_died
from spectroflow.engine.surroundings import record_surroundings

_CALL_SECONDS = 0.05
"""Work of one call at least, where units are shorter: a call costs about a millisecond on either side."""

_MOST_IN_CALL = 32


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker says of itself when it is ready."""

    name: str
    node: str
    pid: int
    environment: dict[str, str]
    oom_kills: int


class Worker:
    """Lives in an actor; does its tasks in order. Exceptions are answers, so that only death is an error."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._workshop: Workshop | None = None

    def setup(self, workshop: Workshop, canary: Canary) -> Greeting | Problem:
        """Prove that this node sees the driver's storage, and set the processor up."""
        import ray

        node = str(ray.get_runtime_context().get_node_id())
        try:
            canary.answer(self._name, node[:8])
            workshop.processor.setup()
            record_surroundings(workshop.run_dir, workshop.processor)
        except Exception as error:
            return Problem.of(error)
        self._workshop = workshop
        return Greeting(self._name, node, os.getpid(), environment(), oom_kills())

    def do(self, tasks: list[Task]) -> list[Outcome | Problem | None]:
        """Carry tasks out, one after the other."""
        assert self._workshop is not None
        return [carry_out(self._workshop, task) for task in tasks]


@dataclass(slots=True)
class Hand:
    """What the driver knows of one worker.

    Attributes
    ----------
    name, actor
        Its name and its handle.
    greeting_ref, greeting
        The answer that is awaited, and the answer once it is ready.
    calls
        What it was sent, in order: the answer that is awaited, and the tasks of the call.
    given
        Tasks that are its own but not sent yet.
    since
        When its first task became the first, or when it had none left.
    pace
        Seconds that a unit has lately taken; None before the first.
    """

    name: str
    actor: Any
    greeting_ref: Any
    greeting: Greeting | None = None
    calls: deque[tuple[Any, list[Task]]] = field(default_factory=deque)
    given: list[Task] = field(default_factory=list)
    since: float = 0.0
    pace: float | None = None

    @property
    def awaited(self) -> list[Any]:
        """The answers that may come from it."""
        return [self.greeting_ref] if self.greeting is None else [ref for ref, _ in self.calls]

    @property
    def tasks(self) -> list[Task]:
        """All its tasks, in order."""
        return [task for _, tasks in self.calls for task in tasks] + self.given

    @property
    def queued(self) -> int:
        """How many tasks it has."""
        return len(self.given) + sum(len(tasks) for _, tasks in self.calls)

    @property
    def batch(self) -> int:
        """How many tasks to send in one call: one, unless units take less time than a call is worth."""
        if self.pace is None:
            return 1
        return max(1, min(_MOST_IN_CALL, int(_CALL_SECONDS / max(self.pace, 1e-6))))

    def send(self) -> None:
        """Send what it was given, in calls of a batch each."""
        size = self.batch
        for first in range(0, len(self.given), size):
            tasks = self.given[first : first + size]
            self.calls.append((self.actor.do.remote(tasks), tasks))
        self.given = []

    def learn(self, outcomes: list[Outcome]) -> None:
        """Take the pace from units that it has done."""
        if outcomes:
            lately = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
            self.pace = lately if self.pace is None else (self.pace + lately) / 2

    def why_it_died(self, error: Exception) -> Reason:
        """Tell from what Ray raised why it is gone."""
        if self.greeting is None:
            return why_it_died(error, "", 0)
        return why_it_died(error, self.greeting.node, self.greeting.oom_kills)
