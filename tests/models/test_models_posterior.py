from __future__ import annotations

import numpy as np
import pytest

from spectroflow.models.experts import Opinion
from spectroflow.models.member import Heard, fit_lines, known_materials
from spectroflow.models.memory import few_of_each
from spectroflow.models.posterior import FIRST, Cases, Posterior, Prototypes, Shown, fit_posterior

POINTS = 40


def prototypes(count: int, seed: int = 0, fractions: np.ndarray | None = None) -> Prototypes:
    rng = np.random.default_rng(seed)
    spectra = rng.normal(0, 1, (count, POINTS)).astype(np.float32)
    known = np.full((count, 2), np.nan, np.float32) if fractions is None else fractions
    everyone, all_of_them = np.arange(count), np.ones(count, bool)
    return Prototypes(everyone, spectra, np.abs(spectra), known, everyone, everyone, all_of_them, all_of_them)


def test_prototypes_are_means_over_what_was_shown_of_each_material() -> None:
    spectra = np.asarray([[1, 1, 1, 1], [2, 2, 2, 2], [4, 4, 4, 4], [9, 9, 9, 9], [5, 5, 5, 5]], np.float32)
    valid = np.asarray([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    unknown = np.full((5, 1), np.nan, np.float32)
    measured = np.asarray([True, True, True, True, False])
    shown = Shown(np.asarray([2, 7, 7, 9, 3]), spectra, valid, spectra, unknown, measured)
    own = np.asarray([[np.nan], [0.5], [0.25], [0.125]], np.float32)
    found = Prototypes.of(np.asarray([7, 2, 7, 3]), own, shown)
    np.testing.assert_array_equal(found.material, [2, 3, 7, 9])
    np.testing.assert_array_equal(found.seen, [True, True, True, False])  # nobody saw 9 in the source modality
    np.testing.assert_array_equal(found.measured, [True, False, True, True])  # 3 was taught
    np.testing.assert_array_equal(found.paired, [2, 7])
    # Where a material was never measured stands the mean of those that were.
    np.testing.assert_allclose(found.spectra, [[1, 1, 1, 7], [5] * 4, [3, 2, 5, 7], [9] * 4])
    np.testing.assert_allclose(found.fractions[:, 0], [0.5, 0.125, 0.25, np.nan])
    similarity = np.asarray([[0.1, 0.2, 0.9, 0.4], [0.8, 0.3, 0.4, 0.7]], np.float32)
    np.testing.assert_allclose(found.best(similarity), [[0.2, 0.4, 0.9, 0.5], [0.3, 0.7, 0.8, 0.6]], rtol=1e-6)


def test_unknown_compositions_speak_neither_for_nor_against_a_material() -> None:
    fractions = np.asarray([[1, 0], [0, 1], [np.nan, np.nan]], np.float32)
    agreement = prototypes(3, fractions=fractions).agreement(np.eye(2, dtype=np.float32), np.nan_to_num(fractions))
    np.testing.assert_allclose(agreement, [[1, 0, 0.5], [0, 1, 0.5]])
    assert not prototypes(3).agreement(np.eye(2, dtype=np.float32), np.zeros((3, 2), np.float32)).any()


def test_a_known_composition_multiplies_the_posterior() -> None:
    rng = np.random.default_rng(1)
    clues = {name: rng.random((6, 5)).astype(np.float32) for name in ("shape", "composition")}
    both = Posterior({"shape": 3.0, "composition": 7.0}).probability(clues)
    one, other = (Posterior({n: s}).probability(clues) for n, s in (("shape", 3.0), ("composition", 7.0)))
    product = one * other
    np.testing.assert_allclose(both, product / product.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(Posterior({"shape": 3.0, "unheard": 2.0}).probability(clues), one)


def test_clues_that_tell_become_sharp_and_others_dull() -> None:
    rng = np.random.default_rng(2)
    known, truth = prototypes(12), rng.integers(0, 12, 60)
    wanted = known.spectra[truth] + 0.3 * rng.normal(0, 1, (60, POINTS))
    wanted -= wanted.mean(axis=1, keepdims=True)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    clues = {
        "tells": (0.4 * (truth[:, None] == np.arange(12)) + 0.3 * rng.random((60, 12))).astype(np.float32),
        "noise": rng.random((60, 12)).astype(np.float32),
    }
    cases = [
        Cases.of({k: v[part] for k, v in clues.items()}, wanted[part], known, np.ones(30))
        for part in (slice(30), slice(30, 60))
    ]
    found = fit_posterior(cases)
    assert found.sharpness["tells"] > 10 * FIRST
    assert found.sharpness["noise"] < FIRST

    def score(posterior: Posterior) -> float:
        expected = posterior.probability(clues) @ known.spectra
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(expected, wanted, strict=True)]))

    assert score(found) > score(Posterior(dict.fromkeys(clues, FIRST))) + 0.1


def test_of_each_material_a_few_rows_are_taken_in_order() -> None:
    np.testing.assert_array_equal(few_of_each(np.asarray([5, 3, 5, 5, 3, 1]), 2), [0, 1, 2, 4, 5])


def heard(material: list[int], known: int) -> Heard:
    rows = np.arange(len(material))
    values = {"mean": np.ones((len(rows), POINTS), np.float32) * rows[:, None]}
    return Heard(rows, np.asarray(material), Opinion(values, dict(values), {}, prototypes(known)))


def test_a_model_of_known_materials_is_fitted_on_materials_that_its_memory_holds() -> None:
    said = [heard([0, 1, 9, 2, 8], 3), heard([2, 9], 3)]
    assert [len(part.rows) for part in known_materials(said, "species", 1)] == [5, 2]
    chosen = known_materials(said, "sample", 3)
    assert [part.rows.tolist() for part in chosen] == [[0, 1, 3], [0]]
    np.testing.assert_array_equal(chosen[0].opinion.predictions["mean"][:, 0], [0, 1, 3])
    # With too few of them, all others have to do.
    assert [len(part.rows) for part in known_materials(said, "sample", 4)] == [5, 2]


def test_densities_of_lines_are_mixed_as_the_measured_ones_ask() -> None:
    rng = np.random.default_rng(3)
    right, wrong = rng.random((30, POINTS)).astype(np.float32), rng.random((30, POINTS)).astype(np.float32)
    valid = rng.random((30, POINTS)) < 0.7
    measured = np.where(valid, 0.6 * right, np.float32(50.0))  # what was not measured must not count
    rule = fit_lines({"kernel": right, "material": wrong}, measured, valid, np.arange(30))
    assert rule.weights["kernel"] == pytest.approx(0.6, abs=0.01)
    assert rule.weights["material"] == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(rule.density({"kernel": right, "material": wrong}), 0.6 * right, atol=0.03)
