"""The figures of an evaluation as Markdown: the generator between what it must beat and what nobody passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectroflow.jobs.predictors import PROTOCOLS

BASELINES = {"mean": "mean spectrum", "nearest": "1-NN", "soft": "soft-NN", "ridge": "kernel ridge"}
COMB = {"comb": "lines everywhere"}
BOUNDS = {"oracle": "oracle retrieval", "replicate": "replicate ceiling"}
MEASURES = {"r": "Pearson r", "f1": "Peak F1"}


def tables(protocols: Mapping[str, Any]) -> str:
    """Return all tables.

    Parameters
    ----------
    protocols
        ``{protocol: {direction: figures}}`` as the evaluate job tells them.
    """
    parts = []
    for protocol, judged in protocols.items():
        # `sample` has nothing to say of a direction in which no material was measured on two samples.
        directions = {name: told for name, told in judged.items() if told["predictors"]["model"]["r"]["materials"]}
        parts.append(f"### {protocol}: {PROTOCOLS[protocol]}\n")  # type: ignore[index]
        parts += [spectrum_table(protocol, directions, measure) for measure in MEASURES]
        if any(len(figures["over_best_baseline"]) > 1 for figures in directions.values()):
            parts += [tracks_table(directions, measure) for measure in MEASURES]
    return "\n".join(parts)


def spectrum_table(protocol: str, directions: Mapping[str, Any], measure: str) -> str:
    """Return the rows of the spectrum alone in one measure."""
    baselines = (
        BASELINES | (COMB if measure == "f1" else {}) | ({"lookup": "plain lookup"} if protocol == "paper" else {})
    )
    titles = [MEASURES[measure], "minerals", *baselines.values(), "generator", "over best baseline", *BOUNDS.values()]
    rows = []
    for direction, figures in directions.items():
        found = figures["predictors"]
        rows.append(
            [
                direction,
                str(found["model"][measure]["materials"]),
                *(number(found[name][measure]["mean"]) for name in baselines),
                f"**{number(found['model'][measure]['mean'])}** {span(found['model'][measure])}",
                difference(figures["over_best_baseline"]["spectrum"][measure]),
                *(number(found[name][measure]["mean"]) for name in BOUNDS),
            ]
        )
    return markdown(titles, rows)


def tracks_table(directions: Mapping[str, Any], measure: str) -> str:
    """Return the rows that know a composition, each beside the one without the spectrum."""
    titles = [MEASURES[measure]]
    for track in ("elements", "formula"):
        titles += [f"{track} alone", f"spectrum and {track}", "over best baseline"]
    rows = []
    for direction, figures in directions.items():
        row = [direction]
        for track in ("elements", "formula"):
            if track in figures["over_best_baseline"]:
                found = figures["predictors"]
                row += [
                    number(found[f"{track}/composition"][measure]["mean"]),
                    f"**{number(found[f'{track}/model'][measure]['mean'])}** {span(found[f'{track}/model'][measure])}",
                    difference(figures["over_best_baseline"][track][measure]),
                ]
            else:
                row += ["", "", ""]
        rows.append(row)
    return markdown(titles, rows)


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def number(value: float | None) -> str:
    """Return a figure with three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def span(told: Mapping[str, Any]) -> str:
    """Return an interval in brackets."""
    return "" if told["low"] is None else f"({told['low']:.3f} to {told['high']:.3f})"


def difference(told: Mapping[str, Any]) -> str:
    """Return a paired difference with its interval, and which baseline it is from."""
    if told["mean"] is None:
        return "-"
    return f"{told['mean']:+.3f} {span(told)}, {told['baseline'].replace('/', ' ')}".replace("  ", " ")
