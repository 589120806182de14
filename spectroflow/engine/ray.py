"""The executor that works in Ray actors, on this machine or on a cluster.

Ray gives processes, places for them and messages; attempts, time limits and replacement are the
driver's, so no actor is restarted and no call repeated by Ray.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.events import Listener, Reason, WorkerLost, WorkerStarted
from spectroflow.engine.executor import Finished, Lost, Problem, Raised, Report, Task, carry_out
from spectroflow.engine.memory import oom_kills
from spectroflow.engine.preflight import (
    Canary,
    Node,
    capacity,
    environment,
    require_resources,
    require_same_environment,
    require_shareable,
)
from spectroflow.engine.processor import Resources
from spectroflow.errors import UnitError, Unreachable

NAMESPACE = "spectroflow"

_OBJECT_STORE_BYTES = 128 << 20
START_SECONDS = 300.0
_LOOK_SECONDS = 5.0
_HEADROOM = 4
_SETUP_DEATHS = 3
_ASK_SECONDS = 30.0


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
    """What the driver knows of one worker."""

    name: str
    actor: Any
    greeting_ref: Any
    asked: float
    greeting: Greeting | None = None
    tasks: deque[tuple[Any, Task]] = field(default_factory=deque)
    head_since: float = 0.0


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
        Tasks that wait at each worker.
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
        return sum(self._in_flight - len(hand.tasks) for hand in self._hands if hand.greeting is not None)

    def submit(self, task: Task) -> None:
        """Give a task to the worker with the shortest queue."""
        hand = min((hand for hand in self._hands if hand.greeting is not None), key=lambda hand: len(hand.tasks))
        if not hand.tasks:
            hand.head_since = time.monotonic()
        hand.tasks.append((hand.actor.do.remote(task), task))

    def wait(self, timeout: float) -> list[Report]:
        """Return what has come back, who died, and who was ended because they hung."""
        import ray

        self._look()
        refs = [ref for hand in self._hands for ref in self._awaited(hand)]
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
        return [hand.tasks[0][1] for hand in self._hands if hand.tasks]

    @property
    def workers(self) -> int:
        """How many workers are ready."""
        return sum(hand.greeting is not None for hand in self._hands)

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

    def _awaited(self, hand: Hand) -> list[Any]:
        return [hand.greeting_ref] if hand.greeting is None else [ref for ref, _ in hand.tasks]

    def _collect(self, hand: Hand, known: set[Any], reports: list[Report]) -> None:
        import ray

        while hand.tasks and hand.tasks[0][0] in known:
            ref, task = hand.tasks[0]
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                answer = Problem.of(error)
            except ray.exceptions.RayError as error:
                self._mourn(hand, _reason(error, hand), _first_line(error), reports)
                return
            hand.tasks.popleft()
            hand.head_since = time.monotonic()
            reports.append(Raised(task, answer) if isinstance(answer, Problem) else Finished(task, answer))

    def _end_hung(self, reports: list[Report]) -> None:
        now = time.monotonic()
        for hand in list(self._hands):
            if hand.tasks and now - hand.head_since > hand.tasks[0][1].timeout:
                limit = hand.tasks[0][1].timeout
                self._mourn(hand, "timeout", f"no answer within {limit:g} s", reports)

    def _mourn(self, hand: Hand, reason: Reason, detail: str, reports: list[Report]) -> None:
        """Take a worker off the list, make sure that it is dead, and give its tasks back."""
        import ray

        ray.kill(hand.actor, no_restart=True)
        self._hands.remove(hand)
        self._emit(WorkerLost(worker=hand.name, reason=reason, detail=detail))
        if hand.tasks:
            reports.append(Lost([task for _, task in hand.tasks], reason, detail))
        self._looked = 0.0

    def _greet(self, hand: Hand) -> None:
        import ray

        try:
            answer = ray.get(hand.greeting_ref)
        except ray.exceptions.RayTaskError as error:
            raise UnitError(
                f"a worker could not be given its work ({_last_line(error)})",
                remedy="Make sure that every node can import the module of the processor.",
            ) from error
        except ray.exceptions.RayError as error:
            detail = _first_line(error)
            self._mourn(hand, _reason(error, hand), detail, [])
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
        self._emit(WorkerStarted(worker=hand.name, node=answer.node[:8], pid=answer.pid))

    def _look(self) -> None:
        """Bring the number of workers to what is wanted, and give up where none comes."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        here = nodes()
        holds = capacity(self._needs, here)
        wanted = holds if self._wanted is None else min(self._wanted, holds + _HEADROOM)
        while len(self._hands) < max(1, self._least, min(wanted, self._useful)):
            self._hands.append(self._make())
        if self._opened and self.workers:
            self._idle_since = now
        elif now - self._idle_since > self._start_seconds:
            raise Unreachable(
                f"{self.workers} of at least {self._least} workers were ready after {self._start_seconds:g} s, "
                f"on {len(here)} nodes that hold {holds} in all",
                remedy="Wait until other work on the cluster is done, or ask for fewer resources; the run resumes.",
            )

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
        return Hand(name, actor, actor.setup.remote(self._shared, self._canary), time.monotonic())


def connect(least_cpus: int = 0) -> None:
    """Join the cluster this process belongs to, or start Ray on this machine.

    A process that has joined one already, or that runs as a Ray Job (``RAY_ADDRESS`` is set), uses that.

    Raises
    ------
    Unreachable
        The cluster does not answer, or has another version of Ray or Python.
    """
    # Ray prints what its daemons report, such as the end of a worker, to stdout, which is the result's. The
    # engine hears of it anyway and tells it as events.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    import ray

    if ray.is_initialized():
        return
    common: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, **common)
            return
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, least_cpus),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            **common,
        )
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise Unreachable(
            f"Ray cannot be reached or started ({str(error).strip().splitlines()[0]})",
            where=address or "this machine",
            remedy="Check the address and that the cluster has the same versions of Ray and Python.",
        ) from error


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    import ray

    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            found.append(Node(node["NodeID"], has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("memory", 0.0)))
    return found


def _reason(error: Exception, hand: Hand) -> Reason:
    """Tell a lost node and exhausted memory from a crash.

    A worker's end is heard of before that of its node, which takes seconds to be noticed. So the node is
    asked: one that does not answer is as good as lost.
    """
    import ray

    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "memory"
    if getattr(error, "preempted", False):
        return "node"
    if hand.greeting is None:
        return "crashed"
    if hand.greeting.node not in {node.name for node in nodes()}:
        return "node"
    kills = _oom_kills_on(hand.greeting.node)
    if kills is None:
        return "node"
    return "memory" if kills > hand.greeting.oom_kills else "crashed"


def _oom_kills_on(node: str) -> int | None:
    """Ask a node for its count of kills for memory; None where it is dead or does not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    asked = ray.remote(oom_kills).options(num_cpus=0, scheduling_strategy=there, max_retries=0).remote()
    patience = time.monotonic() + _ASK_SECONDS
    while time.monotonic() < patience:
        if ray.wait([asked], timeout=1.0)[0]:
            try:
                return int(ray.get(asked))
            except ray.exceptions.RayError:
                return None
        if node not in {other.name for other in nodes()}:
            return None
    return None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:400] if lines else type(error).__name__


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:400] if lines else type(error).__name__
