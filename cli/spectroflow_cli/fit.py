"""``spectroflow fit``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def fit(request: Request, archive: options.Archive, modality: options.Modalities = None) -> Result:
    """Describe every spectrum by its lines, with uncertainties."""
    from spectroflow.jobs import commands as jobs

    return jobs.fit(archive, options=request.options(modalities=modality))
