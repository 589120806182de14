"""``spectroflow train``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import job
from spectroflow_cli.output import Result
from spectroflow_cli.request import Request, pair


@job
def train(
    request: Request,
    archive: options.Archive,
    model: options.Model,
    source: options.From = None,
    target: options.To = None,
    folds: options.Folds = None,
) -> Result:
    """Learn how the modalities of one material relate; default: every pair that the archive has."""
    from spectroflow.jobs import commands as jobs

    overrides = [] if folds is None else [f"train.folds={folds}"]
    return jobs.train(archive, model, pairs=pair(source, target), options=request.options(overrides=overrides))
