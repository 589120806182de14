"""``spectroflow gc``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def gc(request: Request, archive: options.Archive, grace: options.Grace = "24h", keep: options.Keep = None) -> Result:
    """Remove what no kept version of the archive names."""
    from spectroflow.jobs import commands as jobs

    return jobs.gc(archive, grace=grace, keep=keep, options=request.options())
