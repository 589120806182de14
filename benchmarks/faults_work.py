"""The work that the fault benchmark disturbs: a small conversion of spectra with known values, some of which fail."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.engine_work import Additive
from spectroflow import status
from spectroflow.archive import Archive, SegmentEntry, add_segments, commit, version_numbers
from spectroflow.archive.arrays import Layout
from spectroflow.archive.records import encode
from spectroflow.archive.segment import create_segment, records_key, segment_layout
from spectroflow.archive.verify import verify
from spectroflow.config import ArchiveConfig
from spectroflow.engine import (
    ExecuteOptions,
    Failure,
    Group,
    Listener,
    Plan,
    Resources,
    RunResult,
    Unit,
    UnitResult,
    all_failures,
    execute,
    faults,
    run_folder,
)
from spectroflow.engine.events import ignore
from spectroflow.errors import SpectroFlowError
from spectroflow.modality import builtin
from spectroflow.storage import CheckedWriter, Location

ROWS = 96
POINTS = 32
SHARD_ROWS = 16
SEGMENT = "raman-sines"
CONFIG = ArchiveConfig(shard_rows=SHARD_ROWS, chunk_rows=4, chunk_points=16)
MODALITY = builtin()["raman"]
INLINE = ExecuteOptions(backend="inline", verify_fraction=0.0)


def code(row: int) -> str:
    """Return the status of a row."""
    if row % 13 == 4:
        return "BAD_NUMBER"
    return "DUPLICATE" if row % 17 == 6 else "OK"


def expected(rows: int) -> dict[str, int]:
    """Return how many rows have which status."""
    return dict(sorted(Counter(code(row) for row in range(rows)).items()))


@dataclass
class Sines(Additive):
    """Writes a segment: axis, intensity, status and records.

    Attributes
    ----------
    rows
        Records, of which each is a row.
    pause
        Seconds that a unit takes longer.
    fault
        What the workers' ``SPECTROFLOW_FAULT`` is set to.
    victim
        Who dies at a fault: ``worker``, ``node``, or the process of that number.
    """

    rows: int
    pause: float = 0.0
    fault: str = ""
    victim: str = "worker"
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Say who dies at a fault."""
        if self.fault:
            os.environ[faults.VARIABLE] = self.fault
        if self.victim == "node":
            faults.die = _kill_node
        elif self.victim != "worker":
            # Of the driver: this worker goes on, as one does whose driver is gone.
            faults.die = lambda: os.kill(int(self.victim), signal.SIGKILL)

    @property
    def layout(self) -> Layout:
        """The arrays."""
        return segment_layout(SEGMENT, self.rows, MODALITY, CONFIG, capacity=POINTS)

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the unit's shards of all arrays and its parts of the record table."""
        shards = range(unit.shard_start, unit.shard_stop)
        return frozenset().union(*(self.layout.keys(n) | {records_key(SEGMENT, n)} for n in shards))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Write the unit."""
        time.sleep(self.pause)
        store = writer.zarr_store(self.layout.path)
        names = [skip.get(row) or code(row) for row in unit.rows]
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = self.layout.span(shard)
            rows = np.arange(start, stop)
            mine = names[start - unit.start : stop - unit.start]
            axis = 100.0 + rows[:, None] / 7 + np.arange(POINTS)
            values = np.sin(axis).astype("float32")
            values[[name != "OK" for name in mine]] = np.nan
            numbers = np.array([status.code_of(name) for name in mine], "uint8")
            self.layout.write(store, shard, {"axis": axis, "intensity": values, "status": numbers})
            records = [
                {"row": row, "source": "sines", "record": row, "digest": f"sines:{row}", "status": int(number)}
                for row, number in zip(rows.tolist(), numbers, strict=True)
            ]
            writer.put(records_key(SEGMENT, shard), encode(records))
        failures = [Failure(row, name) for row, name in zip(unit.rows, names, strict=True) if name != "OK"]
        return UnitResult(dict(Counter(names)), failures, {"rows": len(unit)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute nothing."""

    def plan(self) -> Plan:
        """Return a plan of one shard a unit."""
        return Plan.of(job="sines", groups=[Group(name="sines", rows=self.rows, shard_rows=SHARD_ROWS)])


def _kill_node() -> None:
    """End the node daemon that this worker belongs to, and this worker."""
    parent = os.getppid()
    if Path(f"/proc/{parent}/comm").read_text().strip() != "raylet":
        raise RuntimeError(f"process {parent}, which started this worker, is no raylet")
    os.kill(parent, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def convert(
    root: Location,
    work: Sines,
    options: ExecuteOptions = INLINE,
    listener: Listener = ignore,
) -> RunResult:
    """Do the work and commit it, or what is left of it."""
    result = execute(
        work.plan(),
        work,
        root,
        options=options,
        prepare=lambda _: create_segment(root, work.layout, MODALITY, "measured"),
        listener=listener,
    )
    entry = SegmentEntry(
        id=SEGMENT,
        modality=MODALITY.name,
        rows=work.rows,
        shard_rows=SHARD_ROWS,
        origin="measured",
        run=result.run,
        ok=result.rows["ok"],
    )
    commit(root, lambda base: add_segments(base, [entry], catalogue=result.run), command="convert", run=result.run)
    return result


def content(root: Location) -> dict[str, str]:
    """Return the digest of every object that readers get."""
    return {info.path: hashlib.sha256(info.location.read_bytes()).hexdigest() for info in (root / "segments").walk()}


@dataclass
class Tally:
    """What was done to runs, and what came of them."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    lost_rows: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def judge(self, kind: str, root: Location, rows: int, result: RunResult, undisturbed: dict[str, str]) -> None:
        """Compare a run that came to its end with an undisturbed one."""
        self.runs[kind] += 1
        try:
            problems, lost = _differences(root, rows, result, undisturbed)
        except (SpectroFlowError, OSError) as error:
            problems, lost = [str(error)], rows
        self.lost_rows[kind] += lost
        self.failures[kind] += bool(problems)
        self.notes += [f"{kind}: {problem}" for problem in problems]

    def expect_exit(self, kind: str, error: SpectroFlowError | None, code: int) -> None:
        """Count a run that did not end as documented as a failure."""
        found = 0 if error is None else error.exit_code
        if found != code:
            self.failures[kind] += 1
            self.notes.append(f"{kind}: exit code {found}, not {code}: {error}")

    def table(self) -> str:
        """Return one line for each kind of fault."""
        kinds = [*self.runs, *(kind for kind in self.kills if kind not in self.runs)]
        width = max(map(len, kinds))
        lines = ["", f"{'fault':<{width}} {'faults':>7} {'runs':>6} {'failures':>9} {'lost rows':>10}"]
        lines += [
            f"{kind:<{width}} {self.kills[kind]:>7} {self.runs[kind]:>6} {self.failures[kind]:>9} "
            f"{self.lost_rows[kind]:>10}"
            for kind in kinds
        ]
        return "\n".join([*lines, *self.notes]) + "\n"


def _differences(root: Location, rows: int, result: RunResult, undisturbed: dict[str, str]) -> tuple[list[str], int]:
    """Return what is wrong with a finished run, and how many of its rows are missing or there twice."""
    wanted = expected(rows)
    archive = Archive(root)
    table = archive.records()
    seen = Counter(table["digest"].to_pylist())
    names = [f"sines:{row}" for row in range(rows)]
    lost = sum(abs(seen[name] - 1) for name in names) + sum(n for name, n in seen.items() if name not in set(names))
    lost += sum(abs(result.codes.get(name, 0) - count) for name, count in wanted.items())
    states = Counter(status.NAMES[int(number)] for number in archive.array(SEGMENT, "status"))
    failed = Counter(failure.code for _, failure in all_failures(run_folder(root, result.run)))
    now = content(root)
    checks = {
        "an object differs from the undisturbed run": now == undisturbed,
        "a row's status differs": states == wanted and result.codes == wanted,
        "figures differ": result.metrics == {"rows": rows},
        "failed rows are not explained": failed == {name: n for name, n in wanted.items() if name != "OK"},
        "it was not committed exactly once": version_numbers(root) == [1],
        "half written files are left": not any(path.endswith(".partial") for path in now),
        "verify finds damage": not any(finding.damage for finding in verify(root, archive.version)),
    }
    return [problem for problem, fine in checks.items() if not fine], lost
