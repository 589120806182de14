"""``spectroflow retry``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def retry(
    request: Request,
    archive: options.Archive,
    run: options.Run = None,
    only_failed: options.OnlyFailed = False,
    source: options.RetrySources = None,
) -> Result:
    """Try records again that failed, after their cause was mended."""
    from spectroflow.jobs import commands as jobs

    return jobs.retry(archive, run=run, only_failed=only_failed, sources=source or [], options=request.options())
