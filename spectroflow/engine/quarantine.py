"""Failed and skipped rows of a run, one JSON line each, to be found, explained and retried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from spectroflow.engine.processor import Failure
from spectroflow.storage import Location, Written

FOLDER = "quarantine"
SUFFIX = ".jsonl"


def failures_path(unit_id: str) -> str:
    """Return where the failures of a unit are, relative to the folder of its run."""
    return f"{FOLDER}/{unit_id}{SUFFIX}"


def write_failures(
    run_dir: Location, unit_id: str, failures: Iterable[Failure], at_last: Callable[[], None] | None = None
) -> Written | None:
    """Write the failures of a unit, sorted by row, and return what its marker says of the file.

    No failures delete what an earlier attempt left, and return None. ``at_last`` is called just before the
    file gets its name, and prevents that by raising.
    """
    place = run_dir / failures_path(unit_id)
    lines = [json.dumps(asdict(failure), ensure_ascii=False) for failure in sorted(failures, key=lambda f: f.row)]
    if not lines:
        if at_last is not None:
            at_last()
        place.delete(missing_ok=True)
        return None
    data = ("\n".join(lines) + "\n").encode()
    place.write_bytes(data, durable=True, at_last=at_last)
    return Written.of(data)


def read_failures(run_dir: Location, unit_id: str) -> list[Failure]:
    """Return the failures of a unit; a unit without any has no file."""
    try:
        data = (run_dir / failures_path(unit_id)).read_bytes()
    except FileNotFoundError:
        return []
    return decode_failures(data)


def decode_failures(data: bytes) -> list[Failure]:
    """Return the failures that a unit's file holds."""
    return [Failure(**json.loads(line)) for line in data.decode().splitlines() if line]


def quarantined_units(run_dir: Location) -> list[str]:
    """Return the ids of all units that have failures, sorted."""
    return [name.removesuffix(SUFFIX) for name in (run_dir / FOLDER).list() if name.endswith(SUFFIX)]


def all_failures(run_dir: Location) -> Iterator[tuple[str, Failure]]:
    """Yield ``(unit id, failure)`` for every failure of a run, unit by unit."""
    for unit_id in quarantined_units(run_dir):
        for failure in read_failures(run_dir, unit_id):
            yield unit_id, failure
