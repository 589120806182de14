"""The work that the fault benchmark kills: rows with a known value, some of which fail."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.engine_work import Additive
from spectroflow import status
from spectroflow.archive.arrays import ArraySpec, Layout
from spectroflow.engine import Failure, Group, Plan, Resources, Unit, UnitResult
from spectroflow.storage import CheckedWriter, Location

POINTS = 32
SHARD_ROWS = 16
PATH = "segments/sines/spectra.zarr"


def code(row: int) -> str:
    """Return the status of a row."""
    if row % 13 == 4:
        return "BAD_NUMBER"
    return "DUPLICATE" if row % 17 == 6 else "OK"


def expected(rows: int) -> dict[str, int]:
    """Return how many rows have which status."""
    names = [code(row) for row in range(rows)]
    return {name: names.count(name) for name in sorted(set(names))}


@dataclass
class Sines(Additive):
    """Writes two arrays, ``pause`` seconds a unit."""

    rows: int
    pause: float = 0.0
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Open nothing."""

    @property
    def layout(self) -> Layout:
        """The arrays."""
        arrays = (
            ArraySpec("intensity", (POINTS,), "float32", float("nan"), ("spectrum", "point"), (POINTS,)),
            ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
        )
        return Layout(PATH, self.rows, SHARD_ROWS, 4, arrays)

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the unit's shards of both arrays."""
        return frozenset().union(*(self.layout.keys(shard) for shard in range(unit.shard_start, unit.shard_stop)))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Write the unit."""
        time.sleep(self.pause)
        store = writer.zarr_store(PATH)
        names = [skip.get(row) or code(row) for row in unit.rows]
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = self.layout.span(shard)
            rows = np.arange(start, stop)
            values = np.sin(rows[:, None] + np.arange(POINTS) / 7).astype("float32")
            mine = names[start - unit.start : stop - unit.start]
            values[[name != "OK" for name in mine]] = np.nan
            numbers = np.array([status.code_of(name) for name in mine], "uint8")
            self.layout.write(store, shard, {"intensity": values, "status": numbers})
        failures = [Failure(row, name) for row, name in zip(unit.rows, names, strict=True) if name != "OK"]
        codes = {name: names.count(name) for name in set(names)}
        return UnitResult(codes, failures, {"rows": len(unit)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute nothing."""

    def plan(self) -> Plan:
        """Return a plan of one shard a unit."""
        return Plan.of(job="sines", groups=[Group(name="sines", rows=self.rows, shard_rows=SHARD_ROWS)])


def content(root: Location) -> dict[str, str]:
    """Return the digest of every object below the arrays."""
    return {info.path: hashlib.sha256(info.location.read_bytes()).hexdigest() for info in (root / "segments").walk()}
