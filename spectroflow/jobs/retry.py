"""The retry job: take up again what failed, after its cause was removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spectroflow import status
from spectroflow.archive import Archive
from spectroflow.engine.plan import Plan, load_plan
from spectroflow.engine.run import run_folder
from spectroflow.errors import InvalidInput
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import nothing_to_do
from spectroflow.jobs.summary import Summary


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
        False takes every file of the run again, not only the failed ones.
    sources
        Only these files.

    Raises
    ------
    InvalidInput
        The run is not a conversion of this archive.
    """
    opened = Archive(archive)
    runs = sorted({entry.run for entry in opened.version.segments if entry.run.startswith("convert-")})
    if run is not None and run not in runs:
        raise InvalidInput(
            f"{run!r} is not a conversion that this archive is made of",
            where=str(opened.root),
            remedy=f"Conversions are {', '.join(runs) or 'none'}.",
        )
    wanted = _sources(opened, [run] if run else runs, only_failed)
    if sources:
        wanted &= set(sources)
    if not wanted:
        return nothing_to_do("retry", opened.root, "no record failed")
    plans = [load_plan(run_folder(opened.root, name)) for name in ([run] if run else runs)]
    places = sorted({place for plan in plans for place in plan.command["sources"]})
    summary = convert(
        places, str(opened.root), manifest=_manifest(plans), again=sorted(wanted), options=replace(options, where=None)
    )
    summary.command = "retry"
    if summary.status == "done" and any(layer.kind == "lines" for layer in opened.version.layers):
        fit(str(opened.root), options=options)
    return summary


def _sources(opened: Archive, runs: Sequence[str], only_failed: bool) -> set[str]:
    found: set[str] = set()
    for entry in opened.segments():
        if entry.run not in runs:
            continue
        table = opened.segment_records(entry)
        for source, code in zip(table["source"].to_pylist(), table["status"].to_pylist(), strict=True):
            if not only_failed or status.outcome_of(code) == "failed":
                found.add(source)
    return found


def _manifest(plans: Sequence[Plan]) -> str | None:
    """Return the newest manifest that was given; the plans are ordered by their archive version."""
    named = [plan for plan in plans if plan.command["manifest"]]
    return max(named, key=lambda plan: plan.base_version).command["manifest"] if named else None
