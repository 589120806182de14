"""How a benchmark shows its figures: a table for people, or one JSON object."""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

Goals = Mapping[str, tuple[str, float]]
"""Figure -> how it should compare with what, for example ``("<=", 1.05)``."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
    "=": operator.eq,
}


def main(
    name: str, measure: Callable[[bool], tuple[dict[str, float], str]], goals: Goals, scaled: Collection[str]
) -> None:
    """Run a benchmark from the command line.

    Parameters
    ----------
    name
        Of the benchmark.
    measure
        Called with whether to be quick; returns the figures and more text for people.
    goals
        What figures are to reach.
    scaled
        Figures that a quick run cannot judge.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="less work, at most 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    figures, text = measure(arguments.quick)
    judged = {
        key: {
            "goal": f"{sign} {limit:g}",
            "met": None if arguments.quick and key in scaled else _COMPARE[sign](figures[key], limit),
        }
        for key, (sign, limit) in goals.items()
    }
    if arguments.json:
        print(
            json.dumps(
                {"name": name, "commit": commit(), "machine": machine(), "figures": figures, "goals": judged}, indent=1
            )
        )
        return
    print(f"{name} ({'quick, ' if arguments.quick else ''}{machine()})")
    for key, value in figures.items():
        goal = judged.get(key)
        verdict = {True: "met", False: "MISSED", None: "not judged"}[goal["met"]] if goal else ""  # type: ignore[index]
        print(f"  {key:<34} {value:>12.4g}   {goal['goal'] if goal else '':<10} {verdict}")
    print(text)


def commit() -> str:
    """Return the commit that is measured, with a plus where the tree differs from it."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def machine() -> str:
    """Return processor, cores and operating system."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
