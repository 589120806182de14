"""Metrics of a run for Prometheus, through the metrics agents of the Ray cluster."""

from __future__ import annotations

from spectroflow.engine.events import Event, Progress, UnitDone, UnitRetried, WorkerLost

_SECONDS = [0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 1000, 3000]


class RayMetrics:
    """A listener that keeps counters and gauges, all of them tagged with the run.

    ============================== ========= =============================================
    ``spectroflow_rows``           counter   finished rows, by ``outcome``: ok, failed, skipped
    ``spectroflow_bytes``          counter   bytes written
    ``spectroflow_unit_seconds``   histogram work of one unit
    ``spectroflow_retries``        counter   attempts that came to nothing, by ``reason``
    ``spectroflow_workers_lost``   counter   workers lost, by ``reason``
    ``spectroflow_workers``        gauge     workers that are ready
    ``spectroflow_rows_left``      gauge     rows still to do
    ``spectroflow_eta_seconds``    gauge     expected time to the end of the run
    ``spectroflow_worker_memory``  gauge     peak resident memory of the worker heard of last, bytes
    ============================== ========= =============================================
    """

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        tags, run_tag = ("run",), {"run": run}
        self._rows = Counter("spectroflow_rows", "Finished rows", ("run", "outcome"))
        self._bytes = Counter("spectroflow_bytes", "Bytes written", tags)
        self._retries = Counter("spectroflow_retries", "Attempts that came to nothing", ("run", "reason"))
        self._lost = Counter("spectroflow_workers_lost", "Workers lost", ("run", "reason"))
        self._unit_seconds = Histogram("spectroflow_unit_seconds", "Work of one unit", _SECONDS, tags)
        self._workers = Gauge("spectroflow_workers", "Workers that are ready", tags)
        self._left = Gauge("spectroflow_rows_left", "Rows still to do", tags)
        self._eta = Gauge("spectroflow_eta_seconds", "Expected time to the end of the run", tags)
        self._memory = Gauge("spectroflow_worker_memory", "Peak resident memory of a worker in bytes", tags)
        for metric in (
            self._rows,
            self._bytes,
            self._retries,
            self._lost,
            self._unit_seconds,
            self._workers,
            self._left,
            self._eta,
            self._memory,
        ):
            metric.set_default_tags(run_tag)

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case UnitDone():
                self._unit_done(event)
            case UnitRetried():
                self._retries.inc(1, {"reason": event.reason})
            case WorkerLost():
                self._lost.inc(1, {"reason": event.reason})
            case Progress():
                self._workers.set(event.workers)
                self._left.set(event.rows - event.rows_done)
                if event.eta_seconds is not None:
                    self._eta.set(event.eta_seconds)
            case _:
                pass

    def _unit_done(self, event: UnitDone) -> None:
        ok = event.rows - event.failed - event.skipped
        for outcome, count in (("ok", ok), ("failed", event.failed), ("skipped", event.skipped)):
            if count:
                self._rows.inc(count, {"outcome": outcome})
        if event.bytes:
            self._bytes.inc(event.bytes)
        self._unit_seconds.observe(event.seconds)
        if event.memory:
            self._memory.set(event.memory)
