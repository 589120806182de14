"""``spectroflow status``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result


@query
def status(path: options.Any_) -> Result:
    """Say how far a run is, what failed and why; or what an archive holds."""
    from spectroflow.jobs import commands as jobs

    return jobs.status(path)
