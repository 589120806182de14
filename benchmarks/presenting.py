"""Benchmarks that have a table of their own to show beside their figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from benchmarks import common

Part = Callable[[bool], tuple[dict[str, float], str]]
"""Called with whether to be quick; returns figures and more text for people."""

Goals = Mapping[str, tuple[str, float]]
"""Figure -> how it should compare with what: ``<=``, ``>=`` or ``=``, for example ``("<=", 1.05)``."""


def main(name: str, measure: Part, goals: Goals, scaled: Collection[str]) -> None:
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
    arguments = _parser(name).parse_args()
    figures, text = measure(arguments.quick)
    _show(_report(name, figures, goals, scaled, arguments.quick), text, arguments.json)


def in_parts(name: str, parts: Mapping[str, Part], goals: Goals, scaled: Collection[str]) -> None:
    """Run a benchmark whose parts can be measured apart, each when the machine has what it needs.

    As :func:`main`, and ``--only`` measures some parts. ``--with`` takes figures from earlier results, the last one
    that has them; without ``--only``, what none of them has is measured. The report says at which commit and under
    which load each part was measured.
    """
    parser = _parser(name)
    parser.add_argument("--only", action="append", choices=list(parts), help="measure this part only; repeatable")
    parser.add_argument(
        "--with", dest="earlier", metavar="FILE", action="append", default=[], help="an earlier result; repeatable"
    )
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    measured: dict[str, Any] = {}
    for name_of_file in arguments.earlier:
        earlier = json.loads(Path(name_of_file).read_text())
        figures |= earlier["figures"]
        measured |= earlier["parts"]
    texts = []
    for part in arguments.only or [each for each in parts if each not in measured]:
        commit, load = common.commit(), round(os.getloadavg()[0], 2)
        found, text = parts[part](arguments.quick)
        figures |= found
        measured[part] = {"commit": commit, "load_before": load, "load_after": round(os.getloadavg()[0], 2)}
        texts += [text] if text else []
    report = _report(name, figures, goals, scaled, arguments.quick) | {"parts": measured}
    _show(report, "\n".join(texts), arguments.json)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="less work: at most 50 seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _report(name: str, figures: dict[str, float], goals: Goals, scaled: Collection[str], quick: bool) -> dict[str, Any]:
    wanted = [_goal(key, sign, limit, key not in scaled) for key, (sign, limit) in goals.items()]
    return common.result(name, figures, wanted, quick=quick)


def _show(report: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(common.table(report) + text + "\n")


def _goal(key: str, sign: str, limit: float, quick: bool) -> common.Goal:
    least = limit if sign in {">=", "="} else None
    most = limit if sign in {"<=", "<", "="} else None
    return common.Goal(key, least, most, quick)
