"""How far a conversion is, in files and bytes: what a person waits for, beside the engine's records and units."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from spectroflow.engine.events import Event, Listener, Progress, UnitDone
from spectroflow.engine.plan import Plan
from spectroflow.engine.unit import Group
from spectroflow.sources.look import Looked

_TELL_EVERY = 2.0


@dataclass(frozen=True, kw_only=True)
class SourcesProgress(Event):
    """How many files were looked at, or read, and how many bytes that was.

    ``bytes_per_second`` is the average so far and None before there is one; ``eta_seconds`` likewise.
    """

    stage: Literal["looking", "reading"]
    files_done: int
    files: int
    bytes_done: int
    bytes: int
    failed: int
    bytes_per_second: float | None
    eta_seconds: float | None


class SourcesMeter:
    """Turns counts of files and bytes into events, now and then.

    Parameters
    ----------
    emit
        Hears the events.
    stage
        What is done with the files.
    every
        Seconds between two events, but for the last one, which comes when all is done.
    clock
        Never jumps.
    """

    def __init__(
        self,
        emit: Listener,
        stage: Literal["looking", "reading"],
        *,
        every: float = _TELL_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit, self._stage, self._every, self._clock = emit, stage, every, clock
        self._began = self._told = clock()
        self._before: int | None = None

    def __call__(self, now: Looked) -> None:
        """Take what is done by now, and tell if it is time to."""
        if self._before is None:
            self._before = now.bytes_done
        moment = self._clock()
        if now.files_done < now.files and moment - self._told < self._every:
            return
        self._told = moment
        seconds, read = moment - self._began, now.bytes_done - self._before
        rate = read / seconds if seconds > 0 and read > 0 else None
        self._emit(
            SourcesProgress(
                stage=self._stage,
                files_done=now.files_done,
                files=now.files,
                bytes_done=now.bytes_done,
                bytes=now.bytes,
                failed=now.failed,
                bytes_per_second=rate,
                eta_seconds=(now.bytes - now.bytes_done) / rate if rate else None,
            )
        )


class ReadingProgress:
    """Listens to a run and tells its progress in files and bytes just before the engine tells it in records.

    Parameters
    ----------
    emit
        Hears everything.
    plan
        Of the run; its payload holds what :func:`work_of` returned.
    done
        Units that were done before.
    """

    def __init__(self, emit: Listener, plan: Plan, done: Collection[str] = ()) -> None:
        self._emit = emit
        self._work = {unit.id: self._of(plan, unit.group, unit.shard_start, unit.shard_stop) for unit in plan.units()}
        self._files, self._bytes = np.sum(list(self._work.values()), axis=0).tolist()
        self._now = Looked(files=self._files, bytes=self._bytes)
        for unit in done:
            self._add(unit, 0)
        self._meter = SourcesMeter(emit, "reading", every=0.0)
        self._meter(self._now)

    def __call__(self, event: Event) -> None:
        """Pass an event on, with ours where it tells the progress."""
        if isinstance(event, UnitDone):
            self._add(event.unit, event.failed)
        elif isinstance(event, Progress):
            self._meter(self._now)
        self._emit(event)

    def _add(self, unit: str, failed: int) -> None:
        files, size = self._work.pop(unit, (0, 0))
        now = self._now
        self._now = Looked(now.files_done + files, self._files, now.bytes_done + size, self._bytes, now.failed + failed)

    @staticmethod
    def _of(plan: Plan, group: str, start: int, stop: int) -> tuple[int, int]:
        shards = np.array(plan.payload["work"][group][start:stop], dtype=np.int64)
        files, size = shards.sum(axis=0).tolist()
        return files, size


def work_of(table: pa.Table, group: Group) -> list[list[int]]:
    """Return how many files and bytes the planned rows of each shard stand for; a file counts with its first record."""
    first = table["record"].to_numpy() == 0
    wanted = np.array(table["status"].to_numpy(zero_copy_only=False) == "OK")
    sizes = np.where(wanted, np.maximum(table["size"].to_numpy(), 0) // table["records"].to_numpy(), 0)
    starts = np.arange(0, table.num_rows, group.shard_rows)
    counts = (np.add.reduceat(values.astype(np.int64), starts) for values in (first, sizes))
    return [list(pair) for pair in zip(*(each.tolist() for each in counts), strict=True)]


def looking(emit: Listener) -> Callable[[Looked], Any]:
    """Return what the planning of sources tells its progress to."""
    return SourcesMeter(emit, "looking")
