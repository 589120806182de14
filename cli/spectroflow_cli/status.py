"""``spectroflow status``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@query
def status(request: Request, path: options.Any_) -> Result:
    """Say how far a run is, what failed and why; or what an archive holds."""
    from spectroflow import jobs

    return jobs.status(path)
