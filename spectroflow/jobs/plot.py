"""The plot job: one spectrum with its lines, residual and flags."""

from __future__ import annotations

import time

import numpy as np

from spectroflow.archive import Archive
from spectroflow.errors import InvalidInput, UsageError
from spectroflow.formats.quality import names_of
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.modality import lookup, resolve
from spectroflow.peaks import background, settings_for
from spectroflow.report import render_spectrum
from spectroflow.report.figures import spectrum_plot
from spectroflow.report.page import Fact
from spectroflow.storage import Location


def plot(archive: str, selector: str, out: str, *, options: JobOptions) -> Summary:
    """Draw one spectrum of an archive as an HTML page.

    Parameters
    ----------
    archive
        Path or URL.
    selector
        ``SEGMENT/ROW``, a sample id, or a filter such as ``label == "Quartz"``; the first match is drawn.
    out
        The page to write.

    Raises
    ------
    InvalidInput
        Nothing matches.
    """
    began = time.perf_counter()
    opened = Archive(archive)
    segment, row = find(opened, selector, options.modalities)
    spectrum = opened.spectrum(segment, row)
    entry = opened.version.segment(segment)
    modality = lookup(entry.modality, resolve(options.config.modality))
    layer = opened.lines_layer(segment)
    record = spectrum.record
    lines, quantities, baseline, shape = None, None, None, None
    if layer is not None:
        lines = opened.layer_array(layer, "lines", row, row + 1)[0]
        quantities = opened.layer_array(layer, "fit", row, row + 1)[0].tolist()
        shape = opened.layer_names(layer)["line_shape"]
        settings = settings_for(modality, options.config.fit)
        found = lines[np.isfinite(lines[:, 0])].astype(np.float64)
        baseline = background(spectrum.axis, spectrum.intensity, found, settings)
    facts = [
        Fact("sample", record["sample_id"], "record table"),
        Fact("source", record["source"], "record table"),
        Fact("place", f"{segment} row {row}"),
    ]
    page = spectrum_plot(
        f"{record['label'] or record['sample_id'] or segment} ({modality.title})",
        modality,
        spectrum.axis,
        spectrum.intensity,
        origin=entry.origin,
        lines=lines,
        quantities=quantities,
        baseline=baseline,
        shape=shape,
        flags=names_of(record["flags"] or 0),
        facts=facts,
        source=f"{opened.root} version {opened.version.number}",
    )
    target = Location.parse(out)
    target.write_bytes(render_spectrum(page).encode())
    seconds = time.perf_counter() - began
    lines = [] if layer else ["it was not fitted yet; spectroflow fit finds its lines"]
    return Summary("plot", rows=Rows(1, 1), seconds=seconds, output=str(target), lines=lines)


def find(opened: Archive, selector: str, modalities: tuple[str, ...] = ()) -> tuple[str, int]:
    """Return segment and row of the first usable spectrum that a selector names."""
    segment, _, row = selector.rpartition("/")
    if row.isdecimal() and any(entry.id == segment for entry in opened.version.segments):
        return segment, int(row)
    try:
        matches = opened.records(f"({selector}) and status == 0")
    except UsageError:
        matches = opened.records(f"sample_id == {selector!r} and status == 0")
    for found in matches.select(["segment", "modality", "row"]).to_pylist():
        if not modalities or found["modality"] in modalities:
            return found["segment"], found["row"]
    raise InvalidInput(
        f"no spectrum matches {selector!r}",
        where=str(opened.root),
        remedy="Give SEGMENT/ROW, a sample id, or a filter such as 'label == \"Quartz\"'.",
    )
