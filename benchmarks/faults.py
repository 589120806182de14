"""Kills of every kind, and whether anything was lost.

    python -m benchmarks.faults [--quick] [--json]

A run is killed with SIGKILL, resumed, killed again, and so on until it is done; then every object is
compared with that of an undisturbed run and every row is counted. ``kills`` is how many there were,
``failures`` how many finished runs differed in a byte or a figure, ``lost_rows`` how many rows were missing or
counted twice.

- The whole process inline, at each point of a unit and of finalizing, and at random moments.
- Workers and drivers on Ray, at random moments.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import presenting
from benchmarks.faults_work import Sines, content, expected
from spectroflow.engine import Event, ExecuteOptions, RunResult, all_failures, execute, faults, run_folder
from spectroflow.engine.ray_cluster import connect
from spectroflow.storage import Location

GOALS = {"kills": (">=", 540.0), "failures": ("=", 0.0), "lost_rows": ("=", 0.0)}
SCALED = frozenset({"kills"})

INLINE_ROWS = 200
RAY_ROWS = 1600
POINTS = tuple(point for point in faults.POINTS if "commit" not in point)


@dataclass
class Tally:
    """What was killed, and what came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    lost_rows: Counter[str] = field(default_factory=Counter)

    def judge(self, kind: str, root: Location, rows: int, result: RunResult, undisturbed: dict[str, str]) -> None:
        """Compare a finished run with an undisturbed one."""
        self.runs[kind] += 1
        wanted = expected(rows)
        self.lost_rows[kind] += sum(abs(result.codes.get(name, 0) - count) for name, count in wanted.items())
        failed = Counter(failure.code for _, failure in all_failures(run_folder(root, result.run)))
        partial = [info.path for info in root.walk() if info.path.endswith(".partial")]
        same = content(root) == undisturbed and result.metrics == {"rows": rows} and result.codes == wanted
        explained = failed == {name: count for name, count in wanted.items() if name != "OK"}
        self.failures[kind] += not (same and explained and not partial)

    def table(self) -> str:
        """Return one line for each kind of kill."""
        lines = ["", f"{'killed':<28} {'kills':>6} {'runs':>6} {'failures':>9} {'lost rows':>10}"]
        lines += [
            f"{kind:<28} {self.kills[kind]:>6} {self.runs[kind]:>6} {self.failures[kind]:>9} {self.lost_rows[kind]:>10}"
            for kind in self.runs
        ]
        return "\n".join(lines)


def run_inline(root: Location) -> RunResult:
    """Do the inline work, or what is left of it."""
    work = Sines(INLINE_ROWS)
    options = ExecuteOptions(backend="inline", verify_fraction=0.0)
    return execute(work.plan(), work, root, options=options, prepare=lambda _: work.layout.create(root, {}))


def _child(url: str, fault: str) -> None:
    os.environ[faults.VARIABLE] = fault
    run_inline(Location.parse(url))


def inline_kills(folder: Path, tally: Tally, at_random: int, rng: random.Random) -> None:
    """Kill forked copies of this process."""
    undisturbed = Location.parse(folder / "undisturbed")
    began = time.monotonic()
    run_inline(undisturbed)
    duration = time.monotonic() - began
    digests = content(undisturbed)
    units = [unit.id for unit in Sines(INLINE_ROWS).plan().units()]
    fork = multiprocessing.get_context("fork")

    def killed(root: Location, kind: str, fault: str, moment: float | None) -> bool:
        child = fork.Process(target=_child, args=(root.url, fault))
        child.start()
        if moment is not None:
            child.join(moment)
            child.kill()
        child.join()
        died = child.exitcode == -signal.SIGKILL
        tally.kills[kind] += died
        return died

    for point in POINTS:
        root = Location.parse(folder / point)
        for unit in (units[0], units[len(units) // 2], units[-1]):
            killed(root, point, f"{point}:{'*' if point == 'in-finalize' else unit}", None)
        tally.judge(point, root, INLINE_ROWS, run_inline(root), digests)
    kind, number = "inline, at random", 0
    while tally.kills[kind] < at_random:
        root = Location.parse(folder / f"random-{number}")
        number += 1
        while tally.kills[kind] < at_random and killed(root, kind, "", rng.uniform(0.0, duration)):
            pass
        tally.judge(kind, root, INLINE_ROWS, run_inline(root), digests)
        shutil.rmtree(root.path)


def _driver(url: str, address: str, events: Connection) -> None:
    """Run on the Ray cluster of the parent, telling it who the workers are."""
    os.environ["RAY_ADDRESS"] = address

    def tell(event: Event) -> None:
        if event.name() == "worker_started":
            events.send(event.to_json()["pid"])

    events.send(run_on_ray(Location.parse(url), listener=tell))


def run_on_ray(root: Location, **fields: Any) -> RunResult:
    """Do the work on Ray, or what is left of it."""
    work = Sines(RAY_ROWS, pause=0.1)
    options = ExecuteOptions(backend="ray", workers=3, verify_fraction=0.0)
    return execute(work.plan(), work, root, options=options, prepare=lambda _: work.layout.create(root, {}), **fields)


def ray_kills(folder: Path, tally: Tally, kills: int, rng: random.Random) -> None:
    """Kill workers, and now and then the driver, of runs on Ray."""
    connect(3)
    import ray

    address = ray.get_runtime_context().gcs_address
    undisturbed = Location.parse(folder / "ray-undisturbed")
    work = Sines(RAY_ROWS)
    options = ExecuteOptions(backend="inline", verify_fraction=0.0)
    execute(work.plan(), work, undisturbed, options=options, prepare=lambda _: work.layout.create(undisturbed, {}))
    digests, number, done = content(undisturbed), 0, 0
    while done < kills:
        root = Location.parse(folder / f"ray-{number}")
        number += 1
        result: RunResult | None = None
        while result is None:
            result, killed = _one_driver(root, address, tally, kills - done, rng)
            done += killed
        for kind in ("Ray, a worker", "Ray, the driver"):
            tally.runs[kind] += 1
        tally.judge("Ray, all runs", root, RAY_ROWS, result, digests)
        shutil.rmtree(root.path)
    ray.shutdown()


def _one_driver(
    root: Location, address: str, tally: Tally, most: int, rng: random.Random
) -> tuple[RunResult | None, int]:
    """Start a driver and kill around it; return its result, or None where it was killed itself."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    driver = context.Process(target=_driver, args=(root.url, address, sender))
    driver.start()
    sender.close()
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
                next_kill = next_kill or now + rng.uniform(0.2, 2.0)
            if next_kill is not None and now >= next_kill and killed < most:
                killed += 1
                if rng.random() < 0.2:
                    tally.kills["Ray, the driver"] += 1
                    driver.kill()
                    driver.join()
                    return None, killed
                tally.kills["Ray, a worker"] += 1
                _kill(pids.pop(rng.randrange(len(pids))))
                next_kill = now + rng.uniform(0.2, 2.0) if pids else None
    except EOFError:
        driver.join()
        raise RuntimeError(f"a driver ended by itself with exit code {driver.exitcode}") from None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def measure(quick: bool) -> tuple[dict[str, float], str]:
    """Return the figures and the table."""
    # Ray's processes inherit this environment: workers find this package where the driver did.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="faults-benchmark-"))
    tally, rng = Tally(), random.Random(0)
    try:
        inline_kills(folder, tally, 20 if quick else 500, rng)
        ray_kills(folder, tally, 3 if quick else 40, rng)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = {
        "kills": float(tally.kills.total()),
        "failures": float(tally.failures.total()),
        "lost_rows": float(tally.lost_rows.total()),
    }
    return figures, tally.table()


if __name__ == "__main__":
    presenting.main("faults", measure, GOALS, SCALED)
