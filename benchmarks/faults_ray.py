"""Kills of workers, drivers and whole nodes of a Ray cluster, at each step and at random moments."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.faults_work import Sines, Tally, content, convert
from spectroflow.engine import Event, ExecuteOptions, RunResult, faults
from spectroflow.engine.events import Listener, ignore
from spectroflow.engine.ray_cluster import NAMESPACE
from spectroflow.storage import Location

ROWS = 400
LONG_ROWS = 1600
WORKERS = 3
STORE_BYTES = 80 << 20
PATIENCE = 240.0


@dataclass
class Kills:
    """Fault runs on one cluster, whose head does no work and whose other nodes do."""

    cluster: Any
    folder: Path
    tally: Tally
    rng: random.Random

    def run(self, root: Location, work: Sines, listener: Listener = ignore) -> RunResult:
        """Do the work on the cluster, driven by this process."""
        options = ExecuteOptions(backend="ray", workers=WORKERS, verify_fraction=0.0)
        return convert(root, work, options, listener)

    def undisturbed(self, rows: int) -> dict[str, str]:
        """Return the digests of an undisturbed run inline."""
        place = self.folder / f"undisturbed-{rows}"
        if not place.exists():
            convert(Location.parse(place), Sines(rows))
        return content(Location.parse(place))

    def place(self, name: str) -> Location:
        """Return a new folder for a run."""
        return Location.parse(self.folder / name.replace(" ", "-"))

    def workers_at_each_step(self) -> None:
        """One run in which a worker dies at each step of some unit."""
        units = [f"sines-{n:06d}" for n in range(3, 3 + len(faults.IN_UNIT))]
        pairs = zip(faults.IN_UNIT, units, strict=True)
        kind, root = "worker, each step of a unit", self.place("workers")
        lost = _Counter("worker_lost")
        result = self.run(root, Sines(ROWS, fault=",".join(f"{point}:{unit}:1" for point, unit in pairs)), lost)
        self.tally.kills[kind] += lost.count
        self.tally.judge(kind, root, ROWS, result, self.undisturbed(ROWS))

    def driver_at_each_step(self, points: tuple[str, ...] = faults.POINTS) -> None:
        """A worker that reaches a step of a unit ends the driver; at steps of the run the driver ends itself."""
        for point in points:
            kind, root = f"driver, {point}", self.place(f"driver-{point}")
            fault = f"{point}:{'sines-000005' if point in faults.IN_UNIT else '*'}:1"
            driver, receiver = self._driver(root, ROWS, fault, 0.0)
            driver.join(PATIENCE)
            receiver.close()
            self.tally.kills[kind] += driver.exitcode == -signal.SIGKILL
            self.tally.judge(kind, root, ROWS, convert(root, Sines(ROWS)), self.undisturbed(ROWS))

    def nodes_at_each_step(self, points: tuple[str, ...] = faults.IN_UNIT) -> None:
        """A worker that reaches a step ends the daemon of its node, and with it all workers there."""
        for number, point in enumerate(points):
            kind, root = f"node, {point}", self.place(f"node-{point}")
            work = Sines(ROWS, pause=0.05, fault=f"{point}:sines-{5 + number:06d}:1", victim="node")
            result = self.run(root, work)
            self.tally.kills[kind] += self._replace_dead_nodes()
            self.tally.judge(kind, root, ROWS, result, self.undisturbed(ROWS))

    def nodes_at_random(self, kills: int) -> None:
        """Remove a node at some moment of each run."""
        kind = "node, at random"
        for number in range(kills):
            root = self.place(f"node-{number}")
            due = self.rng.randrange(2, ROWS // 16 - 4)
            done = _Counter("unit_done")
            lost: list[Any] = []

            def disturb(event: Event, done: _Counter = done, due: int = due, lost: list[Any] = lost) -> None:
                done(event)
                if done.count == due and not lost:
                    lost.append(self.rng.choice(sorted(self.cluster.worker_nodes, key=lambda node: node.node_id)))
                    self.cluster.remove_node(lost[0], allow_graceful=False)

            result = self.run(root, Sines(ROWS, pause=0.1), disturb)
            self.tally.kills[kind] += len(lost)
            self._replace_dead_nodes()
            self.tally.judge(kind, root, ROWS, result, self.undisturbed(ROWS))

    def at_random(self, kills: int) -> None:
        """Kill workers, and one time in five the driver, at random moments until each run is done."""
        number = done = 0
        while done < kills:
            root = self.place(f"random-{number}")
            number += 1
            result: RunResult | None = None
            while result is None:
                result, killed = self._one_driver(root, kills - done)
                done += killed
            self.tally.judge("worker or driver, at random", root, LONG_ROWS, result, self.undisturbed(LONG_ROWS))
            shutil.rmtree(root.path)

    def _driver(self, root: Location, rows: int, fault: str, pause: float) -> tuple[Any, Connection]:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        driver = context.Process(target=_drive, args=(root.url, self.cluster.address, rows, fault, pause, sender))
        driver.start()
        sender.close()
        return driver, receiver

    def _one_driver(self, root: Location, most: int) -> tuple[RunResult | None, int]:
        """Start a driver and kill around it; return its result, or None where it was killed itself."""
        driver, receiver = self._driver(root, LONG_ROWS, "", 0.1)
        pids: list[int] = []
        killed = 0
        next_kill: float | None = None
        try:
            while True:
                now = time.monotonic()
                if receiver.poll(0.05 if next_kill is None else max(0.0, min(0.05, next_kill - now))):
                    heard = receiver.recv()
                    if isinstance(heard, RunResult):
                        driver.join()
                        return heard, killed
                    pids.append(heard)
                    next_kill = next_kill or now + self.rng.uniform(0.2, 2.0)
                if next_kill is not None and now >= next_kill and killed < most:
                    killed += 1
                    self.tally.kills["worker or driver, at random"] += 1
                    if self.rng.random() < 0.2:
                        driver.kill()
                        driver.join()
                        return None, killed
                    _kill(pids.pop(self.rng.randrange(len(pids))))
                    next_kill = now + self.rng.uniform(0.2, 2.0) if pids else None
        except EOFError:
            driver.join()
            raise RuntimeError(f"a driver ended by itself with exit code {driver.exitcode}") from None

    def _replace_dead_nodes(self) -> int:
        """Clear away what is left of dead nodes, put new ones in their place, and say how many there were."""
        died = [node for node in self.cluster.worker_nodes if node.dead_processes()]
        for node in died:
            self.cluster.remove_node(node, allow_graceful=False)
        while len(self.cluster.worker_nodes) < 2:
            _add_node(self.cluster)
        self.cluster.wait_for_nodes()
        return len(died)


@dataclass
class _Counter:
    """Counts the events of one name."""

    name: str
    count: int = 0

    def __call__(self, event: Event) -> None:
        self.count += event.name() == self.name


@contextmanager
def ray_kills(folder: Path, tally: Tally, rng: random.Random) -> Iterator[Kills]:
    """Start a cluster of a head and two nodes with two places each, and end it."""
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            _add_node(cluster)
        ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
        yield Kills(cluster, folder, tally, rng)
    finally:
        ray.shutdown()
        cluster.shutdown()


def _add_node(cluster: Any) -> None:
    cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)


def _drive(url: str, address: str, rows: int, fault: str, pause: float, events: Connection) -> None:
    """Be a driver on the parent's cluster, telling it who the workers are."""
    os.environ["RAY_ADDRESS"] = address
    os.environ[faults.VARIABLE] = fault

    def tell(event: Event) -> None:
        if event.name() == "worker_started":
            events.send(event.to_json()["pid"])

    work = Sines(rows, pause, fault, victim=str(os.getpid()))
    options = ExecuteOptions(backend="ray", workers=WORKERS, verify_fraction=0.0)
    events.send(convert(Location.parse(url), work, options, tell))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
