"""``spectroflow plot``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def plot(request: Request, archive: options.Archive, spectrum: options.Selector, out: options.OutHtml) -> Result:
    """Draw one spectrum with its lines, residual and flags."""
    from spectroflow.jobs import commands as jobs

    return jobs.plot(archive, spectrum, out, options=request.options())
