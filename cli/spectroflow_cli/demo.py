"""``spectroflow demo``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def demo(request: Request, folder: options.DemoFolder = "demo") -> Result:
    """Go the whole way on a simulated archive, on this machine."""
    from spectroflow.jobs import commands as jobs

    return jobs.demo(folder, options=request.options())
