"""``spectroflow export``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def export(
    request: Request,
    archive: options.Archive,
    out: options.Out,
    form: options.ExportFormatOption = None,
    modality: options.Modalities = None,
) -> Result:
    """Write a selection as CSV, Parquet or JCAMP-DX."""
    from spectroflow.jobs import commands as jobs

    chosen = request.options(modalities=modality)
    return jobs.export(archive, out, form=None if form is None else options.ExportFormat(form).value, options=chosen)
