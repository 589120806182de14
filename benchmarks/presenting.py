"""Benchmarks that have a table of their own to show beside their figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Mapping

from benchmarks import common

Goals = Mapping[str, tuple[str, float]]
"""Figure -> how it should compare with what: ``<=``, ``>=`` or ``=``, for example ``("<=", 1.05)``."""


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
    parser.add_argument("--quick", action="store_true", help="less work: at most 50 seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures, text = measure(arguments.quick)
    wanted = [_goal(key, sign, limit, key not in scaled) for key, (sign, limit) in goals.items()]
    report = common.result(name, figures, wanted, quick=arguments.quick)
    if arguments.json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(common.table(report) + text + "\n")


def _goal(key: str, sign: str, limit: float, quick: bool) -> common.Goal:
    least = limit if sign in {">=", "="} else None
    most = limit if sign in {"<=", "<", "="} else None
    return common.Goal(key, least, most, quick)
