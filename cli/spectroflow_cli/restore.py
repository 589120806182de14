"""``spectroflow restore``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@query
def restore(request: Request, archive: options.Archive, number: options.Number) -> Result:
    """Make an earlier version the newest one again; nothing is deleted."""
    from spectroflow import jobs

    return jobs.restore(archive, number)
