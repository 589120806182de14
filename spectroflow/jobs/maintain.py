"""Keeping an archive: verify, compact, gc, versions, restore."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import islice
from typing import Any

from spectroflow.archive import Archive, Version, latest_version
from spectroflow.archive.compact import (
    Merge,
    choose_merges,
    commit_merges,
    compaction_plan,
    merge_processor,
    prepare_merges,
)
from spectroflow.archive.findings import Examined, Finding
from spectroflow.archive.gc import collect
from spectroflow.archive.merging import merged_layouts
from spectroflow.archive.restore import list_versions, restore_version
from spectroflow.archive.verify import verify as examine
from spectroflow.errors import ArchiveError, UsageError
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import nothing_to_do, planned, run_plan
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.storage import Location

SHOWN = 20
"""Findings that are told to people one by one."""

LISTED = 10_000
"""Findings and removals that are listed in the JSON summary; all of them are counted."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def verify(archive: str, *, options: JobOptions) -> Summary:
    """Read everything that the newest version names again and compare it with the digests.

    Parameters
    ----------
    archive
        Path or URL.
    options
        With ``dry_run`` only sizes are compared, and nothing is read.

    Returns
    -------
    Summary
        Status ``damaged``, with exit code 3, where anything differs from what was written. Rows are those
        of the segments.
    """
    began = time.perf_counter()
    root = Location.parse(archive)
    version, broken = _newest_readable(root)
    examined = Examined()
    found = examine(root, version, examined=examined, read=not options.dry_run)
    kept: list[Finding] = list(islice(found, LISTED))
    kinds = Counter(finding.kind for finding in kept)
    kinds.update(finding.kind for finding in found)
    damaged = bool(examined.damaged or broken)
    lines = [
        f"{examined.objects:,} objects, {examined.bytes / 1e6:,.1f} MB: "
        + (", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())) or "all as written")
    ]
    lines += [broken] if broken else []
    lines += [f"{finding.kind}: {finding.key}: {finding.detail}" for finding in kept[:SHOWN]]
    if sum(kinds.values()) > SHOWN:
        lines.append(f"and {sum(kinds.values()) - SHOWN:,} more; --json lists them")
    total = sum(entry.rows for entry in version.segments)
    return Summary(
        "verify",
        run=version.run,
        status="damaged" if damaged else "done",
        rows=Rows(total=total, ok=total),
        seconds=time.perf_counter() - began,
        output=str(root),
        details={
            "version": version.number,
            "objects": examined.objects,
            "bytes": examined.bytes,
            "found": dict(sorted(kinds.items())),
            "findings": [finding.to_json() for finding in kept],
        },
        lines=lines,
    )


def compact(archive: str, *, options: JobOptions) -> Summary:
    """Merge the small segments of many nights, with their layers and without superseded rows.

    Parameters
    ----------
    archive
        Path or URL.
    options
        ``modalities`` limits what is merged; ``config.archive`` says how the new segments are cut.
    """
    opened = Archive(archive)
    config = options.config.archive
    merges = choose_merges(opened.root, opened.version, config)
    if options.modalities:
        merges = [merge for merge in merges if merge.modality in options.modalities]
    if not merges:
        return nothing_to_do("compact", opened.root, "there are no small segments that belong together")
    layouts = [layout for merge in merges for _, layout, _ in merged_layouts(opened.root, merge, config)]
    plan = compaction_plan(opened.version, merges, config, written=sum(layout.total_bytes for layout in layouts))
    processor = merge_processor(opened.root, merges, config)
    if options.dry_run:
        summary = planned("compact", plan, processor, opened.root, options)
        summary.lines += [_sentence(merge, "would become") for merge in merges]
        return summary
    result = run_plan(plan, processor, opened.root, options, lambda: prepare_merges(opened.root, merges, config))
    version = commit_merges(opened.root, merges, plan.run, result.metrics["ok"])
    done = [merge for merge in merges if any(entry.id == merge.segment for entry in version.segments)]
    # Every record that was moved is a success of this job, whatever had become of it before.
    return Summary(
        "compact",
        run=plan.run,
        rows=Rows(total=plan.rows, ok=plan.rows),
        seconds=result.seconds,
        output=str(opened.root),
        details={
            "version": version.number,
            "segments_before": len(opened.version.segments),
            "segments": len(version.segments),
            "merged": {merge.segment: [member.entry.id for member in merge.members] for merge in done},
        },
        lines=[_sentence(merge, "became") for merge in done],
    )


def gc(archive: str, *, grace: str = "24h", keep: int | None = None, options: JobOptions) -> Summary:
    """Remove what no kept version names and nobody is working on.

    Parameters
    ----------
    archive
        Path or URL.
    grace
        What is younger stays: a number with ``s``, ``m``, ``h``, ``d`` or ``w``.
    keep
        Newest versions to keep, besides those that were the newest within the grace time; all if not given.
    options
        With ``dry_run`` nothing is removed.

    Raises
    ------
    UsageError
        ``grace`` is no duration, or ``keep`` is not positive.
    """
    began = time.perf_counter()
    if keep is not None and keep < 1:
        raise UsageError(f"{keep} versions cannot be kept", remedy="Keep at least 1, the newest.")
    root = Location.parse(archive)
    objects: Counter[str] = Counter()
    size = 0
    keys: list[str] = []
    for removal in collect(root, grace=parse_duration(grace), keep=keep, dry_run=options.dry_run):
        objects[removal.reason] += 1
        size += removal.size
        if len(keys) < LISTED:
            keys.append(removal.key)
    verb = "would remove" if options.dry_run else "removed"
    parts = ", ".join(f"{count:,} of {_PLURALS[reason]}" for reason, count in sorted(objects.items()))
    lines = [f"{verb} {sum(objects.values()):,} objects, {size / 1e6:,.1f} MB" + (f": {parts}" if parts else "")]
    if options.dry_run:
        lines += keys[:SHOWN]
    return Summary(
        "gc",
        status="dry run" if options.dry_run else ("done" if keys else "nothing to do"),
        seconds=time.perf_counter() - began,
        output=str(root),
        details={"objects": dict(sorted(objects.items())), "bytes": size, "keys": keys},
        lines=lines,
    )


def versions(archive: str) -> Summary:
    """List the versions of an archive, oldest first."""
    root = Location.parse(archive)
    entries: list[dict[str, Any]] = []
    lines = []
    for version in list_versions(root):
        if isinstance(version, ArchiveError):
            entries.append({"error": str(version)})
            lines.append(str(version))
            continue
        rows = sum(entry.rows for entry in version.segments)
        entries.append(
            {
                **version.model_dump(mode="json", include={"number", "parent", "created", "command", "run"}),
                "segments": len(version.segments),
                "layers": len(version.layers),
                "rows": rows,
            }
        )
        lines.append(
            f"{version.number:>6}  {version.created}  {version.command:<10}  {len(version.segments):,} segments, "
            f"{len(version.layers):,} layers, {rows:,} rows  ({version.run})"
        )
    return Summary("versions", output=str(root), details={"versions": entries}, lines=lines)


def restore(archive: str, number: int) -> Summary:
    """Make the content of an earlier version the newest again, as a new version."""
    root = Location.parse(archive)
    version = restore_version(root, number)
    rows = sum(entry.rows for entry in version.segments)
    return Summary(
        "restore",
        run=version.run,
        rows=Rows(total=rows, ok=rows),
        output=str(root),
        details={"version": version.number, "restored": number},
        lines=[f"version {version.number} holds what version {number} holds"],
    )


_PLURALS = {
    "version": "old versions",
    "segment": "segments",
    "layer": "layers",
    "run": "runs",
    "marker": "markers",
    "leftover": "half written files",
}


def parse_duration(text: str) -> float:
    """Return seconds for ``90s``, ``30m``, ``24h``, ``7d`` or ``2w``; raise :class:`UsageError` for else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    if not match:
        raise UsageError(f"{text!r} is not a duration", remedy="For example: 90m, 24h, 7d.")
    return float(match[1]) * _UNITS[match[2]]


def _sentence(merge: Merge, verb: str) -> str:
    return (
        f"{len(merge.members):,} {merge.modality} segments {verb} {merge.segment}: {merge.rows:,} rows "
        f"with {len(merge.layer_keys)} layers"
    )


def _newest_readable(root: Location) -> tuple[Version, str]:
    """Return the newest version that can be read, and what is wrong with the newest if it is another one."""
    try:
        version = latest_version(root)
    except ArchiveError as error:
        readable = [found for found in list_versions(root) if not isinstance(found, ArchiveError)]
        if not readable:
            raise
        return readable[-1], f"{error.message}; version {readable[-1].number} was examined instead"
    if version.number == 0:
        raise ArchiveError("there is no archive here", where=str(root), remedy="Check the path.")
    return version, ""
