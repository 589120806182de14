"""``spectroflow run``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def run(request: Request, pipeline: options.Pipeline) -> Result:
    """Do the whole night: convert, fit, train, transfer, evaluate, report."""
    from spectroflow.jobs import commands as jobs

    return jobs.run_pipeline(pipeline, options=request.options())
