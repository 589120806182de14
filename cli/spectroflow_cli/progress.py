"""Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines where asked.

Each of the three is a listener of the engine's events.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectroflow.engine.events import Event
    from spectroflow_cli.request import Request

Listener = Callable[[Any], None]

PLAIN_EVERY_SECONDS = 10.0
"""How often plain lines tell the progress of a run."""

REPEATED = {"progress", "network_progress", "sources_progress"}
"""Events that come often and tell how far something is."""


@contextmanager
def shown(request: Request) -> Iterator[Listener]:
    """Yield a listener that shows a run on stderr while the block lasts."""
    if request.log_format == "json":
        yield json_lines
    elif sys.stderr.isatty():
        bar = Bar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield PlainLines()


def json_lines(event: Event) -> None:
    """Write an event as one JSON object."""
    sys.stderr.write(json.dumps(event.to_json(), ensure_ascii=False) + "\n")
    sys.stderr.flush()


class PlainLines:
    """Writes a line for whatever a person should know, and the progress now and then."""

    def __init__(self, every: float = PLAIN_EVERY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._began = clock()
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        name = event.name()
        if name in REPEATED:
            moment = self._clock()
            if moment - self._last.get(name, self._began) < self._every:
                return
            self._last[name] = moment
        text = describe(event.to_json())
        if text:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class Bar:
    """A bar for the run at hand; what needs attention is printed above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._run = ""

    def __call__(self, event: Event) -> None:
        """Show one event."""
        tree = event.to_json()
        match tree["event"]:
            case "run_started":
                self._run = str(tree["run"])
                self._update(self._run, str(tree["job"]), 0, tree["rows"], "")
            case "progress":
                self._update(self._run, None, tree["rows_done"], tree["rows"], _rate(tree))
            case "run_finished":
                self._update(str(tree["run"]), None, tree["rows"], tree["rows"], _outcomes(tree))
            case "network_progress":
                name = str(tree["network"])
                self._update(name, f"train {name}", tree["epoch"], tree["epochs"], _figures(tree))
            case "sources_progress":
                name = f"{tree['stage']} at files" if tree["stage"] == "looking" else "reading files"
                self._update(name, name, tree["files_done"], tree["files"], _volume(tree))
            case _:
                text = describe(tree)
                if text:
                    self._progress.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Take the bars away, leaving their last state on the terminal."""
        if self._tasks:
            self._progress.stop()

    def _update(self, name: str, title: str | None, done: int, total: int, detail: str) -> None:
        if name not in self._tasks:
            self._progress.start()
            self._tasks[name] = self._progress.add_task(title or name, detail="")
        self._progress.update(self._tasks[name], completed=done, total=total or None, detail=detail)


def describe(event: dict[str, Any]) -> str:
    """Return one line about an event, or nothing for those that would only be noise."""
    write = _LINES.get(str(event["event"]))
    return write(event) if write else ""


def _started(e: dict[str, Any]) -> str:
    resumed = f", {e['resumed_units']:,} of them done before" if e["resumed_units"] else ""
    return f"{e['job']}: {e['rows']:,} records in {e['units']:,} units{resumed} ({e['backend']}, run {e['run']})"


def _progress(e: dict[str, Any]) -> str:
    done = f"{e['rows_done']:,} of {e['rows']:,} records, {e['workers']} workers"
    rate = _rate(e)
    return f"  {done}, {rate}" if rate else f"  {done}"


def _rate(e: dict[str, Any]) -> str:
    parts = []
    if e["rows_per_second"]:
        parts.append(f"{e['rows_per_second']:,.1f} records/s")
    if e["eta_seconds"] is not None:
        parts.append(f"{duration(e['eta_seconds'])} left")
    if e["failed"]:
        parts.append(f"{e['failed']:,} failed")
    return ", ".join(parts)


def _volume(e: dict[str, Any]) -> str:
    parts = [f"{e['bytes_done'] / 1e6:,.1f} of {e['bytes'] / 1e6:,.1f} MB"]
    if e["bytes_per_second"]:
        parts += [f"{e['bytes_per_second'] / 1e6:,.1f} MB/s", f"{duration(e['eta_seconds'])} left"]
    if e["failed"]:
        parts.append(f"{e['failed']:,} failed")
    return ", ".join(parts)


def _outcomes(e: dict[str, Any]) -> str:
    return f"{e['ok']:,} ok, {e['failed']:,} failed, {e['skipped']:,} skipped"


def _figures(e: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in e["figures"].items())


def duration(seconds: float) -> str:
    """Return a time span as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "step_started": lambda e: f"[{e['number']}/{e['steps']}] {e['step']}",
    "run_started": _started,
    "progress": _progress,
    "network_progress": lambda e: f"  {e['network']}: epoch {e['epoch']} of {e['epochs']}, {_figures(e)}",
    "sources_progress": lambda e: f"  {e['stage']}: {e['files_done']:,} of {e['files']:,} files, {_volume(e)}",
    "unit_retried": lambda e: f"  {e['unit']}: attempt {e['attempt']} was lost ({e['reason']}): {e['detail']}",
    "unit_searched": lambda e: f"  {e['unit']}: searching for the record that ends its process ({e['reason']})",
    "row_condemned": lambda e: f"  {e['unit']}: row {e['row']} is {e['code']}",
    "unit_failed": lambda e: f"  {e['unit']}: cannot be done: {e['detail']}",
    "worker_lost": lambda e: f"  worker {e['worker']} was lost ({e['reason']}): {e['detail']}",
    "run_finished": lambda e: f"  {_outcomes(e)} in {duration(e['seconds'])}",
    "run_stopped": lambda e: f"  stopped: {e['reason']}; the same command resumes",
}
