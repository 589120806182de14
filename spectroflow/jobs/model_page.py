"""The page about a model: what it is, how good it is by each protocol, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectroflow.archive import Archive
from spectroflow.jobs.evaluate import read_evaluation
from spectroflow.jobs.examples import worst_table, write_examples
from spectroflow.jobs.figures import HEADLINES
from spectroflow.jobs.model_extras import experiments_section, library_section, source_of
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.predictors import SPECTRUM, Predictor, Scheme
from spectroflow.metrics import MEASURES, Reliability
from spectroflow.modality import Modality, resolve
from spectroflow.report.page import (
    Block,
    Calibration,
    Column,
    Fact,
    MetricRow,
    Metrics,
    Notice,
    Section,
    Table,
    Value,
)
from spectroflow.storage import Location

_TITLES = {
    "species": "How good it is for materials it never saw",
    "sample": "New samples of materials it knows",
    "paper": "Files at random, as in the paper: the same sample may be in training",
}


def model_sections(
    model: Location, card: Mapping[str, Any], archive: str | None, options: JobOptions
) -> tuple[str, list[Section]]:
    """Return the one sentence that says the result, and the sections about a model.

    Parameters
    ----------
    archive
        Where examples are taken from; the one it was evaluated on if None.
    """
    protocols = read_evaluation(model)
    modalities = resolve(options.config.modality)
    if not protocols:
        text = "This model was not evaluated yet. Run spectroflow evaluate MODEL ARCHIVE."
        sections = [Section("How good it is", [Notice(text, "warning")])]
    else:
        sections = [
            Section(_TITLES[name], _figures(name, told, modalities), text=_scope(name, told))
            for name, told in protocols.items()
        ]
        sections += [library_section(told) for told in protocols.values() if "library" in told]
        sections += [experiments_section(told) for told in protocols.values() if "experiments" in told]
        sections += _cases(model, protocols, archive, options)
    sections.append(Section("Training", [_data_table(card), *naming_tables(card), _training_table(card)]))
    return headline(protocols), sections


def headline(protocols: Mapping[str, Any]) -> str:
    """Return in one sentence where the generator differs from the best baseline beyond chance, gains and losses."""
    if not protocols:
        return "Not evaluated."
    name, told = next(iter(protocols.items()))
    by_verdict: dict[str, list[str]] = {}
    for direction, signs in _decided(told).items():
        better, worse = max(signs) > 0, min(signs) < 0
        if better and worse:
            by_verdict.setdefault("better in one of r and F1 and worse in the other", []).append(direction)
        elif better or worse:
            text = "better in r or F1 and worse in neither" if better else "worse in r or F1 and better in neither"
            by_verdict.setdefault(text, []).append(direction)
    sentences = [f"{text}: {', '.join(found)}" for text, found in sorted(by_verdict.items())]
    verdict = "; ".join(sentences) or "nothing is decided in any direction"
    return f"Against the best baseline, beyond chance ({name}: {told['what']}): {verdict}."


def _decided(told: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return, by direction, whether the difference from the best baseline in r and in F1 is above 0, below, or open."""
    return {
        direction: [
            int((found["low"] or 0) > 0) - int((found["high"] or 0) < 0)
            for found in figures["over_best_baseline"][SPECTRUM].values()
        ]
        for direction, figures in told["directions"].items()
    }


def _scope(protocol: str, told: Mapping[str, Any]) -> str:
    left_out = sum(figures["left_out"] for figures in told["directions"].values())
    if protocol == "sample":
        return f"{left_out:,} spectra whose material was in no other sample are left out."
    if protocol == "paper":
        shares = [figures["sample_seen"] for figures in told["directions"].values() if figures["sample_seen"]]
        most = f" That is so for up to {100 * max(shares):.0f} % of the spectra." if shares else ""
        return "Here looking up another file of the same sample counts as success; no goal is set by it." + most
    return ""


def _figures(protocol: str, told: Mapping[str, Any], modalities: Mapping[str, Modality]) -> list[Block]:
    source = source_of(told) + ", mean over materials, 95 % bootstrap intervals over materials"
    rows = []
    for direction, figures in told["directions"].items():
        target = direction.split(" to ")[1]
        for name, values in figures["predictors"].items():
            predictor = Predictor(name, _kind(name, protocol, figures))
            counts = {measure: values[measure]["materials"] for measure in HEADLINES}
            if not any(counts.values()):
                continue
            shown = {
                measure: Value(values[measure]["mean"], low=values[measure]["low"], high=values[measure]["high"])
                for measure in HEADLINES
            }
            known = "" if predictor.track == SPECTRUM else f", {predictor.track} known"
            rows.append(
                MetricRow(
                    direction + known,
                    predictor.title,
                    shown,
                    kind=predictor.kind,
                    axis_unit=modalities[target].axis_unit if target in modalities else "",
                    materials=max(counts.values()),
                    spectra=figures["spectra"] if predictor.track == SPECTRUM else None,
                )
            )
    return [
        Metrics(rows, HEADLINES, protocol=f"{protocol}: {told['what']}", source=source),
        _differences(told),
        *_calibrations(told),
    ]


def _calibrations(told: Mapping[str, Any]) -> list[Block]:
    """Return one plot for each track, with all directions in it."""
    by_track: dict[str, dict[str, Reliability]] = {}
    for direction, figures in told["directions"].items():
        for track, reliability in figures["calibration"].items():
            by_track.setdefault(track, {})[direction] = Reliability.from_json(reliability)
    outcome = "Pearson r with the measured spectrum"
    return [
        Calibration(
            reliabilities,
            outcome,
            source=source_of(told),
            title="Calibration of confidence" + ("" if track == SPECTRUM else f", {track} known"),
        )
        for track, reliabilities in by_track.items()
    ]


def _kind(name: str, protocol: str, figures: Mapping[str, Any]) -> Any:
    tracks = tuple(figures["over_best_baseline"])
    known = {p.name: p.kind for p in Scheme(protocol, tracks).predictors}  # type: ignore[arg-type]
    return known[name]


def _differences(told: Mapping[str, Any]) -> Table:
    rows = []
    for direction, figures in told["directions"].items():
        for track, contested in figures["over_best_baseline"].items():
            for measure, found in contested.items():
                low, high = found["low"], found["high"]
                known = low is not None and high is not None
                verdict = "not decided" if not known or low <= 0 <= high else "better" if low > 0 else "worse"
                value = Value(found["mean"], low=low, high=high)
                against = Predictor(found["baseline"], "baseline").title
                rows.append([direction, track, MEASURES[measure].title, against, value, verdict])
    columns = [
        Column("Direction"),
        Column("Known"),
        Column("Measure"),
        Column("Best baseline"),
        Column("Generator minus baseline", numeric=True),
        Column("Generator is"),
    ]
    text = "Paired: spectrum by spectrum, then the mean over materials. Decided where the interval excludes zero."
    return Table("Against the best baseline", columns, rows, source=source_of(told), text=text)


def _cases(model: Location, protocols: Mapping[str, Any], archive: str | None, options: JobOptions) -> list[Section]:
    """Return examples and worst cases of the first protocol whose model is this one."""
    name, told = next(iter(protocols.items()))
    text = {
        "species": "Each target was generated by the ensemble member that had not seen the material.",
        "sample": "Each target was generated by the ensemble member that had not seen the sample.",
        "paper": "Each target was generated by the ensemble member that had not seen the file.",
    }[name]
    place = Location.parse(told["model"])
    if not (place / "config.json").exists():
        place = model
    examples = write_examples(place, Archive(archive or told["archive"]), dict(told), options)
    return [Section("Examples", [examples], text=text), Section("Worst cases", [worst_table(dict(told))])]


def _data_table(card: Mapping[str, Any]) -> Table:
    data = card["data"]
    pairs = data["pairs"]
    rows: list[list[Any]] = [[f"{name} spectra", count] for name, count in data["spectra"].items()]
    rows += [[f"{name} spectra with a formula", count] for name, count in data["with_composition"].items()]
    rows += [[f"pairs {direction}", count] for direction, count in pairs.items()]
    rows.append(["materials", data["materials"]])
    columns = [Column("What it has learned from"), Column("Number", numeric=True)]
    return Table("Training data", columns, rows, source=f"card.json, digest {data['digest']}")


def naming_tables(card: Mapping[str, Any]) -> list[Table]:
    """Return how well materials are named and which labels are in doubt, where the model names any."""
    rows: list[list[Any]] = [
        [name, int(f["materials"]), Value(f["named_right"]), Value(f["unknown_told"])]
        for name, f in sorted(card.get("naming", {}).items())
    ]
    columns = [
        Column("Spectra"),
        Column("Materials with another sample", numeric=True),
        Column("Of these named right", numeric=True),
        Column("Left out, and told as unknown", numeric=True),
    ]
    text = "Training spectra, asked for without their sample and without their material."
    named = Table("Names of materials", columns, rows, source="card.json", text=text)
    return [table for table in (named, _doubt_table(card)) if table.rows]


def _doubt_table(card: Mapping[str, Any]) -> Table:
    rows: list[list[Any]] = [
        [name, one["sample"], one["label"], one["looks_like"], Value(one["probability"])]
        for name, found in sorted(card.get("doubts", {}).items())
        for one in found
    ]
    columns = [
        Column("Spectra"),
        Column("Sample"),
        Column("Label"),
        Column("Looks like"),
        Column("Probability", numeric=True),
    ]
    text = (
        "By other samples these training spectra are of another material: mixed up, altered, or not to be told apart "
        "by such spectra."
    )
    return Table("Labels in doubt", columns, rows, source="card.json", text=text)


def _training_table(card: Mapping[str, Any]) -> Table:
    rows: list[list[Any]] = [
        [name, int(f["epochs"]), Value(f["within"]), Value(f["across"]), Value(f["kl"]), Value(f["active_units"])]
        for name, f in sorted(card["networks"].items())
    ]
    columns = [
        Column("Network (folds it never saw)"),
        Column("Epochs", numeric=True),
        Column("Loss within a modality", numeric=True),
        Column("Loss across", numeric=True),
        Column("KL divergence", "nat", numeric=True),
        Column("Active latent units", numeric=True),
    ]
    cost = card["cost"]
    text = f"{cost['wall_seconds']} s on {cost['device']} with {cost['workers'] or 'no'} Ray Train workers."
    return Table("Networks of the ensemble", columns, rows, source="card.json", text=text)


def card_facts(card: Mapping[str, Any]) -> list[Fact]:
    """Return what the header says of a model."""
    ranges = ", ".join(card.get("ranges", ()))
    return [
        Fact("trained on", f"{card['archive']} version {card['archive_version']}", "card.json"),
        Fact("directions", ", ".join(card["directions"]), "card.json"),
        *([Fact("parts of an axis with a specialist", ranges, "card.json")] if ranges else []),
        Fact("materials", card["data"]["materials"], "card.json"),
        Fact("training", Value(card["cost"]["wall_seconds"], "s", digits=0), "card.json"),
    ]
