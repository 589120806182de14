"""What a worker of the transfer job does: spectra in, generated spectra and their records out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive import Archive, LayerEntry, SegmentEntry
from spectroflow.archive.arrays import Array, Layout
from spectroflow.archive.records import encode, record_digest
from spectroflow.archive.segment import records_key, segment_layout
from spectroflow.config import Config
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.unit import Unit
from spectroflow.jobs.grids import Gridded, grid_rows, not_selected
from spectroflow.jobs.making import Facts, Knowledge, Maker, compositions
from spectroflow.jobs.model_files import device_of
from spectroflow.jobs.running import AdditiveMetrics
from spectroflow.modality import lookup, resolve
from spectroflow.models.generator import Generated
from spectroflow.storage import CheckedWriter, Location

VERDICTS = ("accept", "review", "reject")


@dataclass(frozen=True, slots=True)
class Task:
    """One segment to generate from: the input with its lines, and the modality to make of it."""

    segment: SegmentEntry
    lines: LayerEntry | None
    source: str
    target: str


@dataclass(slots=True)
class TransferProcessor(AdditiveMetrics):
    """Generates spectra for the rows of input segments.

    Attributes
    ----------
    archive, version
        What is read.
    out
        What is written.
    model
        Directory of the generator.
    tasks
        What each group of units is.
    config
        The whole configuration.
    where
        Filter on the record table of the input; other rows are skipped.
    knowledge
        What is used besides the spectrum.
    """

    archive: Location
    version: int
    out: Location
    model: Location
    tasks: dict[str, Task]
    config: Config
    where: str | None = None
    knowledge: Knowledge = field(default_factory=Knowledge)
    resources: Resources = field(default_factory=Resources)
    _maker: Maker | None = field(default=None, repr=False)
    _archive: Archive | None = field(default=None, repr=False)

    @property
    def device(self) -> str:
        """Where the networks run."""
        return device_of(self.resources)

    def setup(self) -> None:
        """Load the model, onto a GPU if the worker has one, and the library."""
        self._maker = Maker(self.model, self.knowledge, self.config, self.device)
        self._maker.open()
        self._archive = Archive(self.archive, self.version)

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the generated arrays and of the record table."""
        layout = out_layout(unit.group, self.tasks[unit.group], self.config)
        shards = range(unit.shard_start, unit.shard_stop)
        records = frozenset(records_key(unit.group, shard) for shard in shards)
        return records.union(*(layout.keys(shard) for shard in shards))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Generate and write the unit shard by shard."""
        task = self.tasks[unit.group]
        layout = out_layout(unit.group, task, self.config)
        store = writer.zarr_store(layout.path)
        codes: Counter[str] = Counter()
        verdicts: Counter[str] = Counter()
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = layout.span(shard)
            state, arrays, facts = self._generate(task, start, stop, skip)
            layout.write(store, shard, arrays)
            rows = self._records(task, shard, start, arrays, facts)
            writer.put(records_key(unit.group, shard), encode(rows))
            codes.update(status.NAMES[int(code)] for code in state)
            verdicts.update(VERDICTS[int(v)] for v in arrays["verdict"][state == status.OK])
        direction = {"spectra": codes["OK"], "verdicts": dict(verdicts)}
        return UnitResult(dict(codes), self._failures(unit, codes, skip), {f"{task.source}_{task.target}": direction})

    def probe(self, unit: Unit, rows: range) -> None:
        """Generate rows without writing."""
        self._generate(self.tasks[unit.group], rows.start, rows.stop, {})

    def _generate(
        self, task: Task, start: int, stop: int, skip: Mapping[int, str]
    ) -> tuple[Array, dict[str, Array], Facts]:
        modalities = resolve(self.config.modality)
        gridded = grid_rows(self.archive, task.segment, task.lines, modalities[task.source], start, stop)
        state = row_states(gridded, start, skip)
        state[self._left_out(task.segment, start, stop) & (state == status.OK)] = status.code_of("NOT_SELECTED")
        usable = np.flatnonzero(state == status.OK)
        made, facts = self._run_model(task, gridded, state == status.OK, start, stop)
        grid = modalities[task.target].grid.axis()
        rows = stop - start
        arrays: dict[str, Array] = {
            "intensity": np.full((rows, grid.size), np.nan, np.float32),
            "uncertainty": np.full((rows, grid.size), np.nan, np.float32),
            "axis": np.full((rows, grid.size), np.nan, np.float64),
            "confidence": np.full(rows, np.nan, np.float32),
            "verdict": np.full(rows, status.NOT_DONE, np.uint8),
            "status": state,
        }
        arrays["axis"][usable] = grid
        arrays["intensity"][usable] = made.intensity[usable]
        arrays["uncertainty"][usable] = made.uncertainty[usable]
        arrays["confidence"][usable] = made.confidence[usable]
        arrays["verdict"][usable] = judge(made.confidence[usable], self.config)
        return state, arrays, facts

    def _left_out(self, segment: SegmentEntry, start: int, stop: int) -> Array:
        assert self._archive is not None, "setup() comes first"
        return not_selected(self._archive, segment, start, stop, self.where)

    def _run_model(self, task: Task, gridded: Gridded, usable: Array, start: int, stop: int) -> tuple[Generated, Facts]:
        """Generate from every row, each at its own place in a batch.

        Rounding depends on the place, so a row that is not usable stays there as one that was measured
        nowhere; otherwise one bad record would change the last bits of those after it.
        """
        assert self._maker is not None, "setup() comes first"
        composition, known = compositions(self._formulas(task.segment, start, stop))
        made, facts = self._maker.make(
            np.where(usable[:, None], gridded.values, np.float32(0)),
            gridded.valid & usable[:, None],
            gridded.lines,
            composition,
            task.source,
            task.target,
        )
        if self.knowledge.track != "spectrum":
            facts = [{**each, "composition": state} for each, state in zip(facts, known, strict=True)]
        return made, facts

    def _formulas(self, segment: SegmentEntry, start: int, stop: int) -> list[str | None]:
        assert self._archive is not None, "setup() comes first"
        first, last = start // segment.shard_rows, -(-stop // segment.shard_rows)
        tables = [self._archive.shard_records(segment, shard)["formula"].to_pylist() for shard in range(first, last)]
        formulas: list[str | None] = [text for table in tables for text in table]
        return formulas[start - first * segment.shard_rows : stop - first * segment.shard_rows]

    def _records(
        self, task: Task, shard: int, start: int, arrays: dict[str, Array], facts: Facts
    ) -> list[dict[str, Any]]:
        assert self._archive is not None, "setup() comes first"
        result = []
        for i, record in enumerate(self._archive.shard_records(task.segment, shard).to_pylist()):
            ok = arrays["status"][i] == status.OK
            axis, intensity = arrays["axis"][i], arrays["intensity"][i]
            result.append(
                {
                    "row": start + i,
                    "sample_id": record["sample_id"],
                    "label": record["label"],
                    "formula": record["formula"],
                    "source": f"{task.segment.id}/{start + i}",
                    "record": 0,
                    "digest": record_digest(axis, intensity) if ok else None,
                    "status": int(arrays["status"][i]),
                    "points": axis.size if ok else 0,
                    "axis_min": float(axis[0]) if ok else None,
                    "axis_max": float(axis[-1]) if ok else None,
                    "metadata": json.dumps(
                        {"input_digest": record["digest"], "input_modality": task.source, **(facts[i] if ok else {})}
                    ),
                }
            )
        return result

    @staticmethod
    def _failures(unit: Unit, codes: Counter[str], skip: Mapping[int, str]) -> list[Failure]:
        remedy = "Generate it again with spectroflow retry after the cause is removed."
        return [
            Failure(row, code, unit.group, "generating from this record ended its worker", remedy)
            for row, code in skip.items()
            if codes[code]
        ]


def row_states(gridded: Gridded, start: int, skip: Mapping[int, str]) -> Array:
    """Return the status of rows before anything is generated: uint8, shape ``(rows,)``."""
    state = np.where(gridded.ok, status.OK, status.code_of("INPUT_NOT_OK")).astype(np.uint8)
    state[gridded.ok & ~gridded.valid.any(axis=1)] = status.code_of("OUTSIDE_GRID")
    for row, code in skip.items():
        if start <= row < start + len(state):
            state[row - start] = status.code_of(code)
    return state


def judge(confidence: Array, config: Config) -> Array:
    """Return verdicts for confidences: 0 accept, 1 review, 2 reject."""
    thresholds = (config.transfer.accept_confidence, config.transfer.review_confidence)
    accept, review = (confidence >= threshold for threshold in thresholds)
    return np.where(accept, 0, np.where(review, 1, 2)).astype(np.uint8)


def out_layout(group: str, task: Task, config: Config) -> Layout:
    """Return the arrays of the generated segment; its shards hold the same rows as the input's."""
    target = lookup(task.target, resolve(config.modality))
    return segment_layout(
        group,
        task.segment.rows,
        target,
        config.archive,
        generated=True,
        shard_rows=task.segment.shard_rows,
        capacity=target.grid.points,
    )
