"""Small archives for the tests of the archive room, written by real runs of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive import LayerEntry, SegmentEntry, Version, add_layers, add_segments, commit
from spectroflow.archive.arrays import Layout
from spectroflow.archive.layer import LINES, create_layer, lines_layout
from spectroflow.archive.records import encode
from spectroflow.archive.segment import create_segment, records_key, segment_layout
from spectroflow.config import ArchiveConfig
from spectroflow.engine import ExecuteOptions, Failure, Group, Plan, Resources, Unit, UnitResult, execute
from spectroflow.modality import Modality, builtin
from spectroflow.storage import CheckedWriter, Location

CONFIG = ArchiveConfig(shard_rows=8, chunk_rows=4, chunk_points=16)
CAPACITY = 40
SLOTS = 3
PARAMETERS = ("center", "height", "fwhm")
QUANTITIES = ("lines", "noise_sigma")


def modality(name: str) -> Modality:
    return builtin()[name].model_copy(update={"capacity": CAPACITY, "line_slots": SLOTS})


def values_of(segment: str, row: int) -> dict[str, Any]:
    """Return what is stored for one row, a pure function of where it stands. Each seventh row failed."""
    random = np.random.default_rng([*segment.encode(), row])
    points = int(random.integers(8, CAPACITY + 1))
    failed = row % 7 == 3
    axis, intensity = np.full(CAPACITY, np.nan), np.full(CAPACITY, np.nan, np.float32)
    if not failed:
        axis[:points] = 100 + np.cumsum(random.uniform(1, 2, points))
        intensity[:points] = random.random(points, dtype=np.float32)
    return {
        "axis": axis,
        "intensity": intensity,
        "status": status.code_of("BAD_NUMBER") if failed else status.OK,
        "points": 0 if failed else points,
        "lines": np.full((SLOTS, len(PARAMETERS)), np.nan if failed else row, np.float32),
        "fit": np.full(len(QUANTITIES), np.nan if failed else row, np.float32),
    }


def record_of(segment: str, row: int) -> dict[str, Any]:
    values = values_of(segment, row)
    return {
        "row": row,
        "sample_id": f"S{row // 2}",
        "label": ["Quartz", "Calcite", None][row % 3],
        "source": f"{segment}.txt",
        "record": row,
        "digest": f"{segment}:{row}",
        "status": values["status"],
        "points": values["points"],
        "laser": [532.0, 785.0, None, 633.0][row % 4],
    }


def layer_id(segment: str, config: str = "c1") -> str:
    return f"{segment}-lines-{config}"


def _split(group: str) -> tuple[str, str]:
    segment, _, layer = group.removeprefix("of-").partition("-lines-")
    return segment, layer


@dataclass
class Filler:
    """Writes segments ``x`` (groups named ``of-x``) and lines layers of them (groups named ``x-lines-config``).

    A group of a real run may be named after what it writes, as those of a fit are, or not, as those of a
    conversion are.
    """

    root: Location
    rows: dict[str, int]
    modality: str = "raman"
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        pass

    def layout(self, group: str) -> Layout:
        segment, layer = _split(group)
        spectra = segment_layout(segment, self.rows[segment], modality(self.modality), CONFIG)
        if not layer:
            return spectra
        return lines_layout(group, spectra.rows, spectra.shard_rows, SLOTS, len(PARAMETERS), len(QUANTITIES), CONFIG)

    def keys(self, unit: Unit) -> frozenset[str]:
        layout = self.layout(unit.group)
        segment, layer = _split(unit.group)
        found: frozenset[str] = frozenset()
        for shard in range(unit.shard_start, unit.shard_stop):
            found |= layout.keys(shard)
            if not layer:
                found |= {records_key(segment, shard)}
        return found

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        segment, layer = _split(unit.group)
        layout = self.layout(unit.group)
        store = writer.zarr_store(layout.path)
        codes: Counter[str] = Counter()
        for shard in range(unit.shard_start, unit.shard_stop):
            rows = [values_of(segment, row) for row in range(*layout.span(shard))]
            arrays = {a.name: np.array([row[a.name] for row in rows], a.dtype) for a in layout.arrays}
            layout.write(store, shard, arrays)
            if not layer:
                records = [record_of(segment, row) for row in range(*layout.span(shard))]
                writer.put(records_key(segment, shard), encode(records))
            codes.update(status.NAMES[row["status"]] for row in rows)
        failures = [
            Failure(row, "BAD_NUMBER", f"{segment}.txt", "text among the numbers", "Correct it.")
            for row in unit.rows
            if values_of(segment, row)["status"]
        ]
        return UnitResult(dict(codes), failures)

    def probe(self, unit: Unit, rows: range) -> None:
        pass

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        return {}


def run_filler(root: Location, filler: Filler, groups: Sequence[str], job: str) -> Plan:
    """Write groups by a run of the engine and return its plan; nothing is committed."""
    layouts = {group: filler.layout(group) for group in groups}
    plan = Plan.of(
        job=job,
        groups=[Group(name=group, rows=layout.rows, shard_rows=layout.shard_rows) for group, layout in layouts.items()],
    )

    def prepare(plan: Plan) -> None:
        kind = modality(filler.modality)
        for group, layout in layouts.items():
            segment, layer = _split(group)
            if layer:
                create_layer(root, layout, segment, {"parameter": PARAMETERS, "quantity": QUANTITIES})
            else:
                create_segment(root, layout, kind, "measured")

    execute(plan, filler, root, prepare=prepare, options=ExecuteOptions(workers=0))
    return plan


def add_measured(root: Location, rows: Mapping[str, int], *, kind: str = "raman") -> Version:
    """Write and commit segments, as convert does."""
    filler = Filler(root, dict(rows), kind)
    plan = run_filler(root, filler, [f"of-{name}" for name in rows], "convert")
    entries = [
        SegmentEntry(
            id=name,
            modality=kind,
            rows=count,
            shard_rows=filler.layout(name).shard_rows,
            origin="measured",
            run=plan.run,
            ok=sum(values_of(name, row)["status"] == 0 for row in range(count)),
        )
        for name, count in rows.items()
    ]
    return commit(root, lambda base: add_segments(base, entries, catalogue=plan.run), command="convert", run=plan.run)


def add_lines(root: Location, rows: Mapping[str, int], *, kind: str = "raman", config: str = "c1") -> Version:
    """Write and commit a lines layer of each segment, as fit does."""
    groups = [layer_id(name, config) for name in rows]
    plan = run_filler(root, Filler(root, dict(rows), kind), groups, "fit")
    entries = [
        LayerEntry(id=layer_id(name, config), kind=LINES, segment=name, config=config, run=plan.run) for name in rows
    ]
    return commit(root, lambda base: add_layers(base, entries), command="fit", run=plan.run)
