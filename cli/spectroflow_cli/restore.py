"""``spectroflow restore``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result


@query
def restore(archive: options.Archive, number: options.Number) -> Result:
    """Make an earlier version the newest one again; nothing is deleted."""
    from spectroflow.jobs import commands as jobs

    return jobs.restore(archive, number)
