"""A process of its own for tasks that may end theirs, for runs that have no workers.

An inline run dies with the record that kills it, and would die of it again each time it is resumed. So it
leaves a note of what it is at. A unit whose note says that processes ended twice over it is done in a cell,
whose end the run survives, so that its rows can be searched for the one at fault.
"""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from pickle import PickleError
from typing import Any

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.events import Reason
from spectroflow.engine.executor import Lost, Problem, Task, carry_out
from spectroflow.engine.finalize import PARTIAL_SUFFIX
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.memory import oom_kills
from spectroflow.engine.writing import write_in_run

FOLDER = "begun"
SUSPICIOUS = 2
"""So many processes must have ended over a unit before it is done in a cell."""

_START_SECONDS = 120.0


class Notes:
    """What inline runs were at when they ended: one object per unit, which holds how many did.

    A process that lives forgets its note when the unit is done or raised; what is left was begun and never
    ended.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._folder = workshop.run_dir / FOLDER
        ledger = Ledger(workshop.run_dir, workshop.fingerprint)
        self._ends: dict[str, int] = {}
        for unit_id in self._folder.list():
            if unit_id.endswith(PARTIAL_SUFFIX):
                continue
            if ledger.is_done(unit_id):
                self.forget(unit_id)
                continue
            with suppress(FileNotFoundError):  # another driver of the run has just come to its end
                self._ends[unit_id] = _number((self._folder / unit_id).read_bytes())

    def is_suspect(self, unit_id: str) -> bool:
        """Say whether too many processes ended while they were at a unit."""
        return self._ends.get(unit_id, 0) >= SUSPICIOUS

    def begin(self, unit_id: str) -> None:
        """Note that this process is at a unit from now on."""
        write_in_run(self._folder / unit_id, str(self._ends.get(unit_id, 0) + 1).encode())

    def forget(self, unit_id: str) -> None:
        """Forget a unit that came to an end."""
        self._ends.pop(unit_id, None)
        (self._folder / unit_id).delete()


def _number(text: bytes) -> int:
    """Return what a note says; one that is cut counts as suspicious."""
    return int(text) if text.isdigit() else SUSPICIOUS


class Cell:
    """A child process that does tasks of one run, one at a time, and is replaced when it dies."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._child: Any = None
        self._pipe: Connection | None = None

    def carry_out(self, task: Task) -> Outcome | Problem | Lost | None:
        """Do a task; a process that died of it, or took too long, is :class:`Lost`.

        Where there can be no child, the task is done in this process.
        """
        if self._pipe is None and not self._open():
            return carry_out(self._workshop, task)
        assert self._pipe is not None
        killed_before = oom_kills()
        try:
            self._pipe.send(task)
            if self._pipe.poll(None if task.timeout == float("inf") else task.timeout):
                answer: Outcome | Problem | None = self._pipe.recv()
                return answer
        except (EOFError, OSError):
            self._child.join()
            code = self._child.exitcode
            self.close()
            reason: Reason = "memory" if oom_kills() > killed_before else "crashed"
            return Lost([task], reason, f"a process of its own ended with code {code}")
        self.close()
        return Lost([task], "timeout", f"no answer within {task.timeout:g} s")

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child = None

    def _open(self) -> bool:
        """Start a child; False where none comes up, as where the main module cannot be imported."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        child = context.Process(target=_live, args=(theirs, self._workshop), daemon=True)
        try:
            child.start()
            self._child = child
            theirs.close()
            if self._pipe.poll(_START_SECONDS) and self._pipe.recv() is True:
                return True
        except (EOFError, OSError, PickleError, AttributeError, TypeError):
            # The last three are what a processor raises that cannot go to another process.
            pass
        self.close()
        return False


def _live(pipe: Connection, workshop: Workshop) -> None:
    """Do tasks until the parent is gone."""
    workshop.processor.setup()
    answer: object = True
    while True:
        try:
            pipe.send(answer)
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        answer = carry_out(workshop, task)
