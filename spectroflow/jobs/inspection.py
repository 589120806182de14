"""Looking at archives, runs and models: what is there, what is running, what failed and why."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from spectroflow import status as codes
from spectroflow.archive import Archive, Version, latest_version, version_numbers
from spectroflow.engine.event_log import last_event
from spectroflow.engine.events import Progress, RunFinished, RunStopped
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.plan import PLAN_NAME, Plan, load_plan
from spectroflow.engine.quarantine import all_failures
from spectroflow.errors import ArchiveError, InvalidInput
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.storage import Location

SHOWN_FAILURES = 20

_ALIVE_SECONDS = 120.0
"""A driver that has told nothing for so long is not called running; it tells of itself after every unit."""


def status(path: str, *, limit: int = SHOWN_FAILURES) -> Summary:
    """Tell how far the runs of an archive are and what failed in them.

    Parameters
    ----------
    path
        An archive, or one run of it (``ARCHIVE/runs/<run>``); the run may still be going on.
    limit
        Most failures listed for people; ``details["failures"]`` holds them all.
    """
    location = _existing(path)
    if (location / PLAN_NAME).exists():
        runs, root = [location], location.parent.parent
    else:
        root = location
        runs = [location / "runs" / name for name in (location / "runs").list()]
        if not runs and not version_numbers(root):
            raise ArchiveError(
                "this is neither an archive nor a run",
                where=str(location),
                remedy="Give an archive or ARCHIVE/runs/<run>.",
            )
    version = latest_version(root)
    committed = {entry.run for entry in version.segments} | {layer.run for layer in version.layers} | {version.run}
    tables, failures = [], []
    for run in runs:
        if not (run / PLAN_NAME).exists():
            continue
        plan = load_plan(run)
        tables.append(_run_state(plan, run, plan.run in committed, version.number))
        replaced = _replaced(plan, version)
        failures += [
            {"run": plan.run, "unit": unit, **asdict(failure), "replaced": replaced(unit, failure.row)}
            for unit, failure in all_failures(run)
        ]
    lines = [
        f"{entry['run']}: {entry['state']}, {entry['units_done']} of {entry['units']} units, "
        f"{entry['rows']['ok']:,} ok, {entry['rows']['failed']:,} failed, {entry['rows']['skipped']:,} skipped"
        + _sentence(entry)
        for entry in tables
    ]
    bad = [f for f in failures if codes.outcome_of(codes.code_of(f["code"])) == "failed"]
    standing = [failure for failure in bad if not failure["replaced"]]
    lines += _failed_lines(standing, limit)
    if len(standing) < len(bad):
        lines.append(f"failed before, and newer records stand in their place: {len(bad) - len(standing):,}")
    return Summary(
        "status",
        status="done",
        rows=Rows(**tables[0]["rows"]) if location in runs and tables else _records(root),
        output=str(location),
        details={"version": version.number, "runs": tables, "failures": failures},
        lines=lines,
    )


def _replaced(plan: Plan, version: Version) -> Callable[[str, int], bool]:
    """Return what says of a unit's row whether newer records replace it, as a retry's do."""
    spans = {
        entry.modality: version.superseded.get(entry.id, ()) for entry in version.segments if entry.run == plan.run
    }
    groups = {unit.id: unit.group for unit in plan.units()} if any(spans.values()) else {}
    return lambda unit, row: any(start <= row < stop for start, stop in spans.get(groups.get(unit, ""), ()))


def _failed_lines(failures: list[dict[str, Any]], limit: int) -> list[str]:
    """Return how many records failed with which code, and a line for each file and reason, however many its records."""
    if not failures:
        return []
    counts = Counter(failure["code"] for failure in failures).most_common()
    said: Counter[str] = Counter()
    for each in failures:
        digest = f" ({each['digest'][:12]})" if each["digest"] else ""
        said[f"{each['code']}  {each['source'] or each['unit']}{digest}: {each['reason']}. {each['remedy']}"] += 1
    lines = ["failed: " + ", ".join(f"{count:,} {code}" for code, count in counts)]
    lines += [f"{text} [{count:,} records]" if count > 1 else text for text, count in list(said.items())[:limit]]
    if len(said) > limit:
        left = sum(list(said.values())[limit:])
        lines.append(f"... and {left:,} more in {len(said) - limit:,} lines like these; --json lists all of them")
    return lines


def _run_state(plan: Plan, run: Location, committed: bool, version: int) -> dict[str, Any]:
    ledger = Ledger(run, plan.fingerprint)
    done = ledger.names()
    counts: Counter[str] = Counter()
    for _, marker in ledger.read_all(sorted(done)):
        if not isinstance(marker, ArchiveError):
            counts.update(marker.codes)
    outcomes: Counter[str] = Counter()
    for name, number in counts.items():
        outcomes[codes.outcome_of(codes.code_of(name))] += number
    told = last_event(run, Progress, RunStopped, RunFinished)
    if committed:
        state = "committed"
    elif len(done) == plan.unit_count:
        state = f"complete, not in version {version}"
    elif isinstance(told, Progress) and time.time() - told.time < _ALIVE_SECONDS:
        state = "running"
    else:
        state = "unfinished"
    return {
        "run": plan.run,
        "job": plan.job,
        "state": state,
        "units": plan.unit_count,
        "units_done": len(done),
        "codes": dict(sorted(counts.items())),
        "rows": {
            "total": plan.rows,
            "ok": outcomes["ok"],
            "failed": outcomes["failed"],
            "skipped": outcomes["skipped"],
        },
        "told": told.to_json() if told is not None else None,
    }


def _sentence(entry: dict[str, Any]) -> str:
    """Return what a run that is not committed last said of itself."""
    told = entry["told"]
    if entry["state"] == "committed" or told is None:
        return ""
    if told["event"] == RunStopped.name():
        return f"; stopped: {told['reason']}"
    if told["event"] != Progress.name():
        return ""
    rate = f" at {told['rows_per_second']:,.1f} records/s" if told["rows_per_second"] else ""
    left = f", {told['eta_seconds']:,.0f} s left" if told["eta_seconds"] is not None else ""
    return f"; {told['workers']} workers{rate}{left}, told {max(0.0, time.time() - told['time']):,.0f} s ago"


def inspect(path: str) -> Summary:
    """Describe an archive or a model directory.

    Parameters
    ----------
    path
        Path or URL.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    location = _existing(path)
    if (location / "card.json").exists():
        return _inspect_model(location)
    if not version_numbers(location):
        raise InvalidInput("this is neither an archive nor a model", where=str(location), remedy="Check the path.")
    opened = Archive(location)
    version = opened.version
    segments = [
        {
            **entry.model_dump(),
            "layers": [f"{layer.kind} {layer.config}" for layer in version.layers if layer.segment == entry.id],
        }
        for entry in version.segments
    ]
    counts = opened.counts
    lines = [f"version {version.number}, committed {version.created} by {version.command} ({version.run})"]
    for modality, table in sorted(counts.items()):
        parts = ", ".join(f"{number:,} {name.lower()}" for name, number in sorted(table.items()))
        lines.append(f"{modality}: {parts}")
    lines += [
        f"segment {entry['id']}: {entry['rows']:,} rows, {entry['origin']}, "
        f"layers: {', '.join(entry['layers']) or 'none'}"
        for entry in segments
    ]
    return Summary(
        "inspect",
        run=version.run,
        rows=_rows(counts),
        output=str(location),
        details={"version": version.model_dump(mode="json"), "segments": segments, "counts": counts},
        lines=lines,
    )


def _records(root: Location) -> Rows:
    """Return how the records of an archive ended; none where nothing was committed yet."""
    return _rows(Archive(root).counts) if version_numbers(root) else Rows()


def _rows(counts: dict[str, dict[str, int]]) -> Rows:
    outcomes: Counter[str] = Counter()
    for table in counts.values():
        for name, number in table.items():
            outcomes[codes.outcome_of(codes.code_of(name))] += number
    return Rows(outcomes.total(), outcomes["ok"], outcomes["failed"], outcomes["skipped"])


def _inspect_model(location: Location) -> Summary:
    card = json.loads((location / "card.json").read_bytes())
    lines = [f"{key}: {value}" for key, value in card.items() if isinstance(value, (str, int, float))]
    return Summary("inspect", output=str(location), details={"card": card}, lines=lines)


def _existing(path: str) -> Location:
    location = Location.parse(path)
    if not location.exists():
        raise InvalidInput("there is nothing here", where=str(location), remedy="Check the path.")
    return location
