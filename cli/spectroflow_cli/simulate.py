"""``spectroflow simulate``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def simulate(
    request: Request,
    out: options.Out,
    form: options.SimulateFormatOption = options.SimulateFormat.files,
    modality: options.Modalities = None,
) -> Result:
    """Make synthetic spectra of materials with known lines, as files or as an archive."""
    from spectroflow.jobs import commands as jobs

    chosen = request.options(modalities=modality)
    return jobs.simulate(out, form=options.SimulateFormat(form).value, options=chosen)
