"""``spectroflow convert``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def convert(
    request: Request,
    sources: options.Sources,
    archive: options.Archive,
    manifest: options.Manifest = None,
    modality: options.Modalities = None,
) -> Result:
    """Read files into an archive; a second run takes only new and changed files."""
    from spectroflow.jobs import commands as jobs

    return jobs.convert(sources, archive, manifest=manifest, options=request.options(modalities=modality))
