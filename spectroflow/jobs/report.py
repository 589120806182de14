"""The report job: one page about a model, an archive or a run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import spectroflow
from spectroflow import status as codes
from spectroflow.archive import Archive, version_numbers
from spectroflow.engine.plan import PLAN_NAME, load_plan
from spectroflow.engine.quarantine import all_failures
from spectroflow.errors import InvalidInput
from spectroflow.jobs.evaluate import read_evaluation
from spectroflow.jobs.model_files import is_whole
from spectroflow.jobs.model_page import card_facts, model_sections
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.summary import Summary
from spectroflow.report import render_page
from spectroflow.report.page import (
    Block,
    Column,
    Counts,
    Fact,
    Failure,
    Notice,
    Page,
    Quarantine,
    Section,
    Table,
    Value,
)
from spectroflow.storage import Location

SHOWN_FAILURES = 200


def write_report(
    path: str, out: str, *, archive: str | None = None, generated: str | None = None, options: JobOptions
) -> Summary:
    """Write one self-contained HTML page.

    Parameters
    ----------
    path
        A model directory, an archive, or a run of one (``ARCHIVE/runs/<run>``).
    out
        The page to write.
    archive
        For a model: the archive to show examples of. The one it was evaluated on if not given.
    generated
        An archive that ``transfer`` wrote, to be counted on the same page.

    Raises
    ------
    InvalidInput
        ``path`` is none of these.
    """
    began = time.perf_counter()
    location = Location.parse(path)
    if is_whole(location):
        page = _model_page(location, archive, generated, options)
    elif (location / PLAN_NAME).exists():
        page = _run_page(location)
    elif version_numbers(location):
        page = Page(f"Archive {location.name}", _archive_sections(Archive(location)), facts=_facts(location))
    else:
        raise InvalidInput(
            "this is neither a model, an archive nor a run",
            where=str(location),
            remedy="Give a model directory, an archive or ARCHIVE/runs/<run>.",
        )
    target = Location.parse(out)
    target.write_bytes(render_page(page).encode())
    return Summary("report", seconds=time.perf_counter() - began, output=str(target))


def _model_page(model: Location, archive: str | None, generated: str | None, options: JobOptions) -> Page:
    card = json.loads((model / "card.json").read_bytes())
    headline, sections = model_sections(model, card, archive, options)
    shown = archive or next((told["archive"] for told in read_evaluation(model).values()), None)
    if shown:
        sections += _archive_sections(Archive(shown))
    if generated is not None and version_numbers(Location.parse(generated)):
        sections.append(Section("Generated archive", [_generated_table(Archive(generated))]))
    facts = [*_facts(model), *card_facts(card)]
    return Page(f"Model {model.name}", sections, subtitle=headline, facts=facts)


def _archive_sections(opened: Archive) -> list[Section]:
    source = f"{opened.root} version {opened.version.number}, record tables"
    blocks: list[Block] = [Counts(opened.counts, source=source)]
    failures = _failures(opened)
    if failures:
        blocks.append(Quarantine(failures[:SHOWN_FAILURES], len(failures), source="runs of the archive"))
    return [Section("Records", blocks)]


def _failures(opened: Archive) -> list[Failure]:
    found = []
    for run in sorted(
        {entry.run for entry in opened.version.segments} | {layer.run for layer in opened.version.layers}
    ):
        for _, failure in all_failures(opened.root / "runs" / run):
            if codes.outcome_of(codes.code_of(failure.code)) == "failed":
                found.append(Failure(failure.code, failure.source, failure.reason, failure.remedy, row=failure.row))
    return found


def _generated_table(opened: Archive) -> Table:
    rows: list[Sequence[Any]] = []
    for entry in opened.version.segments:
        verdict = opened.array(entry.id, "verdict")
        counts = [int((verdict == k).sum()) for k in range(3)]
        confidence = opened.array(entry.id, "confidence")
        known = confidence[confidence == confidence]
        mean = Value(float(known.mean()) if known.size else None)
        rows.append([entry.id, entry.modality, entry.rows, *counts, mean])
    columns = [
        Column("Segment"),
        Column("Modality"),
        *(Column(name, "spectra", numeric=True) for name in ("Rows", "Accept", "Review", "Reject")),
        Column("Mean confidence", numeric=True),
    ]
    text = "Every spectrum in this archive was generated; none was measured."
    return Table("Generated spectra", columns, rows, source=f"{opened.root} version {opened.version.number}", text=text)


def _run_page(run: Location) -> Page:
    plan = load_plan(run)
    metrics = json.loads((run / "metrics.json").read_bytes()) if (run / "metrics.json").exists() else {}
    failures = [
        Failure(failure.code, failure.source, failure.reason, failure.remedy, row=failure.row)
        for _, failure in all_failures(run)
    ]
    blocks: list[Block] = [Counts({plan.job: metrics.get("codes", {})}, planned=plan.rows, source="metrics.json")]
    if not metrics:
        blocks.insert(0, Notice("This run is not finished; the same command resumes it.", "warning"))
    if failures:
        blocks.append(Quarantine(failures[:SHOWN_FAILURES], len(failures), source="quarantine of the run"))
    return Page(f"Run {plan.run}", [Section("Records", blocks)], facts=_facts(run))


def _facts(location: Location) -> list[Fact]:
    return [
        Fact("path", str(location)),
        Fact("written", datetime.now(UTC).isoformat(timespec="seconds")),
        Fact("SpectroFlow", spectroflow.__version__),
    ]
