"""What a worker of the convert job does: planned rows in, spectra and their records out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectroflow.archive.arrays import Layout
from spectroflow.archive.records import read_part
from spectroflow.archive.segment import segment_layout
from spectroflow.config import Config
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Unit
from spectroflow.errors import RecordError
from spectroflow.formats.base import RawRecord
from spectroflow.formats.normalise import Record, to_record
from spectroflow.formats.quality import names_of
from spectroflow.jobs.conversions import PLANNED
from spectroflow.jobs.running import AdditiveMetrics
from spectroflow.jobs.shards import ShardBuilder, segment_keys
from spectroflow.modality import UNKNOWN, Modality, lookup, resolve, unknown
from spectroflow.sources.manifest import Entry, apply_entry
from spectroflow.sources.reading import SourceReader
from spectroflow.storage import CheckedWriter, Location


@dataclass(slots=True)
class ConvertProcessor(AdditiveMetrics):
    """Reads the planned records of units and writes them as spectra.

    Attributes
    ----------
    root, run
        The archive and the run, below which the planned rows are.
    rows
        Rows of each group; a group is a modality.
    config
        The whole configuration.
    """

    root: Location
    run: str
    rows: dict[str, int]
    config: Config
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Nothing has to be opened."""

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the unit's segment."""
        return segment_keys(self._layout(unit.group), segment_id(self.run, unit.group), unit)

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Read and write the unit shard by shard."""
        segment = segment_id(self.run, unit.group)
        codes: Counter[str] = Counter()
        flags: Counter[str] = Counter()
        failures: list[Failure] = []
        size = 0
        for shard in range(unit.shard_start, unit.shard_stop):
            builder = ShardBuilder(self._layout(unit.group), shard)
            rows = self._planned(unit.group, shard)
            for row, plan, outcome in self._read(unit.group, builder.start, rows, skip):
                try:
                    if isinstance(outcome, RecordError):
                        raise outcome
                    builder.put(row, outcome.axis, outcome.intensity, _facts(plan, outcome))
                    flags.update(names_of(outcome.flags))
                    size += plan["size"] // plan["records"]
                except RecordError as error:
                    builder.refuse(row, error.code, _planned_facts(plan))
                    failures.append(
                        Failure(row, error.code, plan["source"], error.message, error.remedy, plan["digest"])
                    )
            codes += builder.write(writer, segment)
        metrics = {"codes": dict(codes), "flags": dict(flags), "bytes_read": size}
        return UnitResult(dict(codes), failures, {unit.group: metrics})

    def probe(self, unit: Unit, rows: range) -> None:
        """Read records without writing."""
        layout = self._layout(unit.group)
        for shard in range(unit.shard_start, unit.shard_stop):
            start, _ = layout.span(shard)
            table = self._planned(unit.group, shard)
            others = {start + i: "CRASHED_WORKER" for i in range(len(table)) if start + i not in rows}
            for _ in self._read(unit.group, start, table, others):
                pass

    def _read(
        self, group: str, start: int, rows: Sequence[dict[str, Any]], skip: Mapping[int, str]
    ) -> Iterator[tuple[int, dict[str, Any], Record | RecordError]]:
        """Yield each row with its plan and its record, or why there is none."""
        modality = modality_of(group, self.config)
        settings = self.config.convert
        with SourceReader(
            max_file_bytes=settings.max_file_bytes, memory=settings.reader_memory, timeout=settings.reader_timeout
        ) as reader:
            source, found = "", _Unread()
            for row, plan in enumerate(rows, start):
                if row in skip:
                    error = RecordError(skip[row], "reading it ended the worker", remedy="Export the spectrum again.")
                    yield row, plan, error
                    continue
                if plan["status"] != "OK":
                    yield row, plan, _planned_failure(plan)
                    continue
                if plan["source"] != source:
                    source, found = plan["source"], _Unread()
                yield row, plan, self._record(reader, plan, found, modality)

    def _record(
        self, reader: SourceReader, plan: dict[str, Any], found: _Unread, modality: Modality
    ) -> Record | RecordError:
        try:
            raws = found.read(reader, plan)
            raw = apply_entry(raws[plan["record"]], Entry.from_json(plan["said"]))
            return to_record(raw, modality, min_points=self.config.convert.min_points, where=plan["source"])
        except RecordError as error:
            return error

    def _planned(self, group: str, shard: int) -> list[dict[str, Any]]:
        location = run_folder(self.root, self.run) / planned_key(group, shard)
        rows: list[dict[str, Any]] = read_part(location).to_pylist()
        return rows

    def _layout(self, group: str) -> Layout:
        return convert_layout(self.run, group, self.rows[group], self.config)


class _Unread:
    """A source that is read when its first record is wanted, and kept until its last one."""

    def __init__(self) -> None:
        self._outcome: list[RawRecord] | RecordError | None = None

    def read(self, reader: SourceReader, plan: dict[str, Any]) -> list[RawRecord]:
        if self._outcome is None:
            try:
                self._outcome = reader.records(
                    plan["source"], plan["name"], digest=plan["digest"], format_name=plan["format"]
                )
            except RecordError as error:
                self._outcome = error
        if isinstance(self._outcome, RecordError):
            raise self._outcome
        if len(self._outcome) != plan["records"]:
            raise RecordError(
                "RECORD_COUNT_CHANGED",
                f"{plan['records']} spectra were announced and {len(self._outcome)} found",
                where=plan["source"],
                remedy="The file is damaged; export it again.",
            )
        return self._outcome


def segment_id(run: str, group: str) -> str:
    """Return the id of the segment that a run writes for a modality."""
    return f"{run}-{group}"


def planned_key(group: str, shard: int) -> str:
    """Return where the planned rows of a shard are, relative to the run."""
    return f"{PLANNED}/{group}/part-{shard:06d}.parquet"


def convert_layout(run: str, group: str, rows: int, config: Config) -> Layout:
    """Return the arrays of the segment that a run writes for a modality."""
    return segment_layout(segment_id(run, group), rows, modality_of(group, config), config.archive)


def modality_of(group: str, config: Config) -> Modality:
    """Return the modality of a group of planned rows; records of unknown modality have one of their own."""
    return unknown() if group == UNKNOWN else lookup(group, resolve(config.modality))


def _planned_failure(plan: dict[str, Any]) -> RecordError:
    reason, remedy = plan["reason"], plan["remedy"]
    if plan["status"] == "DUPLICATE":
        reason, remedy = f"it holds the same spectrum as {plan['duplicate_of']}", "Nothing has to be done."
    return RecordError(plan["status"], reason, where=plan["source"], remedy=remedy)


def _planned_facts(plan: dict[str, Any]) -> dict[str, Any]:
    said = Entry.from_json(plan["said"])
    return {
        "source": plan["source"],
        "record": plan["record"],
        "sample_id": said.sample_id,
        "label": said.label,
        "formula": said.formula,
        "duplicate_of": plan["duplicate_of"] or None,
    }


def _facts(plan: dict[str, Any], record: Record) -> dict[str, Any]:
    facts: dict[str, Any] = dict(record.metadata)
    for name in ("instrument", "orientation", "date"):
        if facts.get(name) is not None:
            facts[name] = str(facts[name])
    if "laser" in facts and not isinstance(facts["laser"], (int, float)):
        facts["laser_as_written"] = facts.pop("laser")
    return {
        **facts,
        "source": plan["source"],
        "record": plan["record"],
        "sample_id": record.sample_id,
        "label": record.label,
        "formula": record.formula,
        "flags": record.flags,
    }
