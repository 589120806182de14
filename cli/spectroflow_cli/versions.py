"""``spectroflow versions``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@query
def versions(request: Request, archive: options.Archive) -> Result:
    """List what the archive has been."""
    from spectroflow import jobs

    return jobs.versions(archive)
