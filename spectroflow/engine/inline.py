"""The executor that works in this process, one task at a time, without Ray."""

from __future__ import annotations

import time
from collections import deque

from spectroflow.engine.attempt import Workshop
from spectroflow.engine.events import Listener
from spectroflow.engine.executor import Finished, Problem, Raised, Report, Task, carry_out


class InlineExecutor:
    """Does each task when it is waited for. A task that kills its process kills the run, which resumes."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._tasks: deque[Task] = deque()

    def start(self) -> None:
        """Set the processor up in this process."""
        self._workshop.processor.setup()

    def listeners(self) -> list[Listener]:
        """Return none."""
        return []

    def free(self) -> int:
        """Return 1 while no task is held."""
        return 1 - len(self._tasks)

    def submit(self, task: Task) -> None:
        """Hold a task until it is waited for."""
        self._tasks.append(task)

    def wait(self, timeout: float) -> list[Report]:
        """Do the task that is held, however long it takes."""
        if not self._tasks:
            time.sleep(timeout)
            return []
        task = self._tasks[0]
        result = carry_out(self._workshop, task)
        self._tasks.popleft()
        return [Raised(task, result) if isinstance(result, Problem) else Finished(task, result)]

    def running(self) -> list[Task]:
        """Return the task that is held."""
        return list(self._tasks)

    @property
    def workers(self) -> int:
        """One: this process."""
        return 1

    def stop(self) -> None:
        """Let go of the task that is held."""
        self._tasks.clear()
