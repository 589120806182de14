"""The executor that works in this process, one task at a time, without Ray."""

from __future__ import annotations

import time
from collections import deque

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.cell import Cell, Notes
from spectroflow.engine.events import Listener
from spectroflow.engine.executor import Finished, Lost, Problem, Raised, Report, Task, carry_out
from spectroflow.engine.surroundings import record_surroundings


class InlineExecutor:
    """Does each task when it is waited for.

    A task that kills its process kills the run, which resumes; a unit that did so twice is done in a process
    of its own.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._tasks: deque[Task] = deque()
        self._notes: Notes | None = None
        self._cell = Cell(workshop)

    def start(self) -> None:
        """Set the processor up in this process."""
        self._workshop.processor.setup()
        record_surroundings(self._workshop.run_dir, self._workshop.processor)
        if not self._workshop.root.is_memory:
            self._notes = Notes(self._workshop)

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
        report = self._report(task)
        self._tasks.popleft()
        return [report]

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
        self._cell.close()

    def _report(self, task: Task) -> Report:
        notes = self._notes
        if notes is None:
            return _told(task, carry_out(self._workshop, task))
        if notes.is_suspect(task.unit.id):
            report = _told(task, self._cell.carry_out(task))
            if isinstance(report, Finished) and task.probe is None:
                notes.forget(task.unit.id)
            return report
        notes.begin(task.unit.id)
        try:
            return _told(task, carry_out(self._workshop, task))
        finally:
            notes.forget(task.unit.id)


def _told(task: Task, result: Outcome | Problem | Lost | None) -> Report:
    if isinstance(result, Lost):
        return result
    return Raised(task, result) if isinstance(result, Problem) else Finished(task, result)
