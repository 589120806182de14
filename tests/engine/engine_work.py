"""A processor for the engine's tests: numbers in real zarr shards, and rows that misbehave on request."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from spectroflow.engine import Failure, Group, Plan, Resources, Unit, UnitResult, preflight
from spectroflow.engine.faults import VARIABLE
from spectroflow.status import code_of
from spectroflow.storage import CheckedWriter, Location, LocationStore

POINTS = 16
ARRAYS = ("values", "status")


@dataclass
class Numbers:
    """Row r gets ``sin(seed + r + point)``; every seventh row fails as BAD_NUMBER, every eleventh is a duplicate.

    ``misbehave`` maps rows to ``kill``, ``hang``, ``memory``, ``error``, ``eat`` or ``full``. With ``once`` set
    to a folder each does so once only.
    """

    rows: int
    shard_rows: int = 8
    seed: int = 0
    misbehave: dict[int, str] = field(default_factory=dict)
    once: str = ""
    slow: float = 0.0
    slow_rows: dict[int, float] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    setup_error: str = ""
    fault: str = ""
    cgroup: str = ""

    def setup(self) -> None:
        if self.cgroup:
            Path(self.cgroup, "cgroup.procs").write_text(str(os.getpid()))
        if self.fault:
            os.environ[VARIABLE] = self.fault
        if self.setup_error == "other package":
            preflight.version = lambda package: "0.0"
        if self.setup_error == "raise":
            raise ValueError("the model cannot be loaded")
        if self.setup_error == "die":
            os.kill(os.getpid(), signal.SIGKILL)

    def keys(self, unit: Unit) -> frozenset[str]:
        shards = range(unit.shard_start, unit.shard_stop)
        values = {f"segments/{unit.group}/spectra.zarr/values/c/{shard}/0" for shard in shards}
        return frozenset(values | {f"segments/{unit.group}/spectra.zarr/status/c/{shard}" for shard in shards})

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        group = zarr.open_group(writer.zarr_store(f"segments/{unit.group}/spectra.zarr"), mode="r+")
        if self.slow:
            time.sleep(self.slow)
        time.sleep(sum(self.slow_rows.get(row, 0.0) for row in unit.rows))
        codes: dict[str, int] = {}
        failures = []
        values = np.full((len(unit), POINTS), np.nan, "float32")
        status = np.zeros(len(unit), "uint8")
        for index, row in enumerate(unit.rows):
            name = skip.get(row) or self.outcome(row)
            if row not in skip:
                self.compute(row)
            if name == "OK":
                values[index] = self.compute(row)
            else:
                failures.append(Failure(row, name, source=f"file-{row}"))
            status[index] = code_of(name)
            codes[name] = codes.get(name, 0) + 1
        group["values"][unit.start : unit.stop] = values
        group["status"][unit.start : unit.stop] = status
        return UnitResult(codes, failures, {"rows": len(unit), "sum_of_rows": sum(unit.rows)})

    def probe(self, unit: Unit, rows: range) -> None:
        for row in rows:
            self.compute(row)

    def outcome(self, row: int) -> str:
        if row % 7 == 3:
            return "BAD_NUMBER"
        return "DUPLICATE" if row % 11 == 5 else "OK"

    def compute(self, row: int) -> Any:
        if row in self.misbehave and self._again(row):
            match self.misbehave[row]:
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang":
                    time.sleep(600)
                case "memory":
                    raise MemoryError
                case "error":
                    raise ValueError(f"row {row} is wrong")
                case "eat":
                    np.ones(1 << 28).sum()
                case "full":
                    raise OSError(28, "No space left on device")
        return np.sin(self.seed + row + np.arange(POINTS)).astype("float32")

    def _again(self, row: int) -> bool:
        if not self.once:
            return True
        try:
            Path(self.once, f"{row}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        return {key: first.get(key, 0) + second.get(key, 0) for key in first | second}

    def prepare(self, root: Location) -> Any:
        def write_metadata(plan: Plan) -> None:
            for group in plan.groups:
                place = root / f"segments/{group.name}/spectra.zarr"
                if (place / "zarr.json").exists():
                    continue
                opened = zarr.open_group(LocationStore(place), mode="a")
                for name, shape, kind, fill in (
                    ("values", (group.rows, POINTS), "float32", np.nan),
                    ("status", (group.rows,), "uint8", 255),
                ):
                    tail = shape[1:]
                    with suppress(zarr.errors.ContainsArrayError):  # another driver was first
                        opened.require_array(
                            name,
                            shape=shape,
                            dtype=kind,
                            chunks=(group.shard_rows // 2, *tail),
                            shards=(group.shard_rows, *tail),
                            fill_value=fill,
                        )

        return write_metadata

    def plan(self, *, unit_shards: int = 1, groups: int = 1, **fields: Any) -> Plan:
        cut = [Group(name=f"g{n}", rows=self.rows, shard_rows=self.shard_rows) for n in range(groups)]
        payload = {"seed": self.seed, **fields.pop("payload", {})}
        return Plan.of(job="numbers", groups=cut, unit_shards=unit_shards, payload=payload, **fields)


def content(root: Location) -> dict[str, str]:
    """Digest of every object of the archive that a reader sees, by path."""
    place = root / "segments"
    return {info.path: hashlib.sha256(info.location.read_bytes()).hexdigest() for info in place.walk()}


def expected_rows(rows: int, groups: int = 1) -> dict[str, int]:
    outcome = Numbers(rows).outcome
    names = [outcome(row) for row in range(rows)]
    ok, skipped = names.count("OK"), names.count("DUPLICATE")
    counts = {"total": rows, "ok": ok, "failed": rows - ok - skipped, "skipped": skipped}
    return {key: count * groups for key, count in counts.items()}
