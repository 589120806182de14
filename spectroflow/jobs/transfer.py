"""The transfer job: generate the modalities that were never measured, row by row of every segment."""

from __future__ import annotations

from collections.abc import Sequence

from spectroflow.archive import Archive, SegmentEntry, add_segments, commit, latest_version
from spectroflow.archive.segment import create_segment
from spectroflow.config import digest
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.unit import Group
from spectroflow.errors import InvalidInput
from spectroflow.jobs.making import Knowledge, require_possible
from spectroflow.jobs.model_files import device_payload, digest_of_model, load_generator, worker_resources
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import finished, nothing_to_do, planned, run_plan
from spectroflow.jobs.summary import Summary
from spectroflow.jobs.transferrer import Task, TransferProcessor, out_layout
from spectroflow.jobs.transferrer import row_states as row_states
from spectroflow.modality import Modality, resolve
from spectroflow.storage import Location


def transfer(
    model: str,
    archive: str,
    out: str,
    *,
    pairs: Sequence[tuple[str, str]],
    library: str | None = None,
    track: str = "spectrum",
    options: JobOptions,
) -> Summary:
    """Generate spectra of other modalities for every record of an archive.

    Parameters
    ----------
    model
        Directory of a trained generator.
    archive
        What to read.
    out
        Archive to write: row-aligned segments with origin ``generated``.
    pairs
        Directions; all that the model knows if empty.
    library
        A structure library: structures are ranked for each spectrum, and what they say is used.
    track
        How much of a record's formula is used: nothing (``spectrum``), which elements heavier than oxygen are
        there (``elements``), or all of it (``formula``). Records without one are answered from the spectrum.

    Raises
    ------
    UsageError
        There is no such track.
    ModelError
        The model does not know a direction or a track, or has another grid than the configuration.
    InvalidInput
        The library is none, or does not reach far enough for the wavelength.
    """
    opened = Archive(archive)
    generator = load_generator(Location.parse(model))
    model_digest = digest_of_model(Location.parse(model))
    place = None if library is None else Location.parse(library)
    knowledge = Knowledge(track, place, None if place is None else latest_version(place).number)
    directions = require_possible(generator, list(pairs), knowledge, options.config)
    target_root = Location.parse(out)
    tasks = _tasks(opened, directions, model_digest, knowledge, options, target_root)
    if not tasks:
        return nothing_to_do("transfer", target_root, "everything was generated before by this model")
    plan = _plan(opened, target_root, tasks, model_digest, model, knowledge, options)
    processor = TransferProcessor(
        opened.root,
        opened.version.number,
        target_root,
        Location.parse(model),
        tasks,
        options.config,
        options.where,
        knowledge,
        worker_resources(options.config.engine),
    )
    if options.dry_run:
        return planned("transfer", plan, processor, target_root, options)
    result = run_plan(
        plan,
        processor,
        target_root,
        options,
        lambda: _create(target_root, tasks, opened, model_digest, knowledge, options),
    )
    entries = [
        SegmentEntry(
            id=name,
            modality=task.target,
            rows=task.segment.rows,
            shard_rows=task.segment.shard_rows,
            origin="generated",
            run=plan.run,
            source_segment=task.segment.id,
        )
        for name, task in tasks.items()
    ]
    facts = {
        "input": str(opened.root),
        "input_version": opened.version.number,
        "model": str(Location.parse(model)),
        **knowledge.described(),
    }
    version = commit(
        target_root,
        lambda base: add_segments(base, entries, attributes=facts),
        command="transfer",
        run=plan.run,
    )
    return finished("transfer", result, target_root, options, version=version.number, directions=result.metrics)


def _tasks(
    opened: Archive,
    directions: Sequence[tuple[str, str]],
    model: str,
    knowledge: Knowledge,
    options: JobOptions,
    out: Location,
) -> dict[str, Task]:
    known = {entry.id for entry in latest_version(out).segments}
    tasks = {}
    for source, target in directions:
        segments = opened.segments(source)
        if not segments:
            raise InvalidInput(
                f"the archive has no {source} spectra",
                where=str(opened.root),
                remedy=f"It has {', '.join(opened.modalities)}; choose --from among them.",
            )
        for segment in segments:
            lines = opened.lines_layer(segment.id)
            made_of = {
                "segment": segment.id,
                "lines": lines.id if lines else None,
                "model": model,
                "config": options.config.transfer.model_dump(mode="json"),
                "where": options.where,
                **knowledge.described(),
            }
            name = f"{source}-to-{target}-{digest(made_of, 12)}"
            if name not in known:
                tasks[name] = Task(segment, lines, source, target)
    return tasks


def _plan(
    opened: Archive,
    out: Location,
    tasks: dict[str, Task],
    model_digest: str,
    model: str,
    knowledge: Knowledge,
    options: JobOptions,
) -> Plan:
    groups = [Group(name=n, rows=t.segment.rows, shard_rows=t.segment.shard_rows) for n, t in tasks.items()]
    layouts = [out_layout(name, task, options.config) for name, task in tasks.items()]
    shard = max(sum(array.row_bytes for array in layout.arrays) * layout.shard_rows for layout in layouts)
    return Plan.of(
        job="transfer",
        command={"model": model, "archive": str(opened.root), "out": str(out)},
        base_version=opened.version.number,
        config={"transfer": options.config.transfer.model_dump(mode="json"), "modality": options.config.modality},
        groups=groups,
        payload={"where": options.where, **knowledge.described(), **device_payload(options.config.engine)},
        digests={"code": code_digest(), "model": model_digest},
        estimate=Estimate(
            bytes=sum(layout.total_bytes for layout in layouts),
            memory_bytes=(1000 << 20) + 6 * shard + _library_bytes(knowledge),
        ),
    )


def _library_bytes(knowledge: Knowledge) -> int:
    """Return about what a library takes in a worker: patterns on the grid, and what is learned about it."""
    if knowledge.library is None:
        return 0
    rows = sum(entry.rows for entry in latest_version(knowledge.library).segments)
    return (600 << 20) + rows * (250 << 10)


def _create(
    root: Location, tasks: dict[str, Task], opened: Archive, model: str, knowledge: Knowledge, options: JobOptions
) -> None:
    modalities: dict[str, Modality] = resolve(options.config.modality)
    for name, task in tasks.items():
        extra = {
            "intensity_unit": "relative to the strongest line",
            "source_modality": task.source,
            "source_segment": task.segment.id,
            "source_archive": str(opened.root),
            "model_digest": model,
            **knowledge.described(),
        }
        create_segment(root, out_layout(name, task, options.config), modalities[task.target], "generated", extra)
