"""The executor that works in Ray actors, on this machine or on a cluster.

Ray gives processes, places for them and messages; attempts, time limits and replacement are the
driver's, so no actor is restarted and no call repeated by Ray.
"""

from __future__ import annotations

import os
import time
from typing import Any

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.events import Listener, Reason, WorkerLost, WorkerReleased, WorkerStarted
from spectroflow.engine.executor import Finished, Lost, Problem, Raised, Report, Task
from spectroflow.engine.preflight import (
    Canary,
    capacity,
    environment,
    require_resources,
    require_same_environment,
    require_shareable,
)
from spectroflow.engine.processor import Resources
from spectroflow.engine.ray_cluster import connect, last_line, nodes, one_line
from spectroflow.engine.ray_worker import Hand, Worker
from spectroflow.errors import UnitError, Unreachable

START_SECONDS = 300.0
_LOOK_SECONDS = 5.0
_HEADROOM = 4
_SETUP_DEATHS = 3
_IDLE_SECONDS = 30.0
"""A worker that had nothing to do for so long is let go, so that a cluster can give its node back."""


class RayExecutor:
    """Keeps workers alive and busy.

    Parameters
    ----------
    workshop
        What each worker gets.
    workers
        How many at most; None for as many as the cluster holds. The cluster is looked at again while the run
        goes on; a few more than it holds are asked for, so that one that can grow sees the demand.
    useful
        How many units there are: more workers than that would be idle.
    least
        How many must be ready before the first unit is given out.
    in_flight
        Calls that wait at each worker: of one task, or of several where units take milliseconds.
    emit
        Hears of workers that come and go.
    start_seconds
        How long to wait for a first worker before the run is given up.
    """

    def __init__(
        self,
        workshop: Workshop,
        *,
        workers: int | None,
        useful: int,
        least: int = 1,
        in_flight: int,
        emit: Listener,
        start_seconds: float | None = None,
    ) -> None:
        self._workshop = workshop
        self._wanted = workers
        self._useful = useful
        self._least = least
        self._in_flight = in_flight
        self._emit = emit
        self._start_seconds = START_SECONDS if start_seconds is None else start_seconds
        self._needs: Resources = workshop.processor.resources
        self._canary = Canary(workshop.run_dir)
        self._hands: list[Hand] = []
        self._opened = False
        self._made = 0
        self._setup_deaths = 0
        self._looked = 0.0
        self._idle_since = 0.0
        self._shared: Any = None
        self._environment = environment()

    def start(self) -> None:
        """Connect, check what the cluster has, and ask for workers."""
        import ray

        require_shareable(self._workshop.root)
        connect(int((self._wanted or 0) * self._needs.cpus + 0.999))
        require_resources(self._needs, nodes())
        self._shared = ray.put(self._workshop)
        self._canary.release()
        self._idle_since = time.monotonic()
        self._look()

    def listeners(self) -> list[Listener]:
        """Return what turns events into metrics of the cluster."""
        from spectroflow.engine.ray_metrics import RayMetrics

        return [RayMetrics(self._workshop.run_dir.name)]

    def free(self) -> int:
        """Return how many more tasks the ready workers would queue."""
        if not self._opened:
            self._opened = self.workers >= self._least
            if not self._opened:
                return 0
        return sum(max(0, self._in_flight * hand.batch - hand.queued) for hand in self._ready)

    def submit(self, task: Task) -> None:
        """Give a task to the worker with the shortest queue."""
        hand = min(self._ready, key=lambda hand: hand.queued)
        if not hand.queued:
            hand.since = time.monotonic()
        hand.given.append(task)

    def wait(self, timeout: float) -> list[Report]:
        """Return what has come back, who died, and who was ended because they hung."""
        import ray

        self._look()
        for hand in self._ready:
            hand.send()
        refs = [ref for hand in self._hands for ref in hand.awaited]
        if not refs:
            time.sleep(timeout)
            return []
        ready, rest = ray.wait(refs, num_returns=1, timeout=timeout, fetch_local=True)
        if ready and rest:
            more, _ = ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=True)
            ready += more
        known = set(ready)
        reports: list[Report] = []
        for hand in list(self._hands):
            if hand.greeting is None:
                if hand.greeting_ref in known:
                    self._greet(hand)
            else:
                self._collect(hand, known, reports)
        self._end_hung(reports)
        return reports

    def running(self) -> list[Task]:
        """Return the task at the head of each worker's queue."""
        return [hand.tasks[0] for hand in self._hands if hand.queued]

    @property
    def workers(self) -> int:
        """How many workers are ready."""
        return len(self._ready)

    @property
    def _ready(self) -> list[Hand]:
        return [hand for hand in self._hands if hand.greeting is not None]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the workers that are ready, by name; meaningful on their own node."""
        return {hand.name: hand.greeting.pid for hand in self._hands if hand.greeting is not None}

    def stop(self) -> None:
        """End all workers. Ray itself stays up for the next run of this process."""
        import ray

        for hand in self._hands:
            ray.kill(hand.actor, no_restart=True)
        self._hands = []
        if self._shared is not None:
            self._shared = None
            self._canary.withdraw()

    def _collect(self, hand: Hand, known: set[Any], reports: list[Report]) -> None:
        import ray

        while hand.calls and hand.calls[0][0] in known:
            ref, tasks = hand.calls[0]
            try:
                answers = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                answers = [Problem.of(error)] * len(tasks)
            except ray.exceptions.RayError as error:
                self._mourn(hand, hand.why_it_died(error), one_line(error), reports)
                return
            hand.calls.popleft()
            hand.since = time.monotonic()
            hand.learn([answer for answer in answers if isinstance(answer, Outcome)])
            reports += [
                Raised(task, answer) if isinstance(answer, Problem) else Finished(task, answer)
                for task, answer in zip(tasks, answers, strict=True)
            ]

    def _end_hung(self, reports: list[Report]) -> None:
        now = time.monotonic()
        for hand in list(self._hands):
            if hand.queued and now - hand.since > hand.tasks[0].timeout:
                limit = hand.tasks[0].timeout
                self._mourn(hand, "timeout", f"no answer within {limit:g} s", reports)

    def _mourn(self, hand: Hand, reason: Reason, detail: str, reports: list[Report]) -> None:
        """Take a worker off the list, make sure that it is dead, and give its tasks back."""
        import ray

        ray.kill(hand.actor, no_restart=True)
        self._hands.remove(hand)
        self._emit(WorkerLost(worker=hand.name, reason=reason, detail=detail))
        if hand.tasks:
            reports.append(Lost(hand.tasks, reason, detail))
        self._looked = 0.0

    def _greet(self, hand: Hand) -> None:
        import ray

        try:
            answer = ray.get(hand.greeting_ref)
        except ray.exceptions.RayTaskError as error:
            raise UnitError(
                f"a worker could not be given its work ({last_line(error)})",
                remedy="Make sure that every node can import the module of the processor.",
            ) from error
        except ray.exceptions.RayError as error:
            detail = one_line(error)
            self._mourn(hand, hand.why_it_died(error), detail, [])
            self._setup_deaths += 1
            if self._setup_deaths >= _SETUP_DEATHS:
                raise UnitError(
                    f"{self._setup_deaths} workers in a row died while they were set up ({detail})",
                    remedy="Run the command with --workers 0 to see why; what is done stays.",
                ) from error
            return
        if isinstance(answer, Problem):
            raise answer.known or UnitError(
                f"a worker could not be set up ({answer.kind}: {answer.text})", remedy="What is done stays."
            )
        require_same_environment(self._environment, answer.environment, answer.node[:8])
        self._canary.require_answer(hand.name, answer.node[:8])
        self._setup_deaths = 0
        hand.greeting = answer
        hand.since = time.monotonic()
        self._emit(WorkerStarted(worker=hand.name, node=answer.node[:8], pid=answer.pid))

    def _look(self) -> None:
        """Bring the number of workers to what is wanted, and give up where none comes."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._release_idle(now)
        here = nodes()
        holds = capacity(self._needs, here)
        wanted = holds if self._wanted is None else min(self._wanted, holds + _HEADROOM)
        while len(self._hands) < max(1, min(self._useful, max(self._least, wanted))):
            self._hands.append(self._make())
        if self._opened and self.workers:
            self._idle_since = now
        elif now - self._idle_since > self._start_seconds:
            raise Unreachable(
                f"{self.workers} of at least {self._least} workers were ready after {self._start_seconds:g} s, "
                f"on {len(here)} nodes that hold {holds} in all",
                remedy="Wait until other work on the cluster is done, or ask for fewer resources; the run resumes.",
            )

    def _release_idle(self, now: float) -> None:
        """Let workers go that found nothing to do while others work: the run is at its end."""
        import ray

        busy = any(hand.queued for hand in self._hands)
        idle = [hand for hand in self._hands if hand.greeting is not None and not hand.queued]
        for hand in idle if busy and self._opened else []:
            if now - hand.since > _IDLE_SECONDS:
                ray.kill(hand.actor, no_restart=True)
                self._hands.remove(hand)
                self._emit(WorkerReleased(worker=hand.name))
                self._useful = min(self._useful, len(self._hands))

    def _make(self) -> Hand:
        import ray

        self._made += 1
        name = f"worker-{os.getpid()}-{self._made:04d}"
        actor_class = ray.remote(Worker)
        actor = actor_class.options(
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus or None,
            memory=self._needs.memory_bytes or None,
            max_restarts=0,
            max_task_retries=0,
        ).remote(name)
        return Hand(name, actor, actor.setup.remote(self._shared, self._canary))
