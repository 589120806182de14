"""What the page about a model says of figures, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from spectroflow.jobs.library_figures import library_lines
from spectroflow.jobs.model_extras import experiments_section, library_section
from spectroflow.jobs.model_page import card_facts, headline, naming_tables
from spectroflow.report import Page, render_page


def span(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high, "materials": 9}


def told(r: tuple[float, float], f1: tuple[float, float]) -> dict[str, Any]:
    over = {"r": span(sum(r) / 2, *r), "f1": span(sum(f1) / 2, *f1)}
    directions = {"raman to ir": {"over_best_baseline": {"spectrum": over}}}
    return {"species": {"what": "no material twice", "directions": directions}}


@pytest.mark.parametrize(
    ("r", "f1", "verdict"),
    [
        ((0.01, 0.03), (-0.01, 0.02), "better in r or F1 and worse in neither: raman to ir"),
        ((-0.01, 0.03), (0.01, 0.02), "better in r or F1 and worse in neither: raman to ir"),
        ((0.01, 0.03), (-0.03, -0.01), "better in one of r and F1 and worse in the other: raman to ir"),
        ((-0.01, 0.03), (-0.03, -0.01), "worse in r or F1 and better in neither: raman to ir"),
        ((-0.01, 0.03), (-0.03, 0.01), "nothing is decided"),
    ],
)
def test_the_headline_counts_only_what_is_decided_and_hides_no_loss(r, f1, verdict) -> None:
    assert verdict in headline(told(r, f1))


def test_parts_of_an_axis_with_a_specialist_are_named_where_there_are_some() -> None:
    card: dict[str, Any] = {
        "archive": "archive",
        "archive_version": 2,
        "directions": ["ir to raman"],
        "data": {"materials": 9},
        "cost": {"wall_seconds": 3.0},
    }
    labels = [fact.label for fact in card_facts(card)]
    named = card_facts({**card, "ranges": ["ir: 400 to 700 cm-1"]})
    assert [fact.label for fact in named if fact.label not in labels] == ["parts of an axis with a specialist"]
    assert "ir: 400 to 700 cm-1" in [fact.value for fact in named]


def test_names_and_doubtful_labels_have_a_table_where_there_are_some() -> None:
    assert naming_tables({}) == []
    naming = {"raman": {"materials": 12.0, "named_right": 0.9, "unknown_told": 0.8}}
    assert [table.title for table in naming_tables({"naming": naming, "doubts": {"raman": []}})] == [
        "Names of materials"
    ]
    doubt = {"sample": "R1", "label": "Borax", "looks_like": "Tincalconite", "probability": 0.9, "digest": "ab"}
    tables = naming_tables({"naming": naming, "doubts": {"raman": [doubt]}})
    assert [table.title for table in tables] == ["Names of materials", "Labels in doubt"]
    assert tables[1].rows[0][:4] == ["raman", "R1", "Borax", "Tincalconite"]


def test_a_model_without_evaluation_says_so() -> None:
    assert headline({}) == "Not evaluated."


LIBRARY = {
    "raman to xrd": {
        "spectrum": {
            "r": span(0.4, 0.3, 0.5),
            "left_out_r": 0.2,
            "top1": 0.25,
            "top10": 0.45,
            "materials": 9.0,
            "identifiable": 7.0,
        },
        "elements": {
            "r": span(0.612, 0.5, 0.7),
            "left_out_r": 0.21,
            "lookup_r": span(0.55, 0.5, 0.6),
            "over_lookup": span(0.062, 0.01, 0.1),
            "top1": 0.83,
            "top10": 0.99,
            "lookup_top1": 0.73,
            "lookup_top10": 0.97,
            "materials": 9.0,
            "identifiable": 7.0,
        },
    }
}


def test_known_structures_stand_beside_the_lookup_that_they_have_to_beat() -> None:
    section = library_section(
        {"library": {"structures": 236, "path": "lib", "directions": LIBRARY}, "archive": "a", "archive_version": 3}
    )
    page = render_page(Page("Model", [section]))
    for text in ("0.612", "0.062", "0.010 to 0.100", "0.830", "0.730", "236 structures", "a version 3"):
        assert text in page
    lines = library_lines(LIBRARY)
    assert lines[1].split()[:4] == ["raman", "to", "xrd", "spectrum"]
    assert "-" in lines[1].split()
    assert lines[2].split()[4:] == ["0.612", "0.210", "0.550", "0.830", "0.990", "0.730"]


def test_generated_spectra_stand_beside_retrieved_ones_and_the_input() -> None:
    kinds = {"measured": 0.8, "generated": 0.5, "retrieved": 0.7, "input": 0.6}
    named = {kind: span(value, value - 0.1, value + 0.1) for kind, value in kinds.items()}
    rebuilt = {kind: span(0.9, 0.8, 0.95) for kind in ("network", "nearest", "mean")}
    section = experiments_section(
        {
            "what": "w",
            "archive": "a",
            "archive_version": 1,
            "experiments": {
                "reconstruction": {"ir": rebuilt},
                "classification": {"raman to ir": {**named, "materials": 9, "spectra": 20, "choices": 9}},
            },
        }
    )
    page = render_page(Page("Model", [section]))
    for text in (
        "Generated spectrum",
        "Retrieved spectrum",
        "Input spectrum",
        "0.500",
        "0.700",
        "memory of prototypes",
    ):
        assert text in page
