"""Structures: found by spectra of every modality, and what is generated from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput
from spectroflow.materials.powder import Widths
from spectroflow.models.blend import correlation
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.library import Identified, LibraryGenerator, Ranker, StructureLibrary, evaluate_library
from spectroflow.models.library.diffraction import InstrumentFit, shifted
from spectroflow.models.library.evaluation import lookup
from spectroflow.models.library.gate import fit_gate
from spectroflow.models.library.ranking import draw_pool, fit_weights, training_query
from spectroflow.models.library.structures import require_wavelengths
from spectroflow.models.posterior import softmax
from spectroflow.models.training import train_networks
from tests.models.crystal_world import crystals, library, modalities, world

ZERO = 0.05


@pytest.fixture(scope="module")
def generator() -> Generator:
    config = TrainConfig(folds=3, epochs=1, batch=32, latent=4, hidden=8, decoder_lines=4, stop_share=0.0, seed=1)
    data = world(ZERO)
    return fit_generator(data, train_networks(data, config), config)


@pytest.fixture(scope="module")
def structures() -> StructureLibrary:
    return library()


@pytest.fixture(scope="module")
def model(generator: Generator, structures: StructureLibrary) -> LibraryGenerator:
    return LibraryGenerator(generator, structures)


@pytest.fixture(scope="module")
def figures(generator: Generator, structures: StructureLibrary) -> dict[str, dict[str, object]]:
    directions = [("raman", "xrd"), ("xrd", "ir")]
    return evaluate_library(generator, structures, directions=directions, per_material=True)


def test_materials_are_linked_by_sample_and_else_by_label_or_name(generator: Generator) -> None:
    data = generator.data
    table = list(crystals().values())
    known = library().links(data)
    assert len(known) == len(data.materials) == len(table)
    by_name = StructureLibrary.of(table, 1.5)
    assert {m: rows.tolist() for m, rows in by_name.links(data).items()} == {m: r.tolist() for m, r in known.items()}
    samples = [""] * len(table)
    samples[5] = data.spectra["xrd"].sample[0]
    by_sample = StructureLibrary.of(table, 1.5, samples=samples).links(data)
    assert by_sample[int(data.material["xrd"][0])].tolist() == [5]


def test_a_pattern_finds_its_structure_among_polymorphs(figures: dict[str, dict[str, float]]) -> None:
    assert figures["xrd to ir, spectrum, library"]["top1"] > 0.9


def test_a_vibrational_spectrum_tells_polymorphs_apart_that_elements_cannot(
    figures: dict[str, dict[str, float]],
) -> None:
    found = figures["raman to xrd, elements, library"]
    assert found["lookup_top1"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["lookup_top10"] == pytest.approx(1.0)
    assert found["top1"] > 0.8
    assert found["r"] > found["lookup_r"] + 0.1
    assert found["r"] > found["plain_r"] + 0.3


def test_without_the_right_structure_less_is_claimed_and_less_is_right(figures: dict[str, dict[str, float]]) -> None:
    found = figures["raman to xrd, elements, library"]
    assert found["left_out_r"] < found["r"] - 0.3
    assert found["left_out_confidence"] < found["confidence"]


def test_figures_of_single_materials_have_the_mean_that_is_reported(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    for table in figures.values():
        by_name = table["r_by_material"]
        assert len(by_name) == table["materials"]
        assert np.mean(list(by_name.values())) == pytest.approx(table["r"])


def test_the_structure_improves_on_the_generator_for_a_vibrational_target(
    figures: dict[str, dict[str, float]],
) -> None:
    found = figures["xrd to ir, spectrum, library"]
    assert found["r"] > found["plain_r"]


def test_the_instrument_is_found(generator: Generator, structures: StructureLibrary) -> None:
    table = generator.data.spectra["xrd"]
    names = list(crystals())
    truth = np.array([names.index(label) for label in table.label])
    fit = InstrumentFit(
        structures, modalities()["xrd"], table.values, table.valid, truth, generator.data.material["xrd"]
    )
    found = fit.best(np.arange(len(table)))
    assert found.zero == pytest.approx(ZERO, abs=0.026)
    drawn = structures.patterns(modalities()["xrd"], found.widths, found.zero)[truth]
    assert correlation(drawn, table.values, table.valid).mean() > 0.97


def test_excluded_structures_have_no_probability(model: LibraryGenerator) -> None:
    table = model.generator.data.spectra["xrd"]
    rows = np.arange(6)
    excluded = np.zeros((6, len(model.library)), bool)
    excluded[:, ::2] = True
    excluded[5] = True
    made = model.generate_held_out(
        table.values[rows],
        table.valid[rows],
        table.lines[rows],
        "xrd",
        "raman",
        [table.label[i] for i in rows],
        prepared=True,
        excluded=excluded,
    )
    assert not made.probability[excluded].any()
    assert np.allclose(made.probability[:5].sum(axis=1), 1.0)
    assert np.isfinite(made.generated.intensity).all()


def test_a_sample_without_composition_is_answered_from_its_spectrum(model: LibraryGenerator) -> None:
    table = model.generator.data.spectra["raman"]
    composition = model.generator.data.composition["raman"][:4].copy()
    composition[[1, 3]] = np.nan
    arguments = (table.values[:4], table.valid[:4], table.lines[:4], "raman", "xrd")
    told = model.generate(*arguments, composition=composition, track="elements", batch=4)
    silent = model.generate(*arguments, batch=4)
    assert np.allclose(told.probability[[1, 3]], silent.probability[[1, 3]], atol=1e-6)
    assert not np.allclose(told.probability[[0, 2]], silent.probability[[0, 2]], atol=1e-3)


def test_rows_do_not_depend_on_how_many_there_are(model: LibraryGenerator) -> None:
    table = model.generator.data.spectra["raman"]
    five = model.generate(table.values[:5], table.valid[:5], table.lines[:5], "raman", "xrd", batch=8)
    two = model.generate(table.values[:2], table.valid[:2], table.lines[:2], "raman", "xrd", batch=8)
    assert np.array_equal(five.generated.intensity[:2], two.generated.intensity)
    assert np.array_equal(five.probability[:2], two.probability)
    none = model.generate(table.values[:0], table.valid[:0], table.lines[:0], "raman", "xrd", batch=8)
    assert none.generated.intensity.shape[0] == none.probability.shape[0] == 0


def test_held_out_rows_are_each_answered_by_the_member_that_never_saw_them(model: LibraryGenerator) -> None:
    """Whatever stands beside them: rows of one fold are computed together, and given back in the order asked."""
    generator = model.generator
    table, folds = generator.data.spectra["raman"], generator.folds["raman"]
    rows = np.array([int(np.flatnonzero(folds == fold)[k]) for k in range(2) for fold in np.unique(folds)])
    assert (np.diff(folds[rows]) < 0).any(), "the folds take turns"

    def ask(chosen: npt.NDArray[np.int64]) -> Identified:
        return model.generate_held_out(
            table.values[chosen],
            table.valid[chosen],
            table.lines[chosen],
            "raman",
            "ir",
            [table.label[i] for i in chosen],
            [table.sample[i] for i in chosen],
            prepared=True,
            batch=4,
        )

    together = ask(rows)
    alone = [ask(rows[[k]]) for k in range(len(rows))]
    expected = np.concatenate([one.generated.intensity for one in alone])
    np.testing.assert_allclose(together.generated.intensity, expected, atol=1e-5)
    np.testing.assert_allclose(together.probability, np.concatenate([one.probability for one in alone]), atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3, "rows differ, so that a wrong order shows"


def test_nothing_of_a_members_own_fold_is_learned(generator: Generator, structures: StructureLibrary) -> None:
    ranker = Ranker(generator, structures)
    agreement = ranker.agreement("raman")
    rows = np.flatnonzero(generator.folds["raman"] == 0)
    query = training_query(generator, "raman", rows[:3], "spectrum")
    before = agreement.scores(query, (0,))
    spoiled = Ranker(generator, structures).agreement("raman")
    spoiled.structure = spoiled.structure.copy()
    spoiled.structure[rows] = 0
    after = spoiled.scores(query, (0,))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not all(np.allclose(before[name], spoiled.scores(query, (1,))[name]) for name in before)


def test_weights_maximise_the_likelihood_of_what_was_drawn() -> None:
    rng = np.random.default_rng(3)
    scores = {"good": rng.normal(size=(2000, 12)), "useless": rng.normal(size=(2000, 12))}
    chance = softmax(1.5 * scores["good"])
    drawn = (chance.cumsum(axis=1) > rng.random((2000, 1))).argmax(axis=1)
    right = np.eye(12, dtype=bool)[drawn]
    found = fit_weights(scores, right, np.ones(2000))
    assert found["good"] == pytest.approx(1.5, abs=0.12)
    assert found["useless"] < 0.1
    assert min(found.values()) >= 0


def test_a_structure_that_stands_for_many_counts_as_many() -> None:
    rng = np.random.default_rng(4)
    full = rng.normal(size=(300, 40))
    right = np.zeros((300, 40), bool)
    right[:, 0] = True
    full[:, 0] += 1.5
    copies = np.concatenate([full] + [full[:, 1:]] * 2, axis=1)
    many = np.concatenate([right] + [np.zeros((300, 39), bool)] * 2, axis=1)
    weight = np.ones(300)
    wanted = fit_weights({"a": copies}, many, weight)["a"]
    found = fit_weights({"a": full}, right, weight, np.r_[1.0, np.full(39, 3.0)])["a"]
    assert found == pytest.approx(wanted, rel=0.01)


def test_the_pool_holds_every_linked_structure() -> None:
    links = {0: np.array([7]), 3: np.array([1500, 2999])}
    pool, stands_for = draw_pool(3000, links)
    assert len(pool) == 1000
    assert {7, 1500, 2999} <= set(pool.tolist())
    assert stands_for.sum() == pytest.approx(3000)
    assert stands_for[np.isin(pool, [7, 1500, 2999])].tolist() == [1.0, 1.0, 1.0]


def test_the_gate_is_calibrated() -> None:
    rng = np.random.default_rng(5)
    here = np.repeat([True, False], 4000)
    evidence = np.where(here, 1.0, -1.0)[:, None] + rng.normal(size=(8000, 1))
    gate = fit_gate(evidence, here, np.ones(8000), 0.5)
    # Two unit normals at +1 and -1: log odds are 2 x.
    assert gate(np.array([[0.0], [1.0]])) == pytest.approx([0.5, 1 / (1 + np.exp(-2))], abs=0.02)
    assert fit_gate(evidence, here, np.ones(8000), 0.9)(np.zeros((1, 1)))[0] == pytest.approx(0.9, abs=0.02)


def test_lookup_takes_all_that_fit_alike(structures: StructureLibrary, generator: Generator) -> None:
    composition = generator.data.composition["raman"][:2].copy()
    composition[1] = np.nan
    found = lookup(structures, composition, "elements")
    assert np.count_nonzero(found[0]) == 3
    assert np.allclose(found[1], 1 / len(structures))
    assert np.count_nonzero(lookup(structures, composition, "formula")[0]) == 3


def test_a_library_that_knows_too_few_training_materials_is_refused(
    generator: Generator, structures: StructureLibrary
) -> None:
    few = structures.take(np.arange(4))
    table = generator.data.spectra["raman"]
    with pytest.raises(InvalidInput, match=r"4 training materials.*at least 6"):
        LibraryGenerator(generator, few).generate(
            table.values[:1], table.valid[:1], table.lines[:1], "raman", "xrd", batch=2
        )


def test_another_wavelength_is_computed_or_refused_with_the_remedy(structures: StructureLibrary) -> None:
    xrd = modalities()["xrd"]
    cobalt = xrd.model_copy(update={"wavelengths": (1.78897, 1.79285, 0.5)})
    sines = [
        np.sin(
            np.radians(
                xrd.grid.axis()[structures.take(np.arange(3)).patterns(each, Widths.plain(0.25)).argmax(axis=1)] / 2
            )
        )
        for each in (xrd, cobalt)
    ]
    assert sines[1] / sines[0] == pytest.approx(np.full(3, 1.78897 / 1.54056), rel=5e-3)
    molybdenum = xrd.model_copy(update={"wavelengths": (0.7093, 0.71359, 0.5)})
    with pytest.raises(InvalidInput, match=r"library.shortest=0.5"):
        require_wavelengths(structures, molybdenum)
    with pytest.raises(InvalidInput, match="has no wavelength"):
        require_wavelengths(structures, xrd.model_copy(update={"wavelengths": None}))


def test_shifting_moves_lines_by_so_much() -> None:
    xrd = modalities()["xrd"]
    row = np.zeros((1, xrd.grid.points), np.float32)
    row[0, 100] = 1.0
    assert shifted(row, xrd, 0.5)[0, 95] == pytest.approx(1.0)
    assert shifted(row, xrd, 0.25).sum() == pytest.approx(1.0, abs=1e-4)
