"""``spectroflow compact``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def compact(request: Request, archive: options.Archive, modality: options.Modalities = None) -> Result:
    """Merge the small segments of many nights into large ones."""
    from spectroflow.jobs import commands as jobs

    return jobs.compact(archive, options=request.options(modalities=modality))
