"""Failed and skipped rows of a run, one JSON line each, to be found, explained and retried."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from spectroflow.engine.processor import Failure
from spectroflow.storage import Location

FOLDER = "quarantine"
SUFFIX = ".jsonl"


def write_failures(run_dir: Location, unit_id: str, failures: Iterable[Failure]) -> None:
    """Write the failures of a unit, sorted by row; none deletes what an earlier attempt left."""
    place = run_dir / FOLDER / f"{unit_id}{SUFFIX}"
    lines = [json.dumps(asdict(failure), ensure_ascii=False) for failure in sorted(failures, key=lambda f: f.row)]
    if lines:
        place.write_bytes(("\n".join(lines) + "\n").encode(), durable=True)
    else:
        place.delete(missing_ok=True)


def read_failures(run_dir: Location, unit_id: str) -> list[Failure]:
    """Return the failures of a unit; a unit without any has no file."""
    try:
        data = (run_dir / FOLDER / f"{unit_id}{SUFFIX}").read_bytes()
    except FileNotFoundError:
        return []
    return [Failure(**json.loads(line)) for line in data.decode().splitlines() if line]


def quarantined_units(run_dir: Location) -> list[str]:
    """Return the ids of all units that have failures, sorted."""
    return [name.removesuffix(SUFFIX) for name in (run_dir / FOLDER).list() if name.endswith(SUFFIX)]


def all_failures(run_dir: Location) -> Iterator[tuple[str, Failure]]:
    """Yield ``(unit id, failure)`` for every failure of a run, unit by unit."""
    for unit_id in quarantined_units(run_dir):
        for failure in read_failures(run_dir, unit_id):
            yield unit_id, failure
