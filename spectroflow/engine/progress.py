"""How far a run is, and when it will be done: a listener that counts, and a clock that tells."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from spectroflow.engine.events import Event, Listener, MemoryAbovePlan, Progress, UnitDone

_SHOWN = 100
_MEMORY_TOLERANCE = 1.1


class ProgressMeter:
    """Counts finished units and emits :class:`Progress` at most every ``every`` seconds.

    It also keeps the largest peak of any worker in ``memory`` (bytes), and tells when that passes what was
    planned by more than a tenth.

    The rate is that of the last ``window`` seconds, so that the estimate follows a cluster that grows
    or shrinks. Durations come from a clock that never jumps.
    """

    def __init__(
        self,
        emit: Listener,
        *,
        units: int,
        rows: int,
        units_done: int,
        rows_done: int,
        planned_memory: int = 0,
        every: float = 2.0,
        window: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._units, self._rows = units, rows
        self._units_done, self._rows_done = units_done, rows_done
        self._failed = self._skipped = 0
        self._planned_memory = planned_memory
        self.memory = 0
        self._every, self._window, self._clock = every, window, clock
        self._told = clock()
        self._samples: deque[tuple[float, int]] = deque([(self._told, rows_done)])

    def __call__(self, event: Event) -> None:
        """Count a finished unit."""
        if isinstance(event, UnitDone):
            self._units_done += 1
            self._rows_done += event.rows
            self._failed += event.failed
            self._skipped += event.skipped
            self._weigh(event)

    def tick(self, workers: int, running: Callable[[], list[str]], *, now: bool = False) -> None:
        """Emit the progress if it is time to, or ``now``."""
        moment = self._clock()
        if not now and moment - self._told < self._every:
            return
        self._told = moment
        self._samples.append((moment, self._rows_done))
        while len(self._samples) > 2 and moment - self._samples[0][0] > self._window:
            self._samples.popleft()
        rate = self._rate()
        left = self._rows - self._rows_done
        self._emit(
            Progress(
                units_done=self._units_done,
                units=self._units,
                rows_done=self._rows_done,
                rows=self._rows,
                failed=self._failed,
                skipped=self._skipped,
                workers=workers,
                rows_per_second=rate,
                eta_seconds=left / rate if rate else None,
                running=running()[:_SHOWN],
            )
        )

    def _weigh(self, event: UnitDone) -> None:
        limit = self._planned_memory * _MEMORY_TOLERANCE
        if 0 < limit < event.memory and self.memory <= limit:
            self._emit(MemoryAbovePlan(unit=event.unit, memory=event.memory, planned=self._planned_memory))
        self.memory = max(self.memory, event.memory)

    def _rate(self) -> float | None:
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first and after > before else None
