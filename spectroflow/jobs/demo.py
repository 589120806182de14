"""The demo job: the whole way on a simulated archive, from files to a report."""

from __future__ import annotations

from dataclasses import replace

from spectroflow.config import parse
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.pipeline import run_pipeline
from spectroflow.jobs.simulate import simulate
from spectroflow.jobs.summary import Summary
from spectroflow.storage import Location

WORKERS = 2
"""Ray workers on this machine, so that the demo shows what a cluster does."""

_SETTINGS = {
    "simulate": {"materials": 50, "samples": 2, "broken": 4},
    "train": {"epochs": 40, "batch": 16, "hidden": 128, "latent": 32, "folds": 4, "metric_steps": 25},
    "evaluate": {"bootstrap": 500},
    "archive": {"shard_rows": 64, "chunk_rows": 32},
}

_PIPELINE = """# The whole way on simulated files; run it again with: spectroflow run {path}
[pipeline]
archive = "archive"
model = "model"
output = "generated"
report = "report.html"
sources = ["files"]
manifest = "files/manifest.csv"
"""


def demo(folder: str, *, options: JobOptions) -> Summary:
    """Simulate files, then convert, fit, train, transfer, evaluate and report on them.

    Parameters
    ----------
    folder
        Where everything goes. Running it again resumes.
    options
        Configuration values given by the user win over those of the demo.

    Returns
    -------
    Summary
        With the table of figures as its lines.
    """
    root = Location.parse(folder)
    given = options.config.model_dump(mode="json", exclude_unset=True)
    config = parse({**given, **{name: {**values, **given.get(name, {})} for name, values in _SETTINGS.items()}})
    options = replace(options, config=config, workers=WORKERS if options.workers is None else options.workers)
    files = root / "files"
    if not (files / "manifest.csv").exists():
        simulate(str(files), form="files", options=options)
    pipeline = root / "pipeline.toml"
    pipeline.write_bytes(_PIPELINE.format(path=pipeline).encode())
    summary = run_pipeline(str(pipeline), options=options)
    return Summary(
        "demo",
        run=summary.run,
        status=summary.status,
        rows=summary.rows,
        seconds=summary.seconds,
        output=summary.output,
        details=summary.details,
        lines=[*summary.lines, "", f"open {summary.output} in a browser"],
    )
