"""How large units should be: enough work to make their cost small, little enough to lose.

A unit that takes a minute costs little to dispatch and little to do again. How long a row takes is
taken from an earlier run of the same job or measured on a few rows; since content does not depend on
how units are cut, a wrong guess costs time and nothing else.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from spectroflow.engine.finalize import METRICS_NAME
from spectroflow.engine.plan import PLAN_NAME, Plan
from spectroflow.engine.processor import Processor
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Group, Unit
from spectroflow.storage import Location

TARGET_SECONDS = 60.0
"""Work of one unit, in the middle of 30 to 120 seconds."""

UNITS_PER_WORKER = 24
"""Fewest units that each worker should get, unless they would be shorter than :data:`LEAST_SECONDS`.

At the end the others wait for the last one, half a unit on average.
"""

LEAST_SECONDS = 1.0
"""Work of one unit that is not cut further for balance: what a unit costs (about 10 ms) would outweigh the waiting."""


def unit_shards_for(
    groups: Sequence[Group], seconds_per_row: float | None, *, workers: int, target: float = TARGET_SECONDS
) -> int:
    """Return how many shards a unit should have.

    Parameters
    ----------
    groups
        What will be cut.
    seconds_per_row
        Work of one worker for one row; None where nobody knows gives 1.
    workers
        How many there will be.
    target
        Seconds of work of one unit.
    """
    shards = sum(group.shards for group in groups)
    if not seconds_per_row or not shards:
        return 1
    seconds_per_shard = seconds_per_row * max(group.shard_rows for group in groups)
    for_target = round(target / seconds_per_shard)
    for_balance = shards // (UNITS_PER_WORKER * max(1, workers))
    for_cost = min(math.ceil(LEAST_SECONDS / seconds_per_shard), shards // max(1, workers))
    return max(1, min(for_target, max(for_balance, for_cost)))


@dataclass(frozen=True, slots=True)
class Pace:
    """The work of one worker for one row, in seconds, and where that was learned."""

    seconds_per_row: float
    source: str


def sized(plan: Plan, pace: Pace, *, workers: int, unit_shards: int | None = None) -> Plan:
    """Return a plan whose units and estimate follow from a pace.

    Parameters
    ----------
    plan
        Of one shard a unit. The result has the same fingerprint: neither units nor estimates decide content.
    pace
        What a row takes.
    workers
        How many there will be.
    unit_shards
        What the user asked for; None to choose.
    """
    chosen = unit_shards or unit_shards_for(plan.groups, pace.seconds_per_row, workers=workers)
    cut = plan.model_copy(update={"unit_shards": chosen})
    estimate = plan.estimate.model_copy(
        update={
            "units": cut.unit_count,
            "rows": plan.rows,
            "seconds": float(f"{pace.seconds_per_row * plan.rows:.3g}"),
            "seconds_from": pace.source,
        }
    )
    return cut.model_copy(update={"estimate": estimate})


def earlier_pace(root: Location, runs: Iterable[str], config: Mapping[str, Any]) -> Pace | None:
    """Return the pace of the first of these runs that is complete and had this configuration, or None.

    Parameters
    ----------
    root
        The archive.
    runs
        Names of runs of the same job, the newest first; few, since each is read.
    config
        The ``config`` of the plan that is to be made.
    """
    for run in runs:
        folder = run_folder(root, run)
        try:
            if json.loads((folder / PLAN_NAME).read_bytes())["config"] != config:
                continue
            saved = json.loads((folder / METRICS_NAME).read_bytes())
            return Pace(float(saved["work_seconds"]) / int(saved["rows"]["total"]), f"what the run {run} took")
        except (FileNotFoundError, ValueError, KeyError, TypeError, ZeroDivisionError):
            continue
    return None


def measured_pace(processor: Processor, unit: Unit, *, budget: float = 3.0) -> Pace | None:
    """Measure the work of one row by probing some, in a process of its own.

    A row that kills or hangs costs that process only; None is returned then.

    Parameters
    ----------
    processor
        As it is sent to workers.
    unit
        Whose first rows are computed.
    budget
        Seconds that the measurement may take after the set-up.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(processor, unit, budget, sender))
    child.start()
    sender.close()
    try:
        if not receiver.poll(60 + 4 * budget):
            return None
        rows, seconds = receiver.recv()
        return Pace(seconds / rows, f"{rows} records of this input, computed on this machine")
    except EOFError:
        return None
    finally:
        child.kill()
        child.join()
        receiver.close()


def _measure(processor: Processor, unit: Unit, budget: float, sender: Connection) -> None:
    processor.setup()
    processor.probe(unit, unit.rows[:1])
    began = time.monotonic()
    done, size = 0, 1
    while done < len(unit) and time.monotonic() - began < budget / 2:
        rows = unit.rows[done : done + size]
        processor.probe(unit, rows)
        done += len(rows)
        size *= 2
    sender.send((done, time.monotonic() - began))
