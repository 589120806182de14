"""What all jobs over units share: choosing workers, executing a plan, summing up."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spectroflow.engine.plan import Plan
from spectroflow.engine.processor import Processor
from spectroflow.engine.run import ExecuteOptions, RunResult, execute
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.sizing import available_cores, sized
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.storage import Location


def run_plan(
    plan: Plan,
    processor: Processor,
    root: Location,
    options: JobOptions,
    prepare: Callable[[], None],
) -> RunResult:
    """Execute a plan with as many workers as the options and the amount of work ask for.

    Parameters
    ----------
    plan
        What to do; how it is cut into units is decided here.
    processor
        How to do it. A worker asks for the memory of the plan's estimate.
    root
        Where the run is.
    options
        Of the job.
    prepare
        Writes the metadata of the arrays, once the plan is saved and before any unit.
    """
    plan = sized(plan, processor, root, options)
    processor.resources = replace(processor.resources, memory_bytes=plan.estimate.memory_bytes)
    workers = options.workers if options.workers is not None else _workers_for(plan, options)
    least, most = workers if isinstance(workers, tuple) else (min(workers, 1), workers)
    return execute(
        plan,
        processor,
        root,
        options=ExecuteOptions.of(options.config.engine, workers=most, least_workers=max(1, least)),
        prepare=lambda _: prepare(),
        listener=options.listener,
    )


def _workers_for(plan: Plan, options: JobOptions) -> int:
    """Return no worker for small work, and otherwise one per core of this machine but no more than units.

    On a cluster the engine grows with what is there, so the range has no upper end of its own.
    """
    if plan.rows <= options.config.engine.inline_rows or plan.unit_count < 2:
        return 0
    return plan.unit_count if "RAY_ADDRESS" in os.environ else min(available_cores(), plan.unit_count)


def planned(command: str, plan: Plan, processor: Processor | None, output: Location, options: JobOptions) -> Summary:
    """Return what ``--dry-run`` shows; ``processor`` is None where it can compute nothing before the run."""
    plan = sized(plan, processor, output, options)
    estimate = plan.estimate
    seconds = estimate.seconds or 0.0
    return Summary(
        command,
        run=plan.run,
        status="dry run",
        rows=Rows(total=plan.rows),
        output=str(output),
        details={
            "units": plan.unit_count,
            "unit_shards": plan.unit_shards,
            "estimated_bytes": estimate.bytes,
            "estimated_worker_memory_bytes": estimate.memory_bytes,
            "estimated_work_seconds": seconds,
            "estimated_from": estimate.seconds_from,
            "groups": [group.model_dump() for group in plan.groups],
        },
        lines=[
            f"would do {plan.rows:,} records in {plan.unit_count:,} units of at most {plan.unit_shards} shards",
            f"would write at most {estimate.bytes / 1e6:,.1f} MB before compression",
            f"a worker would need about {estimate.memory_bytes / 1e6:,.0f} MB",
            f"one worker would take about {seconds:,.0f} s for all of it ({estimate.seconds_from})",
        ],
    )


def finished(command: str, result: RunResult, output: Location, options: JobOptions, **details: Any) -> Summary:
    """Return the summary of a run that is done and committed, judged by ``--max-failed``."""
    rows = Rows(**result.rows)
    allowed = options.allows_failures(rows.failed, rows.total)
    lines = []
    if rows.failed:
        lines.append(
            f"{rows.failed:,} record{'s' * (rows.failed != 1)} failed; "
            f"spectroflow status {output} lists each with its reason and remedy"
        )
    return Summary(
        command,
        run=result.run,
        status="done" if allowed else "too many failures",
        rows=rows,
        seconds=result.seconds,
        output=str(output),
        details={
            "codes": result.codes,
            "units": result.units,
            "resumed_units": result.resumed_units,
            "worker_memory_bytes": result.worker_memory,
            **details,
        },
        lines=lines,
    )


def nothing_to_do(command: str, output: Location, reason: str) -> Summary:
    """Return the summary of a command that found its work done."""
    return Summary(command, status="nothing to do", output=str(output), lines=[reason])


class AdditiveMetrics:
    """Base of processors whose metrics are nested tables of numbers."""

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """Return two tables added key by key."""
        return additive(first, second)


def additive(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return two nested tables of numbers added key by key; the metrics of all jobs are such tables."""
    result = dict(first)
    for key, value in second.items():
        if key not in result:
            result[key] = value
        elif isinstance(value, dict):
            result[key] = additive(result[key], value)
        else:
            result[key] = result[key] + value
    return result
