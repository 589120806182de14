"""How large units should be: enough work to make their cost small, little enough to lose.

A unit that takes a minute costs little to dispatch and little to do again. How long a row takes is
taken from an earlier run of the same job or measured on a few rows; since content does not depend on
how units are cut, a wrong guess costs time and nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from spectroflow.engine.finalize import METRICS_NAME
from spectroflow.engine.processor import Processor
from spectroflow.engine.run import RUNS_FOLDER
from spectroflow.engine.unit import Group, Unit
from spectroflow.storage import Location

TARGET_SECONDS = 60.0
"""Work of one unit, in the middle of 30 to 120 seconds."""

UNITS_PER_WORKER = 8
"""Fewest units that each worker should get, so that none waits long for the last one."""


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
    return max(1, min(for_target, for_balance))


def seconds_per_row_of_earlier_runs(root: Location, job: str) -> float | None:
    """Return the work of one worker for one row in the newest complete run of a job, or None."""
    newest: tuple[float, float] | None = None
    for name in (root / RUNS_FOLDER).list():
        if not name.startswith(f"{job}-"):
            continue
        place = root / RUNS_FOLDER / name / METRICS_NAME
        try:
            saved = json.loads(place.read_bytes())
            rate = float(saved["work_seconds"]) / int(saved["rows"]["total"])
            moment = place.info().modified
        except (FileNotFoundError, ValueError, KeyError, TypeError, ZeroDivisionError):
            continue
        if newest is None or moment > newest[0]:
            newest = (moment, rate)
    return newest[1] if newest else None


def measured_seconds_per_row(processor: Processor, unit: Unit, *, budget: float = 3.0) -> float | None:
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
    child = context.Process(target=_measure, args=(processor, unit, budget, sender), daemon=True)
    child.start()
    sender.close()
    try:
        return float(receiver.recv()) if receiver.poll(60 + 4 * budget) else None
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
    sender.send((time.monotonic() - began) / max(1, done))
