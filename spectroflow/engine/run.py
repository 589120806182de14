"""One run from its plan to its figures: prepare, dispatch, finalize. Committing is the job's."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spectroflow.config import EngineConfig
from spectroflow.engine import faults
from spectroflow.engine.attempt import Workshop
from spectroflow.engine.dispatch import Dispatcher
from spectroflow.engine.event_log import EventLog
from spectroflow.engine.events import Event, FinalizeStarted, Listener, RunFinished, RunStarted, RunStopped, ignore
from spectroflow.engine.executor import Executor
from spectroflow.engine.finalize import Totals, sweep, verify_and_merge, write_metrics
from spectroflow.engine.inline import InlineExecutor
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.plan import Plan, secure
from spectroflow.engine.processor import Processor
from spectroflow.engine.progress import ProgressMeter
from spectroflow.engine.rollup import RollupWriter
from spectroflow.engine.unit import Unit
from spectroflow.errors import ArchiveError, Interrupted
from spectroflow.storage import Location, is_storage_refusal, storage_refusal

RUNS_FOLDER = "runs"

_ROUNDS = 3

Backend = Literal["auto", "inline", "ray"]


@dataclass(frozen=True, slots=True)
class ExecuteOptions:
    """How a run is carried out; none of it changes what it writes.

    Attributes
    ----------
    workers
        How many; None for as many as there is room for, 0 for this process.
    least_workers
        How many must be ready before work begins.
    backend
        ``auto`` takes this process for small work and Ray otherwise.
    in_flight, attempts, unit_timeout, verify_fraction, inline_rows, order
        See :class:`spectroflow.config.EngineConfig`.
    max_condemned
        Most rows of one unit that may be given up because they end their process.
    """

    workers: int | None = None
    least_workers: int = 1
    backend: Backend = "auto"
    in_flight: int = 2
    attempts: int = 3
    unit_timeout: float = 1800.0
    verify_fraction: float = 0.05
    inline_rows: int = 256
    max_condemned: int = 16
    order: Literal["planned", "shuffled"] = "planned"

    @classmethod
    def of(cls, config: EngineConfig, *, workers: int | None = None, **changes: Any) -> ExecuteOptions:
        """Return the options that a configuration asks for."""
        return cls(
            workers=workers,
            in_flight=config.in_flight,
            attempts=config.attempts,
            unit_timeout=config.unit_timeout,
            verify_fraction=config.verify_fraction,
            inline_rows=config.inline_rows,
            order=config.order,
            **changes,
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to.

    Attributes
    ----------
    run
        Its name.
    codes
        Status name -> rows.
    rows
        ``{total, ok, failed, skipped}``; the last three add up to the first.
    metrics
        The merged metrics of all units.
    units, resumed_units
        Units in all, and how many were done before this call.
    bytes
        What all units wrote.
    seconds
        Duration of this call.
    worker_memory
        Largest peak of resident memory of a worker in this call, in bytes; 0 where none did anything.
    details
        What ``finalize`` returned.
    """

    run: str
    codes: dict[str, int]
    rows: dict[str, int]
    metrics: dict[str, Any]
    units: int
    resumed_units: int
    bytes: int
    seconds: float
    worker_memory: int = 0
    details: dict[str, Any] = field(default_factory=dict)


def run_folder(root: Location, run: str) -> Location:
    """Return where a run keeps its plan, markers, quarantine and log."""
    return root / RUNS_FOLDER / run


def execute(
    plan: Plan,
    processor: Processor,
    root: Location,
    *,
    options: ExecuteOptions | None = None,
    prepare: Callable[[Plan], None] | None = None,
    listener: Listener = ignore,
    finalize: Callable[[RunResult], Mapping[str, Any]] | None = None,
) -> RunResult:
    """Carry a plan out, or what is left of it.

    Parameters
    ----------
    plan
        What to do. Where its run exists already, that is resumed.
    processor
        How to do a unit.
    root
        The archive.
    options
        How to carry it out.
    prepare
        Called once the plan is saved and before any unit, for example to write the arrays' metadata.
        It is called again on each resume, so doing it twice must be the same as once.
    listener
        Hears of everything, on this thread.
    finalize
        Called when all units are done and verified, before the run counts as complete; what it returns is
        kept with the figures. Doing it twice must be the same as once.

    Returns
    -------
    RunResult
        Nothing of it is part of the archive before the job commits it.

    Raises
    ------
    PlanMismatch
        The run exists with other input, configuration or code.
    Unreachable
        Storage or cluster refuse, or do not have what the plan needs.
    UnitError
        A unit cannot be done. All others that were done stay done.
    Interrupted
        The user stopped it; the same call resumes.
    """
    began = time.monotonic()
    options = options or ExecuteOptions()
    run_dir = run_folder(root, plan.run)
    plan = secure(plan, run_dir)
    faults.reach("after-plan", plan.run)
    ledger = Ledger(run_dir, plan.fingerprint)
    workshop = Workshop(root, run_dir, plan.fingerprint, processor, options.verify_fraction)
    with EventLog(run_dir) as log:

        def emit(event: Event) -> None:
            log(event)
            listener(event)

        try:
            if prepare is not None:
                prepare(plan)
            resumed, memory, totals = _bring_to_end(plan, workshop, ledger, options, emit)
            result = RunResult(
                run=plan.run,
                codes=totals.codes,
                rows=totals.rows,
                metrics=totals.metrics,
                units=totals.units,
                resumed_units=resumed,
                bytes=totals.bytes,
                seconds=round(time.monotonic() - began, 3),
                worker_memory=memory,
            )
            result.details.update(finalize(result) if finalize is not None else {})
            sweep(root, run_dir, totals.folders)
            write_metrics(run_dir, plan, totals, result.details, result.seconds)
        except KeyboardInterrupt:
            emit(RunStopped(run=plan.run, reason="interrupted"))
            raise Interrupted("stopped", where=plan.run, remedy="Run the same command again; it resumes.") from None
        except Exception as error:
            emit(RunStopped(run=plan.run, reason=str(error)))
            if is_storage_refusal(error):
                raise storage_refusal(str(error), plan.run) from error
            raise
        emit(
            RunFinished(
                run=plan.run,
                rows=result.rows["total"],
                ok=result.rows["ok"],
                failed=result.rows["failed"],
                skipped=result.rows["skipped"],
                seconds=result.seconds,
            )
        )
    return result


def _bring_to_end(
    plan: Plan, workshop: Workshop, ledger: Ledger, options: ExecuteOptions, emit: Listener
) -> tuple[int, int, Totals]:
    """Dispatch what lacks a marker and verify all of them; units whose marker is no good are done again."""
    resumed: int | None = None
    memory = 0
    for _ in range(_ROUNDS):
        named = ledger.names()
        left = plan.unit_count - sum(unit.id in named for unit in plan.units())
        resumed = plan.unit_count - left if resumed is None else resumed
        if left:
            memory = max(memory, _dispatch(plan, workshop, named, options, emit))
        del named
        emit(FinalizeStarted(run=plan.run))
        totals = verify_and_merge(plan, ledger, workshop.root, workshop.processor.merge)
        if not totals.damaged:
            return resumed, memory, totals
        for unit_id in totals.damaged:
            ledger.forget(unit_id)
    unit_id, reason = next(iter(totals.damaged.items()))
    raise ArchiveError(
        f"{len(totals.damaged)} units do not stay done: {reason}",
        where=unit_id,
        remedy="Check the storage, then run the same command again; it resumes.",
    )


def _dispatch(plan: Plan, workshop: Workshop, named: set[str], options: ExecuteOptions, emit: Listener) -> int:
    """Do the units that no marker names; return the largest peak memory of a worker."""
    units_done = rows_done = 0
    for unit in plan.units():
        if unit.id in named:
            units_done += 1
            rows_done += len(unit)
    meter = ProgressMeter(
        emit,
        units=plan.unit_count,
        rows=plan.rows,
        units_done=units_done,
        rows_done=rows_done,
        planned_memory=workshop.processor.resources.memory_bytes,
    )
    listeners: list[Listener] = [emit, meter]

    def hear(event: Event) -> None:
        for listener in listeners:
            listener(event)

    executor = _executor(plan, workshop, options, plan.unit_count - units_done, hear)
    rollups = RollupWriter(workshop.run_dir)
    dispatcher = Dispatcher(
        executor,
        recall=workshop.recall,
        keep=lambda outcome: rollups.add(outcome.line),
        attempts=options.attempts,
        unit_timeout=options.unit_timeout,
        max_condemned=options.max_condemned,
        emit=hear,
        tick=lambda: meter.tick(executor.workers, lambda: [task.unit.id for task in executor.running()]),
    )
    emit(
        RunStarted(
            run=plan.run,
            job=plan.job,
            units=plan.unit_count,
            rows=plan.rows,
            resumed_units=units_done,
            backend="inline" if isinstance(executor, InlineExecutor) else "ray",
        )
    )
    try:
        executor.start()
        listeners += executor.listeners()
        with rollups:
            dispatcher.run(_pending(plan, named, options))
    finally:
        executor.stop()
    meter.tick(0, lambda: [], now=True)
    return meter.memory


def _pending(plan: Plan, named: set[str], options: ExecuteOptions) -> Iterator[Unit]:
    pending = (unit for unit in plan.units() if unit.id not in named)
    if options.order == "planned":
        return pending
    import random

    units = list(pending)
    random.shuffle(units)
    return iter(units)


def _executor(plan: Plan, workshop: Workshop, options: ExecuteOptions, left: int, emit: Listener) -> Executor:
    if _backend(plan, workshop, options) == "inline":
        return InlineExecutor(workshop)
    from spectroflow.engine.ray import RayExecutor

    return RayExecutor(
        workshop,
        workers=options.workers or None,
        useful=left,
        least=min(options.least_workers, left),
        in_flight=options.in_flight,
        emit=emit,
    )


def _backend(plan: Plan, workshop: Workshop, options: ExecuteOptions) -> Backend:
    if options.backend != "auto":
        return options.backend
    if options.workers == 0 or workshop.root.is_memory or importlib.util.find_spec("ray") is None:
        return "inline"
    return "inline" if options.workers is None and plan.rows <= options.inline_rows else "ray"
