"""``spectroflow evaluate``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request


@job
def evaluate(
    request: Request,
    target: options.Target,
    archive: options.MaybeArchive = None,
    protocol: options.ProtocolOption = options.Protocol.species,
    reference: options.Reference = None,
    library: options.Library = None,
    modality: options.Modalities = None,
) -> Result:
    """Judge a model on materials, samples or files that it has not seen, or a generated archive by measured spectra."""
    from spectroflow.jobs import commands as jobs

    chosen = request.options(modalities=modality)
    return jobs.evaluate(target, archive, protocol=protocol.value, reference=reference, library=library, options=chosen)
