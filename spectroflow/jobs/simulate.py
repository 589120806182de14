"""The simulate job: a synthetic archive, as files or as Zarr."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from spectroflow.archive import SegmentEntry, add_segments, commit, latest_version
from spectroflow.archive.arrays import Layout
from spectroflow.archive.segment import create_segment, segment_layout
from spectroflow.config import Config
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.unit import Group, Unit
from spectroflow.errors import UsageError
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import AdditiveMetrics, finished, nothing_to_do, planned, run_plan
from spectroflow.jobs.shards import ShardBuilder, segment_keys
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.modality import lookup, resolve
from spectroflow.simulate import modalities_of, row_spectrum, write_files
from spectroflow.simulate import rows as row_indices
from spectroflow.storage import CheckedWriter, Location


@dataclass(slots=True)
class SimulateProcessor(AdditiveMetrics):
    """Makes the spectra of units out of their row numbers.

    Attributes
    ----------
    segments
        ``{modality: segment id}``; a group is a modality.
    config
        The whole configuration.
    """

    segments: dict[str, str]
    config: Config
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Nothing has to be opened."""

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the unit's segment."""
        return segment_keys(self._layout(unit.group), self.segments[unit.group], unit)

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Simulate and write the unit shard by shard."""
        layout = self._layout(unit.group)
        codes: Counter[str] = Counter()
        for shard in range(unit.shard_start, unit.shard_stop):
            builder = ShardBuilder(layout, shard)
            for row in range(builder.start, builder.stop):
                if row in skip:
                    builder.refuse(row, skip[row], {})
                    continue
                one = row_spectrum(row, unit.group, self.config.simulate)
                facts = {
                    **one.metadata,
                    "laser": one.metadata.get("laser_nm"),
                    "sample_id": one.sample_id,
                    "label": one.label,
                    "formula": one.formula,
                    "source": one.filename,
                    "record": 0,
                }
                builder.put(row, one.axis, one.intensity, facts)
            codes += builder.write(writer, self.segments[unit.group])
        failures = [Failure(row, code, unit.group, "simulating it ended its worker", "") for row, code in skip.items()]
        return UnitResult(dict(codes), failures, {unit.group: dict(codes)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Simulate rows without writing."""
        for row in rows:
            row_spectrum(row, unit.group, self.config.simulate)

    def _layout(self, modality: str) -> Layout:
        segment = self.segments[modality]
        count = len(row_indices(self.config.simulate, modality))
        return segment_layout(segment, count, lookup(modality, resolve(self.config.modality)), self.config.archive)


def simulate(out: str, *, form: str, options: JobOptions) -> Summary:
    """Make synthetic materials with known lines.

    Parameters
    ----------
    out
        Folder or archive to write.
    form
        ``files`` for RRUFF-like text with a manifest, ``archive`` for a SpectroFlow archive of origin
        ``simulated``.
    options
        ``config.simulate`` says how many materials and samples.
    """
    options.refuse_where("simulate", "Choose with --modality and simulate.materials.")
    started = time.perf_counter()
    config = options.config
    chosen = modalities_of(config.simulate, options.modalities or None)
    if form == "archive":
        return _simulate_archive(out, chosen, options)
    if form != "files":
        raise UsageError(f"there is no form {form!r}", remedy="Choose files or archive.")
    if options.dry_run:
        total = sum(len(row_indices(config.simulate, name)) for name in chosen)
        return Summary("simulate", status="dry run", rows=Rows(total=total), output=out)
    written = write_files(config.simulate, Location.parse(out), chosen)
    count = sum(written.spectra.values())
    return Summary(
        "simulate",
        rows=Rows(total=count, ok=count),
        seconds=time.perf_counter() - started,
        output=str(written.folder),
        details={
            "spectra": written.spectra,
            "broken": written.broken,
            "manifest": str(written.manifest),
            "truth": str(written.truth),
        },
        lines=[f"manifest {written.manifest}", f"true lines {written.truth}"],
    )


def _simulate_archive(out: str, chosen: tuple[str, ...], options: JobOptions) -> Summary:
    config = options.config
    root = Location.parse(out)
    modalities = resolve(config.modality)
    counts = {name: len(row_indices(config.simulate, name)) for name in chosen}
    layouts = {
        name: segment_layout("", count, lookup(name, modalities), config.archive) for name, count in counts.items()
    }
    groups = [Group(name=name, rows=layout.rows, shard_rows=layout.shard_rows) for name, layout in layouts.items()]
    plan = Plan.of(
        job="simulate",
        command={"out": str(root)},
        base_version=latest_version(root).number,
        config={"simulate": config.simulate.model_dump(mode="json"), "modality": config.modality},
        groups=groups,
        unit_shards=config.engine.unit_shards,
        digests={"code": code_digest()},
        estimate=Estimate(
            units=sum(group.count(config.engine.unit_shards) for group in groups),
            rows=sum(counts.values()),
            bytes=sum(layout.rows * sum(array.row_bytes for array in layout.arrays) for layout in layouts.values()),
            memory_bytes=(300 << 20) + 4 * config.archive.shard_bytes,
        ),
    )
    if options.dry_run:
        return planned("simulate", plan, root)
    segments = {name: f"{plan.run}-{name}" for name in chosen}
    earlier = {entry.run for entry in latest_version(root).segments}
    if plan.run in earlier:
        return nothing_to_do("simulate", root, "this archive was simulated before")
    if earlier:
        raise UsageError(
            "the archive holds other spectra already", where=str(root), remedy="Simulate into an archive of its own."
        )

    def prepare() -> None:
        for name, segment in segments.items():
            layout = segment_layout(segment, counts[name], modalities[name], config.archive)
            create_segment(root, layout, modalities[name], "simulated")

    result = run_plan(plan, SimulateProcessor(segments, config), root, options, prepare)
    entries = [
        SegmentEntry(
            id=segments[name],
            modality=name,
            rows=counts[name],
            shard_rows=layouts[name].shard_rows,
            origin="simulated",
            run=plan.run,
        )
        for name in chosen
    ]
    version = commit(root, lambda base: add_segments(base, entries), command="simulate", run=plan.run)
    return finished("simulate", result, root, options, version=version.number)
