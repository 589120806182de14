"""``spectroflow verify``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def verify(request: Request, archive: options.Archive) -> Result:
    """Read everything again and compare it with the digests; exit with 3 where a byte differs."""
    from spectroflow.jobs import commands as jobs

    return jobs.verify(archive, options=request.options())
