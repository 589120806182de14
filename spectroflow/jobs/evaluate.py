"""The evaluate job: how good generated spectra are, by what training and test may share."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spectroflow.archive import Archive, LayerEntry, add_layers, commit
from spectroflow.archive.layer import EVALUATION, create_layer
from spectroflow.config import digest
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.unit import Group
from spectroflow.errors import InvalidInput, UsageError
from spectroflow.jobs.evaluator import EvaluateProcessor, Judgement, score_layout
from spectroflow.jobs.experiments import experiments
from spectroflow.jobs.figures import directions_figures, table_lines
from spectroflow.jobs.library_figures import library_figures, library_lines
from spectroflow.jobs.library_files import digest_of_library, load_library
from spectroflow.jobs.model_files import (
    device_payload,
    digest_of_model,
    is_whole,
    load_generator,
    require_direction,
    worker_resources,
)
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.predictors import PROTOCOLS, Scheme
from spectroflow.jobs.running import additive, finished, planned, run_plan
from spectroflow.jobs.summary import Summary
from spectroflow.jobs.train import train
from spectroflow.metrics import MEASURES
from spectroflow.modality import resolve
from spectroflow.models.folds import Split
from spectroflow.models.generator import Generator
from spectroflow.storage import Location

METRICS = "evaluation.json"
"""What ``evaluate`` leaves beside the model for ``report``."""

MODELS = "protocols"
"""Folder, below a model, of the models that other protocols need."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model whose folds are those of a protocol."""

    protocol: Split
    model: Location
    generator: Generator


def evaluate(
    target: str,
    archive: str | None = None,
    *,
    protocol: str = "species",
    reference: str | None = None,
    library: str | None = None,
    options: JobOptions,
) -> Summary:
    """Judge a model on an archive, or a generated archive against a reference.

    Parameters
    ----------
    target
        A model directory, or with ``reference`` an archive that ``transfer`` wrote.
    archive
        What was measured.
    protocol
        What training and test may share, see :data:`spectroflow.jobs.predictors.PROTOCOLS`, or ``all``. For
        protocols other than that of the model's folds, a model of the same configuration is trained on the
        archive, below ``MODEL/protocols``; interrupted, it is continued.
    reference
        Archive of measured spectra to compare a generated one with.
    library
        Known structures that ``spectroflow library build`` computed: how well the model finds them and what comes
        of it, in the protocol ``species``, on the model's own training data.

    Returns
    -------
    Summary
        ``details["protocols"]`` holds, per protocol, direction and predictor, the mean over materials of each
        measure with its bootstrap interval, and the paired differences to the best baselines;
        ``details["directions"]`` those of the first protocol.
    """
    if reference is not None:
        from spectroflow.jobs.compare import compare_archives

        return compare_archives(target, reference, options=options)
    if archive is None:
        raise UsageError(
            "there is nothing to judge the model by", remedy="Give an archive, or --reference for a generated one."
        )
    if protocol != "all" and protocol not in PROTOCOLS:
        raise UsageError(f"there is no protocol {protocol!r}", remedy=f"Known are {', '.join(PROTOCOLS)} and all.")
    began = time.perf_counter()
    opened = Archive(archive)
    model = Location.parse(target)
    generator = load_generator(model)
    summary = Summary("evaluate", status="nothing to do", output=str(model / METRICS))
    told: dict[str, Any] = {}
    for name in PROTOCOLS:
        if protocol not in ("all", name):
            continue
        judged = _model_for(name, model, generator, opened, options)
        if judged is None:
            summary.status = "dry run"
            summary.lines.append(f"{name}: would train a model of the same configuration with other folds")
            continue
        part, figures = _judge(judged, archive, options)
        _add(summary, part)
        if not options.dry_run:
            told[name] = figures | _extras(judged, read_evaluation(model).get(name, {}), library, options)
            _write(model, name, told[name])
            summary.lines += [f"{name}: {PROTOCOLS[name]}", *table_lines(figures["directions"]), ""]
            if "library" in told[name]:
                summary.lines += ["with known structures", *library_lines(told[name]["library"]["directions"]), ""]
    if options.dry_run:
        return summary
    summary.details |= {"protocol": next(iter(told)), "directions": next(iter(told.values()))["directions"]}
    summary.details["protocols"] = {name: figures["directions"] for name, figures in told.items()}
    if "library" in told.get("species", {}):
        summary.details["library"] = told["species"]["library"]["directions"]
    summary.seconds = time.perf_counter() - began
    return summary


def _model_for(
    protocol: Split, model: Location, generator: Generator, opened: Archive, options: JobOptions
) -> Judged | None:
    """Return a model with the folds of a protocol, trained if there is none; None where a dry run may not."""
    if generator.config.split == protocol:
        return Judged(protocol, model, generator)
    place = model / MODELS / protocol
    config = options.config.model_copy(update={"train": generator.config.model_copy(update={"split": protocol})})
    if options.dry_run and not is_whole(place):
        return None
    train(str(opened.root), str(place), pairs=generator.directions, options=replace(options, config=config))
    return Judged(protocol, place, load_generator(place))


def _judge(judged: Judged, archive: str, options: JobOptions) -> tuple[Summary, dict[str, Any]]:
    """Score what is not scored yet, and return the figures of a protocol."""
    opened = Archive(archive)
    judgements = _judgements(opened, judged, options)
    known = {layer.id for layer in opened.version.layers}
    missing = {name: judgement for name, judgement in judgements.items() if name not in known}
    summary = Summary("evaluate", status="nothing to do")
    if missing:
        plan = _plan(opened, missing, judged, options)
        summary = _carry_out(opened, judged, missing, plan, options)
        if options.dry_run:
            return summary, {}
        opened = Archive(opened.root)
    elif options.dry_run:
        return summary, {}
    return summary, {
        "what": PROTOCOLS[judged.protocol],
        "archive": str(opened.root),
        "archive_version": opened.version.number,
        "model": str(judged.model),
        "measures": {name: {"title": m.title, "unit": m.unit, "better": m.better} for name, m in MEASURES.items()},
        "directions": directions_figures(opened, judgements, options),
    }


def _extras(judged: Judged, before: Mapping[str, Any], library: str | None, options: JobOptions) -> dict[str, Any]:
    """Return what stands beside the table: known structures in ``species``, the paper's experiments in ``sample``.

    What was found before of the same model, by the same code, is not found again.
    """
    made_of = {"model": digest_of_model(judged.model), "code": code_digest()}
    found: dict[str, Any] = {}
    if judged.protocol == "sample":
        known = before.get("experiments", {})
        same = known.get("of") == made_of
        found["experiments"] = known if same else {"of": made_of, **experiments(judged.generator, options)}
    if judged.protocol == "species" and library is not None:
        made_of["library"] = digest_of_library(library)
        known = before.get("library", {})
        found["library"] = known if known.get("of") == made_of else _with_library(judged, library, made_of, options)
    elif "library" in before and before["library"]["of"]["model"] == made_of["model"]:
        found["library"] = before["library"]
    return found


def _with_library(judged: Judged, library: str, made_of: dict[str, str], options: JobOptions) -> dict[str, Any]:
    structures = load_library(library)
    directions = library_figures(judged.generator, structures, options)
    return {"of": made_of, "path": library, "structures": len(structures), "directions": directions}


def _carry_out(
    opened: Archive, judged: Judged, judgements: dict[str, Judgement], plan: Plan, options: JobOptions
) -> Summary:
    processor = EvaluateProcessor(
        opened.root,
        opened.version.number,
        judged.model,
        judgements,
        options.config,
        options.where,
        worker_resources(options.config.engine),
    )
    if options.dry_run:
        return planned("evaluate", plan, processor, opened.root, options)

    def prepare() -> None:
        for name, judgement in judgements.items():
            create_layer(
                opened.root,
                score_layout(name, judgement, options.config),
                judgement.segment.id,
                {"measure": judgement.scheme.columns},
                titles={measure: told.title for measure, told in MEASURES.items()},
                source=judgement.source,
                target=judgement.target,
                protocol=judgement.scheme.protocol,
            )

    result = run_plan(plan, processor, opened.root, options, prepare)
    layers = [
        LayerEntry(id=name, kind=EVALUATION, segment=j.segment.id, config=plan.fingerprint[:12], run=plan.run)
        for name, j in judgements.items()
    ]
    version = commit(opened.root, lambda base: add_layers(base, layers), command="evaluate", run=plan.run)
    return finished("evaluate", result, opened.root, options, version=version.number)


def _judgements(opened: Archive, judged: Judged, options: JobOptions) -> dict[str, Judgement]:
    modalities = resolve(options.config.modality)
    generator, model_digest = judged.generator, digest_of_model(judged.model)
    found = {}
    for source, target in generator.directions:
        require_direction(generator, source, target, modalities)
        if not opened.segments(target):
            continue
        scheme = Scheme(judged.protocol, tuple(generator.tracks_of(source, target)))
        for segment in opened.segments(source):
            lines = opened.lines_layer(segment.id)
            made_of = {
                "segment": segment.id,
                "lines": lines.id if lines else None,
                "model": model_digest,
                "targets": [entry.id for entry in opened.segments(target)],
                "scores": scheme.columns,
                "where": options.where,
            }
            name = f"{segment.id}-{source}-to-{target}-{digest(made_of, 12)}"
            found[name] = Judgement(segment, lines, source, target, scheme)
    if not found:
        raise InvalidInput(
            "the archive has no spectra in both modalities of any direction of the model",
            where=str(opened.root),
            remedy=f"The model knows {', '.join(f'{s} to {t}' for s, t in generator.directions)}.",
        )
    return found


def _plan(opened: Archive, judgements: dict[str, Judgement], judged: Judged, options: JobOptions) -> Plan:
    groups = [Group(name=name, rows=j.segment.rows, shard_rows=j.segment.shard_rows) for name, j in judgements.items()]
    return Plan.of(
        job="evaluate",
        command={"model": str(judged.model), "archive": str(opened.root), "protocol": judged.protocol},
        base_version=opened.version.number,
        config={"modality": options.config.modality, "batch": options.config.transfer.batch},
        groups=groups,
        payload={"where": options.where, **device_payload(options.config.engine)},
        digests={"code": code_digest()},
        estimate=Estimate(
            bytes=sum(j.segment.rows * len(j.scheme.columns) * 4 for j in judgements.values()),
            memory_bytes=2 << 30,
        ),
    )


def _add(summary: Summary, part: Summary) -> None:
    """Add the run of one protocol to the summary of all."""
    summary.rows = summary.rows + part.rows
    summary.run = part.run or summary.run
    if part.exit_code or not summary.exit_code:
        summary.status = part.status if part.status != "nothing to do" else summary.status
    summary.lines += part.lines
    codes = additive(summary.details.get("codes", {}), part.details.get("codes", {}))
    summary.details |= part.details
    if codes:
        summary.details["codes"] = codes


def read_evaluation(model: Location) -> dict[str, Any]:
    """Return what was found of a model, ``{protocol: figures}``; empty where it was not evaluated."""
    if not (model / METRICS).exists():
        return {}
    told: Mapping[str, Any] = json.loads((model / METRICS).read_bytes())
    return {name: told["protocols"][name] for name in PROTOCOLS if name in told["protocols"]}


def _write(model: Location, protocol: str, told: dict[str, Any]) -> None:
    """Keep the figures of a protocol beside those of others that were found before."""
    both = {**read_evaluation(model), protocol: told}
    (model / METRICS).write_bytes(json.dumps({"protocols": both}, indent=1).encode())
