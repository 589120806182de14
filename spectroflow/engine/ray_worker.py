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


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker says of itself when it is ready."""

    name: str
    node: str
    pid: int
    environment: dict[str, str]
    oom_kills: int


class Worker:
    """Lives in an actor; does one task at a time. Exceptions are answers, so that only death is an error."""

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
        except Exception as error:
            return Problem.of(error)
        self._workshop = workshop
        return Greeting(self._name, node, os.getpid(), environment(), oom_kills())

    def do(self, task: Task) -> Outcome | Problem | None:
        """Carry a task out."""
        assert self._workshop is not None
        return carry_out(self._workshop, task)


@dataclass(slots=True)
class Hand:
    """What the driver knows of one worker.

    Attributes
    ----------
    name, actor
        Its name and its handle.
    greeting_ref, greeting
        The answer that is awaited, and the answer once it is ready.
    tasks
        What it was given, in order, each with the answer that is awaited.
    since
        When its first task became the first, or when it had none left.
    """

    name: str
    actor: Any
    greeting_ref: Any
    greeting: Greeting | None = None
    tasks: deque[tuple[Any, Task]] = field(default_factory=deque)
    since: float = 0.0

    @property
    def awaited(self) -> list[Any]:
        """The answers that may come from it."""
        return [self.greeting_ref] if self.greeting is None else [ref for ref, _ in self.tasks]

    def why_it_died(self, error: Exception) -> Reason:
        """Tell from what Ray raised why it is gone."""
        if self.greeting is None:
            return why_it_died(error, "", 0)
        return why_it_died(error, self.greeting.node, self.greeting.oom_kills)
