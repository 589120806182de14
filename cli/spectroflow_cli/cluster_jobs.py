"""``spectroflow jobs list | logs | stop``."""

from __future__ import annotations

import typer

from spectroflow_cli import options, output
from spectroflow_cli.command import query
from spectroflow_cli.output import Result

app = typer.Typer(help="What was submitted to a cluster.", no_args_is_help=True)


@query
def list_(cluster: options.JobsCluster = "") -> Result:
    """List the jobs of a cluster, the newest first."""
    from spectroflow.cluster import list_jobs

    return list_jobs(cluster)


@query
def logs(job: options.JobId, cluster: options.JobsCluster = "", follow: options.Follow = False) -> None:
    """Show the log of a job; with --follow until it ends, with its exit code."""
    from spectroflow.cluster import show_log

    code = show_log(job, cluster, following=follow, result=output.write, log=output.relay)
    raise typer.Exit(code)


@query
def stop(job: options.JobId, cluster: options.JobsCluster = "") -> Result:
    """Stop a job; the same command resumes what it did."""
    from spectroflow.cluster import stop_job

    return stop_job(job, cluster)


app.command("list")(list_)
app.command("logs")(logs)
app.command("stop")(stop)
