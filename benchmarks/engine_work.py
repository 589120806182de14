"""Processors that the engine's benchmarks give to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectroflow.archive.arrays import ArraySpec, Layout, read_rows
from spectroflow.engine import Group, Plan, Resources, Unit, UnitResult
from spectroflow.storage import CheckedWriter, Location

POINTS = 1024
SHARD_ROWS = 1024


class Additive:
    """Base of processors whose metrics are numbers to add."""

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """Return the sums."""
        return {key: first.get(key, 0) + second.get(key, 0) for key in first | second}


@dataclass
class Nothing(Additive):
    """Does nothing with a thousand rows a unit, so that only the engine's own work is left."""

    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Open nothing."""

    def keys(self, unit: Unit) -> frozenset[str]:  # noqa: ARG002
        """Return no key."""
        return frozenset()

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:  # noqa: ARG002
        """Call every row ok."""
        return UnitResult({"OK": len(unit)}, [], {"rows": len(unit)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute nothing."""

    @staticmethod
    def plan(units: int) -> Plan:
        """Return a plan of that many units."""
        return Plan.of(job="nothing", groups=[Group(name="g", rows=units * 1000, shard_rows=1000)])


def layout_of(path: str, rows: int) -> Layout:
    """Return one array of noisy spectra, ``(rows, 1024)`` float32, cut as segments are."""
    array = ArraySpec("intensity", (POINTS,), "float32", float("nan"), ("spectrum", "point"), (POINTS,))
    return Layout(path, rows, SHARD_ROWS, 64, (array,))


@dataclass
class Copy(Additive):
    """Reads each shard of one array and writes it to another, or only one of both.

    Attributes
    ----------
    root, rows
        The archive, and rows of both arrays.
    source
        The path of the array to read; empty for noise made on the spot.
    target
        The path of the array to write.
    """

    root: Location
    rows: int
    source: str = ""
    target: str = "segments/copy/spectra.zarr"
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Make the noise that is written where nothing is read."""
        self._noise = np.random.default_rng(0).normal(size=(SHARD_ROWS, POINTS)).astype("float32")

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the target."""
        layout = layout_of(self.target, self.rows)
        return frozenset().union(*(layout.keys(shard) for shard in range(unit.shard_start, unit.shard_stop)))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:  # noqa: ARG002
        """Copy the unit shard by shard."""
        layout = layout_of(self.target, self.rows)
        store = writer.zarr_store(layout.path)
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = layout.span(shard)
            if self.source:
                values = read_rows(self.root, self.source, "intensity", start, stop)
            else:
                values = self._noise[: stop - start]
            layout.write(store, shard, {"intensity": values})
        return UnitResult({"OK": len(unit)}, [], {"rows": len(unit)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute nothing."""

    def plan(self, unit_shards: int = 1) -> Plan:
        """Return a plan of so many shards a unit."""
        group = Group(name="copy", rows=self.rows, shard_rows=SHARD_ROWS)
        payload = {"source": self.source, "target": self.target}
        return Plan.of(job="copy", groups=[group], payload=payload, unit_shards=unit_shards)
