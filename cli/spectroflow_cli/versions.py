"""``spectroflow versions``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result


@query
def versions(archive: options.Archive) -> Result:
    """List what the archive has been."""
    from spectroflow.jobs import commands as jobs

    return jobs.versions(archive)
