"""The driver's loop: gives units to an executor and decides what becomes of each report.

Attempts, time limits, retries and the search for killing rows are decided here and nowhere else, so
that their counts are exact. What is done is in the ledger; this loop can die at any time.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from spectroflow.engine.attempt import Outcome
from spectroflow.engine.culprit import Search
from spectroflow.engine.events import (
    Listener,
    Reason,
    RowCondemned,
    UnitDone,
    UnitFailed,
    UnitRetried,
    UnitSearched,
    UnitStarted,
)
from spectroflow.engine.executor import Executor, Finished, Lost, Problem, Raised, Task
from spectroflow.engine.unit import Unit
from spectroflow.errors import SpectroFlowError, UnitError, Unreachable
from spectroflow.status import code_of, outcome_of
from spectroflow.storage import storage_refusal

_PATIENCE = 0.5
_SHORTEST_PROBE = 60.0
_NODE_LOSSES = 20


@dataclass(slots=True)
class Case:
    """What the driver remembers of a unit that gave trouble.

    Attributes
    ----------
    errors, deaths, node_losses
        How often an attempt raised, ended its worker, or went down with its node.
    skip
        Rows that were condemned, with their status.
    search
        The search that is going on.
    searches
        How many there were.
    """

    unit: Unit
    errors: int = 0
    deaths: int = 0
    node_losses: int = 0
    skip: dict[int, str] = field(default_factory=dict)
    search: Search | None = None
    searches: int = 0

    @property
    def attempt(self) -> int:
        """The number of the attempt that comes next, from 1."""
        return 1 + self.errors + self.deaths + self.node_losses


class Dispatcher:
    """Brings units to their markers.

    Parameters
    ----------
    executor
        What carries tasks out.
    recall
        The outcome of a unit that has its marker, else None: to tell the task that ended a worker from one
        whose answer was lost with it.
    keep
        Gets the outcome of every unit.
    attempts
        Times a unit may raise, and times it may end its worker before its rows are searched.
    unit_timeout
        Seconds after which a unit counts as hung.
    max_condemned
        Most rows of one unit that may be given up.
    emit
        Hears of everything.
    tick
        Called at least twice a second, for progress.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        recall: Callable[[str], Outcome | None],
        keep: Callable[[Outcome], None],
        attempts: int,
        unit_timeout: float,
        max_condemned: int,
        emit: Listener,
        tick: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._recall = recall
        self._keep = keep
        self._attempts = attempts
        self._unit_timeout = unit_timeout
        self._max_condemned = max_condemned
        self._emit = emit
        self._tick = tick
        self._cases: dict[str, Case] = {}
        self._ready: deque[Task] = deque()
        self._later: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()
        self._open = 0

    def run(self, units: Iterator[Unit]) -> None:
        """Do all units.

        Raises
        ------
        UnitError
            A unit cannot be done: it raised or ended its worker too often.
        Unreachable
            The storage refused, or there are no workers.
        SpectroFlowError
            What a unit raised, where that is one of ours: trying again would not help.
        """
        left = True
        while True:
            self._wake()
            while self._executor.free() > 0:
                task = self._ready.popleft() if self._ready else None
                if task is None and left:
                    unit = next(units, None)
                    left = unit is not None
                    task = None if unit is None else self._attempt(Case(unit))
                    self._open += task is not None
                if task is None:
                    break
                self._executor.submit(task)
                if task.probe is None:
                    self._emit(UnitStarted(unit=task.unit.id, attempt=task.attempt, rows=len(task.unit)))
            if not left and self._open == 0:
                return
            for report in self._executor.wait(self._rest()):
                match report:
                    case Finished():
                        self._finished(report)
                    case Raised():
                        self._raised(report.task, report.problem)
                    case Lost():
                        self._lost(report)
            self._tick()

    def _finished(self, report: Finished) -> None:
        task = report.task
        if task.probe is not None:
            self._probed(self._cases[task.unit.id], None)
            return
        self._open -= 1
        self._cases.pop(task.unit.id, None)
        if report.outcome is not None:
            done = report.outcome
            self._keep(done)
            by_outcome = {"ok": 0, "failed": 0, "skipped": 0}
            for name, count in done.codes.items():
                by_outcome[outcome_of(code_of(name))] += count
            self._emit(
                UnitDone(
                    unit=done.unit,
                    attempt=task.attempt,
                    rows=done.rows,
                    failed=by_outcome["failed"],
                    skipped=by_outcome["skipped"],
                    seconds=done.seconds,
                    bytes=done.size,
                    memory=done.memory,
                )
            )

    def _raised(self, task: Task, problem: Problem) -> None:
        case = self._cases.setdefault(task.unit.id, Case(task.unit))
        if problem.memory:
            self._died(case, task, "memory", f"{problem.kind}: {problem.text}")
            return
        if task.probe is not None:
            # An exception is not a death: the rows did not end their process.
            self._probed(case, None)
            return
        case.errors += 1
        detail = f"{problem.kind}: {problem.text}" if problem.text else problem.kind
        hopeless = problem.known is not None and not isinstance(problem.known, Unreachable)
        if hopeless or case.errors >= self._attempts:
            self._emit(UnitFailed(unit=task.unit.id, attempt=task.attempt, detail=detail))
            raise _stop(task.unit, problem, case.errors)
        self._emit(UnitRetried(unit=task.unit.id, attempt=task.attempt, reason="error", detail=detail))
        self._put_off(self._attempt(case), _PATIENCE * 2**case.errors)

    def _lost(self, report: Lost) -> None:
        """Blame the task that the worker was at; those behind it are given back.

        Tasks in front that have their marker have only lost their answer. Nobody can tell then whether the
        next one had begun, so nobody is blamed. The next loss has another task in front, so this ends.
        """
        tasks = deque(report.tasks)
        answers_lost = False
        while tasks and tasks[0].probe is None and (outcome := self._recall(tasks[0].unit.id)) is not None:
            answers_lost = True
            self._finished(Finished(tasks.popleft(), outcome))
        first = tasks.popleft() if tasks and not answers_lost else None
        self._ready.extendleft(reversed(tasks))
        if first is not None:
            case = self._cases.setdefault(first.unit.id, Case(first.unit))
            self._died(case, first, report.reason, report.detail)

    def _died(self, case: Case, task: Task, reason: Reason, detail: str) -> None:
        if reason == "node":
            case.node_losses += 1
            if case.node_losses > _NODE_LOSSES:
                raise UnitError(
                    f"the unit {case.unit.id} lost its node {case.node_losses} times",
                    where=case.unit.id,
                    remedy="Run it on nodes that stay, or make units smaller; the same command resumes.",
                )
            self._ready.append(self._probe(case) if task.probe is not None else self._attempt(case))
            self._emit(UnitRetried(unit=case.unit.id, attempt=task.attempt, reason=reason, detail=detail))
            return
        if task.probe is not None:
            self._probed(case, reason)
            return
        case.deaths += 1
        if case.deaths % self._attempts:
            self._emit(UnitRetried(unit=case.unit.id, attempt=task.attempt, reason=reason, detail=detail))
            self._ready.append(self._attempt(case))
            return
        self._begin_search(case, reason)

    def _begin_search(self, case: Case, reason: Reason) -> None:
        case.searches += 1
        case.search = Search(case.unit.rows, frozenset(case.skip), self._max_condemned - len(case.skip))
        self._emit(UnitSearched(unit=case.unit.id, reason=reason))
        self._go_on(case)

    def _probed(self, case: Case, reason: Reason | None) -> None:
        assert case.search is not None
        before = len(case.search.found)
        case.search.feed(reason)
        for row, code in list(case.search.found.items())[before:]:
            self._emit(RowCondemned(unit=case.unit.id, row=row, code=code))
        self._go_on(case)

    def _go_on(self, case: Case) -> None:
        """Probe on, or, when the search is over, try the unit without the rows that were found."""
        search = case.search
        assert search is not None
        if search.next() is not None:
            self._ready.append(self._probe(case))
            return
        case.search = None
        fruitless = not search.found and case.searches > 1
        if search.exhausted or fruitless:
            what = "no single record does it" if fruitless else f"more than {self._max_condemned} of its records do it"
            self._emit(UnitFailed(unit=case.unit.id, attempt=case.attempt, detail=what))
            raise UnitError(
                f"the unit {case.unit.id} ended its worker {case.deaths} times, and {what}",
                where=case.unit.id,
                remedy="Give workers more memory or make units smaller; what is done stays, the same command resumes.",
            )
        case.skip.update(search.found)
        self._ready.append(self._attempt(case))

    def _attempt(self, case: Case) -> Task:
        return Task(case.unit, case.attempt, dict(case.skip), timeout=self._unit_timeout)

    def _probe(self, case: Case) -> Task:
        assert case.search is not None
        rows = case.search.next()
        assert rows is not None
        share = self._unit_timeout * len(rows) / len(case.unit)
        limit = min(self._unit_timeout, max(_SHORTEST_PROBE, share))
        return Task(case.unit, case.attempt, probe=rows, timeout=limit)

    def _put_off(self, task: Task, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), task))

    def _wake(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._ready.append(heapq.heappop(self._later)[2])

    def _rest(self) -> float:
        """Seconds the loop may sleep: not past the next task that was put off."""
        if not self._later:
            return 0.5
        return max(0.0, min(0.5, self._later[0][0] - time.monotonic()))


def _stop(unit: Unit, problem: Problem, attempts: int) -> SpectroFlowError:
    """Return the error that the run ends with."""
    if problem.known is not None:
        return problem.known
    text = f"{problem.kind}: {problem.text}" if problem.text else problem.kind
    if problem.storage:
        return storage_refusal(text, unit.id)
    error = UnitError(
        f"the unit {unit.id} failed {attempts} times ({text})",
        where=unit.id,
        remedy="What is done stays; the same command resumes.",
    )
    error.add_note(problem.trace)
    return error
