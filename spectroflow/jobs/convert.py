"""The convert job: new and changed files become a segment of each modality."""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spectroflow.archive import SegmentEntry, Version, commit, latest_version
from spectroflow.archive.segment import create_segment
from spectroflow.config import Config
from spectroflow.engine.code import code_digest
from spectroflow.engine.ledger import Ledger
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Group
from spectroflow.errors import InvalidInput, UsageError
from spectroflow.jobs.conversions import CATALOGUE, committed, previous_catalogue, unfinished_run
from spectroflow.jobs.convert_progress import ReadingProgress, looking, work_of
from spectroflow.jobs.converter import ConvertProcessor, convert_layout, modality_of, planned_key, segment_id
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import finished, nothing_to_do, planned, run_plan
from spectroflow.jobs.sizing import sized
from spectroflow.jobs.summary import Summary
from spectroflow.modality import resolve
from spectroflow.sources.manifest import read_manifest
from spectroflow.sources.plan import SourcePlan, plan_sources
from spectroflow.storage import Location


def convert(
    sources: Sequence[str],
    archive: str,
    *,
    manifest: str | None = None,
    again: Sequence[str] = (),
    options: JobOptions,
) -> Summary:
    """Bring new and changed files into an archive.

    Parameters
    ----------
    sources
        Files, folders, patterns and URLs.
    archive
        Path or URL of the archive; it is made if there is none.
    manifest
        A CSV file that says what files are that do not say it themselves.
    again
        Sources to take again although they did not change.

    Returns
    -------
    Summary
        Rows are the records of new and changed sources.

    Raises
    ------
    UsageError
        No source is given.
    InvalidInput
        A source or the manifest does not exist, or something else than an archive is where it is to be.
    CommitConflict
        Another run converted one of the same files in the meantime.
    """
    if not sources:
        raise UsageError("there is nothing to convert", remedy="Give at least one file, folder or URL.")
    options.refuse_where("convert", "The record table does not exist before; name the files to convert instead.")
    began = time.perf_counter()
    root = _archive_at(archive)
    # As absolute paths, so that a retry finds them from wherever it is called.
    manifest = manifest and str(Location.parse(manifest))
    command = {"sources": [str(Location.parse(text)) for text in sources], "manifest": manifest, "archive": str(root)}
    resumed = None if options.dry_run else unfinished_run(root, latest_version(root), command, _content(options.config))
    first = _carry_out(resumed, root, options) if resumed is not None else None
    base = latest_version(root)
    found = plan_sources(
        sources,
        resolve(options.config.modality),
        previous=previous_catalogue(root, base),
        manifest=read_manifest(manifest, options.config.convert.manifest_columns) if manifest else None,
        exclude=[root],
        again=again,
        max_file_bytes=options.config.convert.max_file_bytes,
        reader_memory=options.config.convert.reader_memory,
        reader_timeout=options.config.convert.reader_timeout,
        listener=looking(options.listener),
    )
    details = {"sources": asdict(found.counts), "unclaimed": found.unclaimed, "warnings": list(found.warnings)}
    sentences = _sentences(found)
    if not any(table.num_rows for table in found.rows.values()):
        summary = nothing_to_do("convert", root, _idle(found)) if first is None else first
    else:
        plan = _sized(_plan(found, base, command, options), root, options, found)
        if options.dry_run:
            summary = planned("convert", plan, None, root, options)
        else:
            unsaved = [found]
            del found  # saved and let go before the first unit: a large plan is not to stay in memory beside the work
            summary = _carry_out(plan, root, options, unsaved)
            if first is not None:
                summary.rows = summary.rows + first.rows
    summary.details |= details
    summary.seconds = time.perf_counter() - began
    summary.lines += sentences
    return summary


def _archive_at(path: str) -> Location:
    """Return where an archive is or can be; raise :class:`InvalidInput` where something else is."""
    root = Location.parse(path)
    if not root.exists():
        return root
    names = root.list()
    if not root.is_folder() or (names and not _PARTS.intersection(names)):
        what = "this folder holds other things than an archive" if names else "this is a file"
        raise InvalidInput(
            what,
            where=str(root),
            remedy="The last argument is the archive; name one, or a folder that is not there yet.",
        )
    return root


_PARTS = frozenset({"versions", "runs", "segments"})


def _idle(found: SourcePlan) -> str:
    """Return why there is nothing to do."""
    counts = found.counts
    if not counts.objects:
        return "there is no file in what was given"
    if counts.objects == counts.unclaimed + counts.containers:
        return "none of the files is of a known format"
    return "every source was converted before"


def _carry_out(plan: Plan, root: Location, options: JobOptions, unsaved: list[SourcePlan] | None = None) -> Summary:
    """Run and commit a plan; what is ``unsaved`` of it is saved first and taken out of that list."""
    rows = {group.name: group.rows for group in plan.groups}
    modalities = {name: modality_of(name, options.config) for name in rows}

    def prepare() -> None:
        for name, count in rows.items():
            layout = convert_layout(plan.run, name, count, options.config)
            create_segment(root, layout, modalities[name], "measured")
        if unsaved:
            _save_rows(unsaved.pop(), plan, root)
            pa.default_memory_pool().release_unused()

    done = Ledger(run_folder(root, plan.run), plan.fingerprint).names()
    heard = replace(options, listener=ReadingProgress(options.listener, plan, done))
    result = run_plan(plan, ConvertProcessor(root, plan.run, rows, options.config), root, heard, prepare)
    entries = [
        SegmentEntry(
            id=segment_id(plan.run, group.name),
            modality=group.name,
            rows=group.rows,
            shard_rows=group.shard_rows,
            origin="measured",
            run=plan.run,
        )
        for group in plan.groups
    ]
    version = commit(root, committed(root, plan, entries), command="convert", run=plan.run)
    return finished("convert", result, root, options, version=version.number, modalities=result.metrics)


def _plan(found: SourcePlan, base: Version, command: dict[str, Any], options: JobOptions) -> Plan:
    config = options.config
    counts = {name: table.num_rows for name, table in sorted(found.rows.items()) if table.num_rows}
    layouts = {name: convert_layout("", name, count, config) for name, count in counts.items()}
    groups = [Group(name=name, rows=layout.rows, shard_rows=layout.shard_rows) for name, layout in layouts.items()]
    shard = max(sum(a.row_bytes for a in layout.arrays) * layout.shard_rows for layout in layouts.values())
    return Plan.of(
        job="convert",
        command=command,
        base_version=base.number,
        config=_content(config),
        groups=groups,
        payload={
            "catalogues": list(base.catalogues),
            "replaced": list(found.replaced),
            "work": {group.name: work_of(found.rows[group.name], group) for group in groups},
        },
        digests={"code": code_digest(), **{name: _table_digest(found.rows[name]) for name in counts}},
        estimate=Estimate(
            bytes=sum(layout.total_bytes for layout in layouts.values()),
            memory_bytes=(250 << 20) + 3 * shard,
        ),
    )


def _sized(plan: Plan, root: Location, options: JobOptions, found: SourcePlan) -> Plan:
    """Return the plan with its units and its estimate, for which some records may be read as workers would."""
    first = min(plan.groups, key=lambda group: group.name)
    with tempfile.TemporaryDirectory() as folder:
        place = Location.parse(folder)
        part = found.rows[first.name].slice(0, first.shard_rows)
        (run_folder(place, plan.run) / planned_key(first.name, 0)).write_bytes(_parquet(part))
        rows = {group.name: group.rows for group in plan.groups}
        return sized(plan, ConvertProcessor(place, plan.run, rows, options.config), root, options)


def _save_rows(found: SourcePlan, plan: Plan, root: Location) -> None:
    """Write the planned rows, a file per shard, and the catalogue; the catalogue's presence says all is there."""
    folder = run_folder(root, plan.run)
    for group in plan.groups:
        table = found.rows[group.name]
        for shard in range(group.shards):
            part = table.slice(shard * group.shard_rows, group.shard_rows)
            (folder / planned_key(group.name, shard)).write_bytes(_parquet(part))
    found.catalogue.save(folder / CATALOGUE)


def _content(config: Config) -> dict[str, Any]:
    """Return the part of the configuration that decides what is written."""
    return {
        "convert": config.convert.model_dump(mode="json"),
        "archive": config.archive.model_dump(mode="json"),
        "modality": config.modality,
    }


def _sentences(found: SourcePlan) -> list[str]:
    counts = found.counts
    lines = [
        f"{counts.objects:,} files: {counts.new:,} new, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{counts.unclaimed:,} of no known format, {counts.vanished:,} vanished"
    ]
    if found.unclaimed:
        shown = ", ".join(f"{count:,} {extension}" for extension, count in list(found.unclaimed.items())[:6])
        lines.append(f"no format claims {shown}")
    return [*lines, *found.warnings]


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _table_digest(table: pa.Table) -> str:
    sink = hashlib.blake2b(digest_size=16)
    for batch in table.combine_chunks().to_batches(max_chunksize=8192):
        sink.update(batch.serialize().to_pybytes())
    return sink.hexdigest()
