"""The nightly pipeline: convert, fit, train, transfer, evaluate and report as one resumable run."""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectroflow.config import nearest, parse
from spectroflow.engine.events import Event
from spectroflow.errors import ConfigError, InvalidInput
from spectroflow.jobs import commands
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.storage import Location

Step = Literal["convert", "fit", "train", "transfer", "evaluate", "report"]


class Pipeline(BaseModel):
    """The ``[pipeline]`` table of a pipeline file.

    Paths may be URLs, are relative to the pipeline file, and may hold ``${NAME}`` of the environment.

    Attributes
    ----------
    steps
        What is done, in this order.
    archive, model, output, report
        Where the archive, the model, the generated archive and the page are.
    sources, manifest
        What ``convert`` reads.
    pairs
        Directions to train and to generate, ``[["raman", "ir"], ...]``; all that the archive has if empty.
    library
        A structure library, for ``transfer`` and ``evaluate``; none if absent.
    track
        How much of a record's formula ``transfer`` uses: ``spectrum`` (nothing), ``elements`` or ``formula``.
    protocol
        Of ``evaluate``.
    retrain
        ``missing`` trains once; ``changed`` trains again when the training data changed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[Step, ...] = ("convert", "fit", "train", "transfer", "evaluate", "report")
    archive: str
    model: str = "model"
    output: str = "generated"
    report: str = "report.html"
    sources: tuple[str, ...] = ()
    manifest: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    library: str | None = None
    track: Literal["spectrum", "elements", "formula"] = "spectrum"
    protocol: Literal["species", "sample", "paper", "all"] = "species"
    retrain: Literal["missing", "changed"] = "missing"
    modalities: tuple[str, ...] = Field(default=())


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    """A step of a pipeline begins."""

    step: str
    number: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class StepFinished(Event):
    """A step of a pipeline ended."""

    step: str
    status: str
    rows: int
    failed: int
    seconds: float


def run_pipeline(path: str, *, options: JobOptions) -> Summary:
    """Run a pipeline file; run again, it does only what is missing or new.

    Parameters
    ----------
    path
        A TOML file with a ``[pipeline]`` table (:class:`Pipeline`) and any of the tables of a
        configuration. What ``--set`` and ``--config`` say on the command line wins over them.
    options
        Of all steps.

    Raises
    ------
    ConfigError
        The file is not a pipeline.
    """
    pipeline, options = read_pipeline(path, options)
    started = time.perf_counter()
    summaries: dict[str, Summary] = {}
    for number, step in enumerate(pipeline.steps, start=1):
        options.listener(StepStarted(step=step, number=number, steps=len(pipeline.steps)))
        summary = _STEPS[step](pipeline, options)
        summaries[step] = summary
        finished = StepFinished(
            step=step,
            status=summary.status,
            rows=summary.rows.total,
            failed=summary.rows.failed,
            seconds=summary.seconds,
        )
        options.listener(finished)
        if summary.exit_code:
            break
    last = list(summaries.values())[-1]
    total = sum((summary.rows for summary in summaries.values()), Rows())
    lines = [
        f"{step}: {summary.status}"
        + (f", {summary.rows.total:,} records ({summary.rows.failed:,} failed)" if summary.rows.total else "")
        + f", {summary.seconds:.1f} s"
        for step, summary in summaries.items()
    ]
    for summary in summaries.values():
        lines += [line for line in summary.lines if summary.status != "nothing to do"]
    return Summary(
        "run",
        run=Path(path).stem,
        status=last.status if last.exit_code else "done",
        rows=total,
        seconds=time.perf_counter() - started,
        output=_report_of(pipeline),
        details={"steps": {step: summary.to_json() for step, summary in summaries.items()}},
        lines=lines,
    )


def read_pipeline(path: str, options: JobOptions) -> tuple[Pipeline, JobOptions]:
    """Read a pipeline file; return it with its paths resolved, and the options with its configuration."""
    location = Location.parse(path)
    try:
        tree = tomllib.loads(location.read_bytes().decode())
    except FileNotFoundError:
        raise InvalidInput("there is no such pipeline file", where=path, remedy="Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=path, remedy="Correct that line.") from None
    table = tree.pop("pipeline", None)
    if not isinstance(table, dict):
        raise ConfigError("there is no [pipeline] table", where=path, remedy="See examples/rruff/pipeline.toml.")
    try:
        pipeline = Pipeline.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        hint = nearest(key, Pipeline.model_fields) if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"pipeline.{key}: {first['msg'].lower()}", where=path, remedy=hint or "Correct it.") from None
    base = options.config.model_dump(mode="json", exclude_unset=True)
    config = parse(_overlay(tree, base), where=path)
    folder = location.parent
    resolved = pipeline.model_copy(
        update={
            "sources": tuple(_resolve(source, folder, path) for source in pipeline.sources),
            **{
                name: _resolve(value, folder, path)
                for name in ("archive", "model", "output", "report", "manifest", "library")
                if (value := getattr(pipeline, name))
            },
        }
    )
    return resolved, replace(options, config=config)


def _resolve(text: str, folder: Location, where: str) -> str:
    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise ConfigError(f"{text!r} needs the environment variable {name}", where=where, remedy=f"Set {name}.")
        return os.environ[name]

    expanded = re.sub(r"\$\{(\w+)\}", variable, text)
    if "://" in expanded or expanded.startswith(("/", "~")) or not folder.is_local:
        return expanded
    return os.path.join(folder.path, expanded)


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        result[key] = _overlay(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def _convert(pipeline: Pipeline, options: JobOptions) -> Summary:
    return commands.convert(list(pipeline.sources), pipeline.archive, manifest=pipeline.manifest, options=options)


def _fit(pipeline: Pipeline, options: JobOptions) -> Summary:
    return commands.fit(pipeline.archive, options=replace(options, modalities=pipeline.modalities))


def _train(pipeline: Pipeline, options: JobOptions) -> Summary:
    model = Location.parse(pipeline.model)
    if pipeline.retrain == "missing" and (model / "card.json").exists():
        return Summary("train", status="nothing to do", output=pipeline.model, lines=["the model is there"])
    return commands.train(pipeline.archive, pipeline.model, pairs=list(pipeline.pairs), options=options)


def _transfer(pipeline: Pipeline, options: JobOptions) -> Summary:
    return commands.transfer(
        pipeline.model,
        pipeline.archive,
        pipeline.output,
        pairs=list(pipeline.pairs),
        library=pipeline.library,
        track=pipeline.track,
        options=options,
    )


def _evaluate(pipeline: Pipeline, options: JobOptions) -> Summary:
    summary = commands.evaluate(
        pipeline.model,
        pipeline.archive,
        protocol=pipeline.protocol,
        reference=None,
        library=pipeline.library,
        options=options,
    )
    if protocols := summary.details.get("protocols"):
        from spectroflow.jobs.figures import brief_lines

        # Every row of the tables is in the report; the log of a night needs what is decided.
        summary.lines = [
            line for name, directions in protocols.items() for line in ("", *brief_lines(name, directions))
        ]
    return summary


def _report(pipeline: Pipeline, options: JobOptions) -> Summary:
    generated = pipeline.output if "transfer" in pipeline.steps else None
    return commands.write_report(
        pipeline.model, pipeline.report, archive=pipeline.archive, generated=generated, options=options
    )


_STEPS: dict[Step, Callable[[Pipeline, JobOptions], Summary]] = {
    "convert": _convert,
    "fit": _fit,
    "train": _train,
    "transfer": _transfer,
    "evaluate": _evaluate,
    "report": _report,
}


def _report_of(pipeline: Pipeline) -> str:
    return pipeline.report if "report" in pipeline.steps else pipeline.archive
