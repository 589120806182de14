"""How conversions follow each other: what earlier ones saw, what one left unfinished, what one replaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.archive import SegmentEntry, Version, add_segments
from spectroflow.archive.commit import Change
from spectroflow.archive.records import read_part
from spectroflow.archive.segment import records_key
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import PLAN_NAME, Plan, load_plan
from spectroflow.engine.run import RUNS_FOLDER, run_folder
from spectroflow.errors import CommitConflict
from spectroflow.sources.catalogue import Catalogue
from spectroflow.storage import Location

CATALOGUE = "sources.parquet"
"""The catalogue of a run, in its folder."""

PLANNED = "planned"
"""The planned rows of a run, in its folder."""


def previous_catalogue(root: Location, version: Version) -> Catalogue | None:
    """Return what the conversions of a version saw, or None before the first one.

    Usually one catalogue holds everything. After two conversions of different files ran side by side
    there are two; where both know a source, the later one counts.
    """
    tables = [Catalogue.load(run_folder(root, run) / CATALOGUE) for run in version.catalogues]
    if len(tables) < 2:
        return tables[0] if tables else None
    table = pa.concat_tables([catalogue.table for catalogue in reversed(tables)])
    _, first = np.unique(np.asarray(table["source"].to_pylist(), dtype=object), return_index=True)
    return Catalogue(table.take(pa.array(first)), tables[-1].formats)


def unfinished_run(root: Location, base: Version, command: dict[str, Any], config: dict[str, Any]) -> Plan | None:
    """Return the plan of a conversion that the same command began and did not end, or None.

    Finishing it first keeps the work of a night that was cut short even if more files came since. Only
    a run counts whose catalogue was saved, since that is written after all of its planned rows, and
    which began from what the archive is still made of, with the same configuration and code.
    """
    runs = root / RUNS_FOLDER
    done = {entry.run for entry in base.segments}
    for name in runs.list():
        if (
            not name.startswith("convert-")
            or name in done
            or name in base.catalogues
            or not (runs / name / CATALOGUE).exists()
        ):
            continue
        if not (runs / name / PLAN_NAME).exists():
            continue
        plan = load_plan(runs / name)
        same = plan.command == command and plan.config == config and plan.digests["code"] == code_digest()
        if same and plan.payload["catalogues"] == list(base.catalogues):
            return plan
    return None


def committed(root: Location, plan: Plan, entries: Sequence[SegmentEntry]) -> Change:
    """Return the change that makes a conversion part of the archive.

    Raises
    ------
    CommitConflict
        By the change: another run converted one of the same sources since this one was planned.
    """
    planned = set(plan.payload["catalogues"])

    def change(base: Version) -> Version:
        if any(entry.run == plan.run for entry in base.segments):
            return base
        others = [run for run in base.catalogues if run not in planned]
        for run in others:
            shared = _planned_sources(root, run) & _planned_sources(root, plan.run)
            if shared:
                raise CommitConflict(
                    f"{run} converted {len(shared):,} of the same files in the meantime, {min(shared)!r} among them",
                    where=str(root),
                    remedy="Run the same command again; it takes what is still new.",
                )
        replaced = superseded_records(root, base, plan.payload["replaced"]) if plan.payload["replaced"] else {}
        version = add_segments(base, entries, superseded=replaced)
        catalogues = (*base.catalogues, plan.run) if others else (plan.run,)
        return version.model_copy(update={"catalogues": catalogues})

    return change


def superseded_records(root: Location, version: Version, sources: Sequence[str]) -> dict[str, list[int]]:
    """Return the rows, by segment, that hold records of some sources."""
    wanted = pa.array(sorted(sources), pa.string())
    rows: dict[str, list[int]] = {}
    for entry in version.segments:
        for shard in range(-(-entry.rows // entry.shard_rows)):
            part = read_part(root / records_key(entry.id, shard), ["row", "source"])
            found = part.filter(pc.is_in(part["source"], value_set=wanted))["row"].to_pylist()
            if found:
                rows.setdefault(entry.id, []).extend(found)
    return rows


def _planned_sources(root: Location, run: str) -> set[str]:
    """Return the sources that a conversion took; its plan tells, whatever became of its segments."""
    folder = run_folder(root, run) / PLANNED
    found: set[str] = set()
    if folder.exists():
        for info in folder.walk():
            found.update(read_part(info.location, ["source"])["source"].to_pylist())
    return found
