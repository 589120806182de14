"""The retry job: take up again what failed, after its cause was removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from spectroflow import status
from spectroflow.archive import Archive
from spectroflow.engine.plan import PLAN_NAME, Plan, load_plan
from spectroflow.engine.run import RUNS_FOLDER
from spectroflow.errors import InvalidInput
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import nothing_to_do
from spectroflow.jobs.summary import Summary
from spectroflow.sources.objects import split_member


def retry(
    archive: str,
    *,
    run: str | None = None,
    only_failed: bool = True,
    sources: Sequence[str] = (),
    options: JobOptions,
) -> Summary:
    """Convert again the files whose records failed; their new records supersede the failed ones.

    Parameters
    ----------
    archive
        Path or URL.
    run
        Only failures of this conversion; of all of them if not given.
    only_failed
        False takes skipped records again too, such as duplicates.
    sources
        Only these files.

    Raises
    ------
    InvalidInput
        The run is not a conversion of this archive.
    """
    opened = Archive(archive)
    plans = _conversions(opened)
    if run is not None and run not in plans:
        raise InvalidInput(
            f"{run!r} is not a conversion of this archive",
            where=str(opened.root),
            remedy=f"Conversions are {', '.join(sorted(plans)) or 'none'}.",
        )
    wanted = _sources(opened, run, only_failed)
    if sources:
        wanted &= set(sources)
    if not wanted:
        return nothing_to_do("retry", opened.root, "no record failed")
    # Only what failed: files that are new are for the next conversion. Members of an archive come with it.
    places = sorted({split_member(source)[0] for source in wanted}, key=str)
    there = [str(place) for place in places if place.exists()]
    if not there:
        return nothing_to_do("retry", opened.root, "none of the files whose records failed is there")
    summary = convert(
        there,
        str(opened.root),
        manifest=_manifest(plans.values()),
        again=sorted(wanted),
        options=replace(options, where=None),
    )
    summary.command = "retry"
    if summary.status == "done" and any(layer.kind == "lines" for layer in opened.version.layers):
        fit(str(opened.root), options=options)
    return summary


def _conversions(opened: Archive) -> dict[str, Plan]:
    """Return the plans of all conversions, also of those whose segments were compacted since."""
    runs = opened.root / RUNS_FOLDER
    names = [name for name in runs.list() if name.startswith("convert-") and (runs / name / PLAN_NAME).exists()]
    return {name: load_plan(runs / name) for name in names}


def _sources(opened: Archive, run: str | None, only_failed: bool) -> set[str]:
    """Return the sources of failed, or of all, records of a run, or of all runs."""
    found: set[str] = set()
    for entry in opened.segments():
        if entry.origin != "measured" or run not in (None, entry.run):
            continue
        table = opened.segment_records(entry)
        for source, code in zip(table["source"].to_pylist(), table["status"].to_pylist(), strict=True):
            outcome = status.outcome_of(code)
            if outcome == "failed" or (outcome == "skipped" and not only_failed):
                found.add(source)
    return found


def _manifest(plans: Iterable[Plan]) -> str | None:
    """Return the newest manifest that was given; the plans are ordered by their archive version."""
    named = [plan for plan in plans if plan.command["manifest"]]
    return max(named, key=lambda plan: plan.base_version).command["manifest"] if named else None
