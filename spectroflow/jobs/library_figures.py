"""What a library of known structures adds, as figures: how often the right structure is found, and what comes of it."""

from __future__ import annotations

from typing import Any

from spectroflow.errors import InvalidInput
from spectroflow.jobs.figures import bootstrapped, differing
from spectroflow.jobs.options import JobOptions
from spectroflow.models.generator import Generator
from spectroflow.models.library import StructureLibrary, evaluate_library

TRACKS = ("spectrum", "elements")

PLAIN = (
    "materials",
    "identifiable",
    "left_out_r",
    "plain_r",
    "top1",
    "top5",
    "top10",
    "lookup_top1",
    "lookup_top10",
    "calibration",
)
"""Figures that are told as they are: counts, shares of materials, and r where the right structure is not known."""


def library_figures(generator: Generator, library: StructureLibrary, options: JobOptions) -> dict[str, Any]:
    """Return the figures of a generator with a library, by the members that never saw the material.

    Returns
    -------
    dict
        ``{"raman to xrd": {"elements": {"r": interval, "lookup_r": interval, "over_lookup": interval, "top1": ...}}}``;
        what is called ``lookup`` takes the composition alone, without the spectrum, and stands in no track without one.

    Raises
    ------
    InvalidInput
        The library has no structure of the model's materials.
    """
    if not library.links(generator.data):
        raise InvalidInput(
            "no structure of the library belongs to a material that the model was trained on, so nothing can be judged",
            remedy="Name sample_id or label of the structures with library build --manifest.",
        )
    told = evaluate_library(
        generator,
        library,
        directions=generator.directions,
        tracks=[track for track in TRACKS if track in generator.tracks],
        batch=options.config.transfer.batch,
        per_material=True,
    )
    result: dict[str, Any] = {}
    for name, figures in told.items():
        direction, track, _ = name.split(", ")
        row: dict[str, Any] = {key: figures[key] for key in PLAIN if key in figures}
        own = _by_material(figures, "r_by_material")
        row["r"] = bootstrapped(list(own.values()), list(own), options)
        looked_up = _by_material(figures, "lookup_r_by_material")
        if looked_up:
            row["lookup_r"] = bootstrapped(list(looked_up.values()), list(looked_up), options)
            row["over_lookup"] = differing(list(own.values()), [looked_up[name] for name in own], list(own), options)
        result.setdefault(direction, {})[track] = row
    return result


def library_lines(told: dict[str, Any]) -> list[str]:
    """Return the figures as lines of a plain table."""
    titles = {"r": 9, "left out": 10, "lookup r": 10, "top 1": 8, "top 10": 8, "lookup 1": 10}
    lines = [f"{'direction':<16}{'known':<10}" + "".join(title.rjust(width) for title, width in titles.items())]
    for direction, tracks in told.items():
        for track, row in tracks.items():
            looked_up = row["lookup_r"]["mean"] if "lookup_r" in row else None
            cells = (row["r"]["mean"], row["left_out_r"], looked_up, row["top1"], row["top10"], row.get("lookup_top1"))
            shown = (
                ("-" if cell is None else f"{cell:.3f}").rjust(width)
                for cell, width in zip(cells, titles.values(), strict=True)
            )
            lines.append(f"{direction:<16}{track:<10}" + "".join(shown))
    return lines


def _by_material(figures: dict[str, object], key: str) -> dict[str, float]:
    found = figures.get(key, {})
    assert isinstance(found, dict)
    return found
