"""``spectroflow inspect``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result


@query
def inspect(path: options.Any_) -> Result:
    """Show what a file, an archive or a model is and holds."""
    from spectroflow.jobs import commands as jobs

    return jobs.inspect(path)
