"""``spectroflow transfer``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request, pair


@job
def transfer(
    request: Request,
    model: options.Model,
    archive: options.Archive,
    out: options.Out,
    source: options.From = None,
    target: options.To = None,
    library: options.Library = None,
    track: options.Track = options.TrackName.spectrum,
) -> Result:
    """Generate the modalities that were never measured, with a confidence for each spectrum."""
    from spectroflow.jobs import commands as jobs

    return jobs.transfer(
        model,
        archive,
        out,
        pairs=pair(source, target),
        library=library,
        track=options.TrackName(track).value,
        options=request.options(),
    )
