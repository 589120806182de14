"""``spectroflow report``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def report(request: Request, path: options.Any_, out: options.OutHtml) -> Result:
    """Write one self-contained page about a run, a model or an archive."""
    from spectroflow.jobs import commands as jobs

    return jobs.write_report(path, out, options=request.options())
