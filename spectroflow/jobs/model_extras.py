"""Parts of the page about a model that not every evaluation has: known structures, and the paper's experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectroflow.jobs.experiments import KINDS
from spectroflow.report.page import Cell, Column, Section, Table, Value


def library_section(told: Mapping[str, Any]) -> Section:
    """Return what a library of known structures adds."""
    library = told["library"]
    rows: list[list[Cell]] = []
    for direction, tracks in library["directions"].items():
        for track, row in tracks.items():
            looked_up = [interval(row[key]) if key in row else None for key in ("lookup_r", "over_lookup")]
            places = [Value(row[key]) if key in row else None for key in ("top1", "top10", "lookup_top1")]
            numbers = [int(row["materials"]), int(row["identifiable"])]
            rows.append([direction, track, interval(row["r"]), Value(row["left_out_r"]), *looked_up, *places, *numbers])
    columns = [
        Column("Direction"),
        Column("Known"),
        Column("Pearson r", numeric=True),
        Column("r without the right structure", numeric=True),
        Column("r of the composition's structures alone", numeric=True),
        Column("Difference", numeric=True),
        Column("Right structure first", "share", numeric=True),
        Column("among the first ten", "share", numeric=True),
        Column("first by composition alone", "share", numeric=True),
        Column("Materials", numeric=True),
        Column("of these in the library", numeric=True),
    ]
    text = (
        f"The {library['structures']:,} structures of {library['path']} are ranked for each spectrum by the member "
        "that never saw the material, and what is generated follows from the ranking. The right structure is in the "
        "library, as in an open database; beside it as if it was not."
    )
    return Section(
        "With known structures", [Table("Identify, then simulate", columns, rows, source=source_of(told), text=text)]
    )


def experiments_section(told: Mapping[str, Any]) -> Section:
    """Return reconstruction within a modality and the naming of materials."""
    found = told["experiments"]
    rebuilt = [
        [name, *(interval(figures[kind]) for kind in ("network", "nearest", "mean")), figures["network"]["materials"]]
        for name, figures in found["reconstruction"].items()
    ]
    named = [
        [name, *(interval(figures[kind]) for kind in KINDS), figures["materials"], figures["spectra"]]
        for name, figures in found["classification"].items()
    ]
    measured = [Column(title, numeric=True) for title in ("Encoded and decoded", "Nearest in training", "Mean")]
    kinds = [Column(f"{kind.capitalize()} spectrum", "share", numeric=True) for kind in KINDS]
    text = (
        "The share of spectra whose material is named, by one classifier for all, trained on measured spectra of other "
        "samples. Where retrieved spectra do as well as generated ones, generation adds memory of prototypes."
    )
    return Section(
        "The experiments of the paper",
        [
            Table(
                "One modality, reconstructed (Pearson r)",
                [Column("Modality"), *measured, Column("Materials", numeric=True)],
                rebuilt,
                source=source_of(told),
            ),
            Table(
                "Naming the material",
                [Column("Direction"), *kinds, Column("Materials", numeric=True), Column("Spectra", numeric=True)],
                named,
                source=source_of(told),
                text=text,
            ),
        ],
        text=f"Protocol sample: {told['what']}.",
    )


def interval(told: Mapping[str, Any]) -> Value:
    """Return a mean with its limits."""
    return Value(told["mean"], low=told["low"], high=told["high"])


def source_of(told: Mapping[str, Any]) -> str:
    """Return where the figures of a protocol come from."""
    return f"{told['archive']} version {told['archive_version']}"
