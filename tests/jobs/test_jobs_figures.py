"""From scores to figures: rows, intervals, comparisons, and the guard of the species protocol."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow.config import load
from spectroflow.errors import InvalidInput
from spectroflow.jobs import JobOptions
from spectroflow.jobs.figures import Scored, brief_lines, direction_figures, table_lines
from spectroflow.jobs.predictors import Scheme
from spectroflow.jobs.scores import Measured
from spectroflow.metrics import MEASURES
from spectroflow.modality import builtin

OPTIONS = JobOptions(config=load(None, ["evaluate.bootstrap=200"]))
MATERIALS = [f"m{i // 2:02d}" for i in range(40)]


def scored(protocol: str, **columns: float | np.ndarray) -> Scored:
    """Return scores of 40 spectra of 20 materials: 0.5 everywhere but in the columns that are given."""
    scheme = Scheme(protocol, ("spectrum", "elements"))
    values = np.full((40, len(scheme.columns)), 0.5)
    values[:, -2:] = 0.0
    for name, column in columns.items():
        values[:, scheme.columns.index(name)] = column
    return Scored(scheme, values, MATERIALS, [("segment", row) for row in range(40)])


def test_every_predictor_has_every_measure_and_the_generator_leads_its_track() -> None:
    for protocol, extra in (("species", set()), ("sample", set()), ("paper", {"lookup"})):
        scheme = Scheme(protocol, ("spectrum", "elements", "formula"))
        names = [p.name for p in scheme.predictors]
        assert {"model", "oracle", "replicate", "elements/model", "formula/composition"} | extra <= set(names)
        assert ("lookup" in names) == bool(extra)
        assert len(scheme.columns) == len(set(scheme.columns)) == len(names) * len(MEASURES) + 5
        assert "elements/composition" not in scheme.best_of("spectrum")
        assert {"nearest", "elements/composition"} <= set(scheme.best_of("elements"))
        assert not {"oracle", "replicate"} & set(scheme.best_of("formula"))


def test_a_difference_is_taken_from_the_best_baseline_of_that_measure() -> None:
    better = np.linspace(0.6, 0.8, 40)
    figures = direction_figures(
        scored("species", **{"model:r": better + 0.05, "soft:r": better, "ridge:f1": 0.7}), OPTIONS
    )
    over = figures["over_best_baseline"]["spectrum"]
    assert over["r"]["baseline"] == "soft"
    assert over["r"]["mean"] == pytest.approx(0.05)
    assert over["r"]["low"] == pytest.approx(0.05)
    assert over["f1"]["baseline"] == "ridge"
    assert over["f1"]["mean"] == pytest.approx(-0.2)
    lines = brief_lines("species", {"raman to ir": figures})
    (told,) = [line for line in lines if line.startswith("raman to ir") and " spectrum " in line]
    assert "soft 0.700" in told
    assert "+0.050 (+0.050 to +0.050)" in told
    assert "-0.200" in told
    interval = figures["predictors"]["soft"]["r"]
    assert interval["low"] < 0.7 < interval["high"]
    assert interval["materials"] == 20


def test_a_bound_without_replicates_has_no_figure_and_no_material() -> None:
    figures = direction_figures(scored("species", **{"replicate:r": np.nan}), OPTIONS)
    assert figures["predictors"]["replicate"]["r"] == {"mean": None, "low": None, "high": None, "materials": 0}
    assert any("replicate" in line and "-" in line for line in table_lines({"raman to ir": figures}))


def test_a_material_on_both_sides_of_a_species_split_is_refused() -> None:
    seen = np.zeros(40)
    seen[6] = 1.0
    with pytest.raises(InvalidInput, match=r"1 material.*'m03'"):
        direction_figures(scored("species", material_seen=seen), OPTIONS)
    with pytest.raises(InvalidInput, match=r"training and test"):
        direction_figures(scored("species", sample_seen=seen), OPTIONS)


def test_the_sample_protocol_speaks_of_materials_that_were_seen() -> None:
    seen = np.arange(40) < 30
    r = np.where(seen, 0.9, 0.1)
    figures = direction_figures(scored("sample", **{"material_seen": seen, "model:r": r}), OPTIONS)
    assert (figures["spectra"], figures["left_out"], figures["materials"]) == (30, 10, 15)
    assert figures["predictors"]["model"]["r"]["mean"] == pytest.approx(0.9)
    everything = direction_figures(scored("paper", **{"material_seen": seen, "model:r": r}), OPTIONS)
    assert (everything["spectra"], everything["left_out"]) == (40, 0)


def test_lines_that_a_maker_tells_are_taken_instead_of_found_ones() -> None:
    ir = builtin()["ir"]
    axis = ir.grid.axis()
    wanted = np.exp(-(((axis - 700) / 15) ** 2)) + 0.8 * np.exp(-(((axis - 1100) / 15) ** 2))
    valid = np.ones((1, axis.size), bool)
    measured = Measured(wanted[None, :].astype(np.float32), valid, ir)
    np.testing.assert_allclose(measured.centers, [[700, 1100]], atol=ir.grid.step)
    blurred = np.ones((1, axis.size), np.float32) * np.linspace(0.1, 0.2, axis.size, dtype=np.float32)
    f1 = list(MEASURES).index("f1")
    assert measured.score(blurred)[0, f1] == 0
    assert measured.score(blurred, np.asarray([[702.0, 1095.0, np.nan]]))[0, f1] == 1
    # A line where the target was not measured neither helps nor harms.
    valid[0, axis > 1000] = False
    half = Measured(wanted[None, :].astype(np.float32), valid, ir)
    assert half.score(blurred, np.asarray([[702.0, 1095.0, np.nan]]))[0, f1] == 1


def test_a_comb_has_a_line_near_every_line_and_says_nothing_of_intensity() -> None:
    raman = builtin()["raman"]
    axis = raman.grid.axis()
    rng = np.random.default_rng(0)
    places = rng.uniform(150, 1250, (3, 6))
    wanted = np.exp(-(((axis - places[:, :, None]) / 4) ** 2)).sum(axis=1).astype(np.float32)
    measured = Measured(wanted, np.ones_like(wanted, bool), raman)
    found = dict(zip(MEASURES, measured.score_comb().T, strict=True))
    teeth = int((raman.grid.stop - raman.grid.start) / (2 * raman.match_tolerance))
    for row in range(3):
        lines = int(np.isfinite(measured.centers[row]).sum())
        assert found["recall"][row] > 0.8  # two lines may share a tooth
        assert found["precision"][row] == pytest.approx(found["recall"][row] * lines / teeth, rel=0.02)
    assert np.isnan(found["r"]).all()
    assert np.isnan(found["rmse"]).all()
