"""What all benchmarks share: the command line, the goals, the machine, fair clocks.

A benchmark is a module with a ``measure(quick)`` that returns figures by name, and a list of goals::

    if __name__ == "__main__":
        common.main("peaks", measure, GOALS, __doc__)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "scipy", "numba", "zarr", "ray", "torch", "lmfit", "pybaselines")


@dataclass(frozen=True)
class Goal:
    """What a figure must reach.

    ``least`` and ``most`` are inclusive. ``quick`` says whether the shorter run gives the same figure, so that
    it can be judged by it.
    """

    key: str
    least: float | None = None
    most: float | None = None
    quick: bool = True

    @property
    def text(self) -> str:
        """The goal in words."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"

    def met(self, value: float) -> bool:
        """Return whether the figure reaches the goal."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def main(
    name: str, measure: Callable[[bool], Mapping[str, float]], goals: Sequence[Goal], description: str | None = None
) -> None:
    """Run a benchmark from the command line and print its table, or one JSON object with ``--json``."""
    options = parser(name, description).parse_args()
    show(result(name, measure(options.quick), goals, quick=options.quick), as_json=options.json)


def parser(name: str, description: str | None, parts: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the command line of a benchmark; one of several parts can measure some and take the others from a file."""
    out = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(description or "").split("\n")[0])
    out.add_argument("--quick", action="store_true", help="less work: at most 50 seconds")
    out.add_argument("--json", action="store_true", help="print one JSON object")
    if parts:
        out.add_argument("--only", action="append", choices=parts, help="measure this part only; repeatable")
        out.add_argument("--with", dest="earlier", metavar="FILE", help="an earlier result, for the other parts")
    return out


def in_parts(
    options: argparse.Namespace, parts: Sequence[str], measure: Callable[[str, dict[str, float]], Mapping[str, float]]
) -> dict[str, float]:
    """Return the figures of the parts that were asked for, over those of an earlier result.

    ``measure`` gets the part and the figures that there are already.
    """
    figures: dict[str, float] = json.loads(Path(options.earlier).read_text())["figures"] if options.earlier else {}
    for part in options.only or parts:
        figures |= measure(part, figures)
    return figures


def show(report: Mapping[str, Any], *, as_json: bool, after: str = "") -> None:
    """Print a report as one JSON object, or for people, followed by ``after``."""
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if as_json else table(report) + after)


def result(name: str, figures: Mapping[str, float], goals: Sequence[Goal], *, quick: bool) -> dict[str, Any]:
    """Return the object that the contract asks for; a goal whose figure was not taken has ``met`` null."""
    judged: dict[str, Any] = {}
    for goal in goals:
        known = goal.key in figures and (goal.quick or not quick)
        judged[goal.key] = {"goal": goal.text, "met": goal.met(figures[goal.key]) if known else None}
    return {"name": name, "commit": commit(), "machine": machine(), "figures": dict(figures), "goals": judged}


def table(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    width = max(map(len, report["figures"]), default=10)
    rows = [f"{report['name']} at {report['commit'][:12]} on {report['machine']['cpu']}"]
    for key, value in report["figures"].items():
        goal = report["goals"].get(key)
        verdict = (
            "" if goal is None else f"  {goal['goal']:>14}  {({True: 'met', False: 'NOT MET', None: '-'})[goal['met']]}"
        )
        rows.append(f"  {key:<{width}}  {value:>12.5g}{verdict}")
    rows += [f"  {key:<{width}}  {'not taken':>12}" for key in report["goals"] if key not in report["figures"]]
    return "\n".join(rows) + "\n"


def commit() -> str:
    """Return the commit of the working tree, with a plus where it is changed."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> dict[str, Any]:
    """Return what decides how fast things are here."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
    }


def cpu_seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the median CPU time that this process spends on ``work``."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def wall_seconds(work: Callable[[], Any]) -> float:
    """Return the time on the wall that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_data() -> Path | None:
    """Return the folder of real spectra, if there is one."""
    folder = os.environ.get("SPECTROFLOW_TEST_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None
