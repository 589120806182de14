"""The end of a run: every marker verified, the figures merged, leftovers swept.

All of it reads the ledger and listings only, never the arrays, and can be done again at any time: a
driver that dies in here is resumed by the same command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spectroflow.engine import faults
from spectroflow.engine.ledger import Ledger, Marker
from spectroflow.engine.plan import Plan
from spectroflow.engine.surroundings import recorded_surroundings
from spectroflow.engine.unit import Unit
from spectroflow.engine.writing import write_in_run
from spectroflow.errors import ArchiveError, InvalidInput
from spectroflow.status import code_of, outcome_of
from spectroflow.storage import Location

METRICS_NAME = "metrics.json"
PARTIAL_SUFFIX = ".partial"

Merge = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


@dataclass(slots=True)
class Totals:
    """What all markers of a run say together.

    Attributes
    ----------
    codes
        Status name -> rows.
    metrics
        The merged metrics.
    units, bytes, work_seconds
        Units, what they wrote, and how long workers took for it.
    folders
        The folders that were written to: the first two parts of every key.
    damaged
        Unit id -> why its marker or its output cannot be trusted.
    """

    codes: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    units: int = 0
    bytes: int = 0
    work_seconds: float = 0.0
    folders: set[str] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """``{total, ok, failed, skipped}``."""
        counts = {"total": 0, "ok": 0, "failed": 0, "skipped": 0}
        for name, count in self.codes.items():
            counts["total"] += count
            counts[outcome_of(code_of(name))] += count
        return counts


def verify_and_merge(plan: Plan, ledger: Ledger, root: Location, merge: Merge) -> Totals:
    """Read every marker of a plan, in the plan's order, and add them up.

    A marker counts if it is whole, belongs to this plan, accounts for each row of its unit, and names
    objects that are there in the size it says. Any other is listed as damaged and not added.
    """
    faults.reach("before-finalize", plan.run)
    totals = Totals()
    sizes = _Sizes(root)
    units = plan.units()
    for unit, (unit_id, marker) in zip(plan.units(), ledger.read_all(unit.id for unit in units), strict=True):
        reason = str(marker) if isinstance(marker, ArchiveError) else _fault(unit, marker, sizes)
        if reason:
            totals.damaged[unit_id] = reason
        elif isinstance(marker, Marker):
            _add(totals, marker, merge)
    totals.codes = dict(sorted(totals.codes.items()))
    faults.reach("in-finalize", plan.run)
    return totals


def sweep(root: Location, run_dir: Location, folders: Iterable[str]) -> int:
    """Delete what killed processes left half written; return how many files that were.

    Only storage that writes through partial files has any, and only folders that this run wrote to are
    looked at.
    """
    if not root.is_local:
        return 0
    swept = 0
    for place in [run_dir, *(root / folder for folder in sorted(set(folders)))]:
        try:
            found = [info for info in place.walk() if info.path.endswith(PARTIAL_SUFFIX)]
        except InvalidInput:
            continue
        for info in found:
            info.location.delete(missing_ok=True)
            swept += 1
    return swept


def write_metrics(run_dir: Location, plan: Plan, totals: Totals, details: Mapping[str, Any], seconds: float) -> None:
    """Write ``metrics.json``; its presence says that the run was finalized."""
    tree = {
        "run": plan.run,
        "job": plan.job,
        "fingerprint": plan.fingerprint,
        "rows": totals.rows,
        "codes": totals.codes,
        "metrics": totals.metrics,
        "units": totals.units,
        "bytes": totals.bytes,
        "work_seconds": round(totals.work_seconds, 3),
        "seconds": round(seconds, 3),
        "made_with": recorded_surroundings(run_dir),
        "details": dict(details),
    }
    data = json.dumps(tree, indent=1).encode()
    faults.reach("after-sweep", plan.run)
    write_in_run(run_dir / METRICS_NAME, data, durable=True)
    faults.reach("after-finalize", plan.run)


class _Sizes:
    """Sizes of the objects below the archive, listed folder by folder and held for one folder at a time."""

    def __init__(self, root: Location) -> None:
        self._root = root
        self._folder = ""
        self._sizes: dict[str, int] = {}

    def of(self, key: str) -> int | None:
        """Return the size of an object, or None where it is not there."""
        folder = folder_of(key)
        if folder != self._folder:
            self._folder = folder
            try:
                listing = (self._root / folder).walk()
                self._sizes = {f"{folder}/{info.path}": info.size for info in listing}
            except InvalidInput:
                self._sizes = {}
        return self._sizes.get(key)


def folder_of(key: str) -> str:
    """Return the part of a key that names a segment, a layer or the like: its first two parts."""
    return "/".join(key.split("/")[:2]) if key.count("/") > 1 else key.rpartition("/")[0]


def _fault(unit: Unit, marker: Marker, sizes: _Sizes) -> str:
    if marker.rows != len(unit) or sum(marker.codes.values()) != len(unit):
        return f"it accounts for {sum(marker.codes.values())} of {len(unit)} rows"
    for key, written in marker.keys.items():
        size = sizes.of(key)
        if size is None:
            return f"{key} is missing"
        if size != written.size:
            return f"{key} has {size} bytes, not {written.size}"
    return ""


def _add(totals: Totals, marker: Marker, merge: Merge) -> None:
    for name, count in marker.codes.items():
        totals.codes[name] = totals.codes.get(name, 0) + count
    totals.metrics = merge(totals.metrics, marker.metrics) if totals.units else marker.metrics
    totals.units += 1
    totals.work_seconds += marker.seconds
    for key, written in marker.keys.items():
        totals.bytes += written.size
        totals.folders.add(folder_of(key))
