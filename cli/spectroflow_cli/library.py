"""``spectroflow library build``."""

from __future__ import annotations

import typer

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request

app = typer.Typer(help="Known crystal structures and what they diffract.", no_args_is_help=True)


@job
def build(
    request: Request, structures: options.Structures, library: options.LibraryOut, manifest: options.Manifest = None
) -> Result:
    """Compute the powder patterns of crystal structures; a second run takes only new and changed files."""
    from spectroflow.jobs import commands as jobs

    return jobs.build_library(structures, library, manifest=manifest, options=request.options())


app.command("build")(build)
