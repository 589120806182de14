"""How large a job's units are, and how long it will take: from an earlier run, a measurement, or experience."""

from __future__ import annotations

import os

from spectroflow.archive import latest_version
from spectroflow.engine.plan import PLAN_NAME, Plan, load_plan
from spectroflow.engine.processor import Processor
from spectroflow.engine.run import run_folder
from spectroflow.engine.sizing import UNITS_PER_WORKER, Pace, earlier_pace, measured_pace
from spectroflow.engine.sizing import sized as sized_by
from spectroflow.jobs.options import JobOptions
from spectroflow.storage import Location

TYPICAL_SECONDS_PER_ROW = {
    "convert": 0.015,
    "simulate": 0.005,
    "fit": 0.01,
    "transfer": 0.01,
    "evaluate": 0.013,
    "compact": 0.001,
    "library": 0.05,
}
"""Work for one record by job, as the demonstration takes it on one core of a server; good to a factor of five."""

_EARLIER_RUNS = 3
_WORKERS_ON_CLUSTER = 64


def sized(plan: Plan, processor: Processor | None, root: Location, options: JobOptions) -> Plan:
    """Return a plan with the units and the estimate that its run will have.

    A run that exists keeps its own: its markers speak of those units. A plan that was sized stays as it is.

    Parameters
    ----------
    plan
        Of one shard a unit.
    processor
        What would do the units; None where nothing can be computed before the run has begun.
    root
        Where the run is.
    options
        ``config.engine.unit_shards`` wins over what is chosen here.
    """
    if plan.estimate.seconds is not None:
        return plan
    folder = run_folder(root, plan.run)
    if (folder / PLAN_NAME).exists():
        saved = load_plan(folder)
        return plan.model_copy(update={"unit_shards": saved.unit_shards, "estimate": saved.estimate})
    workers = _most_workers(options)
    pace = _earlier(plan, root)
    if pace is None and processor is not None and _worth_measuring(plan, root, workers, options):
        pace = measured_pace(processor, next(plan.units()))
    asked = options.config.engine.unit_shards
    if pace is not None:
        return sized_by(plan, pace, workers=workers, unit_shards=asked)
    # A guess is good enough to tell a person, and too little to make units long by.
    guess = Pace(TYPICAL_SECONDS_PER_ROW[plan.job], "typical of this job")
    return sized_by(plan, guess, workers=workers, unit_shards=asked or 1)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _most_workers(options: JobOptions) -> int:
    asked = options.workers
    if asked is not None:
        return max(1, asked[1] if isinstance(asked, tuple) else asked)
    return _WORKERS_ON_CLUSTER if "RAY_ADDRESS" in os.environ else available_cores()


def _earlier(plan: Plan, root: Location) -> Pace | None:
    version = latest_version(root)
    runs = [*(layer.run for layer in version.layers[::-1]), *(segment.run for segment in version.segments[::-1])]
    mine = [run for run in dict.fromkeys(runs) if run.startswith(f"{plan.job}-")]
    return earlier_pace(root, mine[:_EARLIER_RUNS], plan.config)


def _worth_measuring(plan: Plan, root: Location, workers: int, options: JobOptions) -> bool:
    """Say whether longer units could save the seconds that measuring takes, or a person asks for an estimate."""
    if root.is_memory or plan.rows <= options.config.engine.inline_rows:
        return False
    shards = sum(group.shards for group in plan.groups)
    could_be_larger = options.config.engine.unit_shards is None and shards >= 2 * UNITS_PER_WORKER * workers
    return options.dry_run or could_be_larger
