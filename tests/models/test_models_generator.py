from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput, ModelError
from spectroflow.models.blend import correlation, fit_blend
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.evaluation import calibration_error, evaluate_species, macro_mean
from spectroflow.models.generator import Generator
from spectroflow.models.training import train_networks


@pytest.fixture(scope="module")
def generator(small_data: TrainingData, small_config: TrainConfig) -> Generator:
    return fit_generator(small_data, train_networks(small_data, small_config), small_config)


def held_out(generator: Generator, data: TrainingData, source: str, target: str, **options: object):
    table = data.spectra[source]
    return generator.generate_held_out(
        table.values, table.valid, table.lines, source, target, table.label, table.sample, batch=16, **options
    )


def test_generated_spectra_are_what_they_say(generator: Generator, small_data: TrainingData) -> None:
    found = held_out(generator, small_data, "raman", "ir", parts=True)
    n, points = small_data.spectra["raman"].values.shape[0], small_data.modalities["ir"].grid.points
    assert found.intensity.shape == found.uncertainty.shape == (n, points)
    assert found.intensity.dtype == found.uncertainty.dtype == found.confidence.dtype == np.float32
    assert found.intensity.min() >= 0
    assert found.intensity.max() <= 1 + 1e-6
    assert (found.uncertainty > 0).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert set(found.experts) >= {"mean", "nearest", "soft", "ridge", "vae"}


def test_held_out_materials_are_predicted_better_than_by_the_mean(
    generator: Generator, small_data: TrainingData
) -> None:
    found = held_out(generator, small_data, "raman", "ir", parts=True)
    wanted = small_data.spectra["ir"]  # the same samples in the same order
    assert small_data.spectra["raman"].sample == wanted.sample
    blended = correlation(found.intensity, wanted.values, wanted.valid).mean()
    mean = correlation(found.experts["mean"], wanted.values, wanted.valid).mean()
    assert blended > mean + 0.05


def test_a_model_directory_gives_the_same_spectra(
    generator: Generator, small_data: TrainingData, tmp_path: Path
) -> None:
    generator.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.json", "config.json", "model.safetensors"]
    again = Generator.load(tmp_path)
    for one, other in [(held_out(g, small_data, "ir", "raman") for g in (generator, again))]:
        np.testing.assert_array_equal(one.intensity, other.intensity)
        np.testing.assert_array_equal(one.uncertainty, other.uncertainty)
        np.testing.assert_array_equal(one.confidence, other.confidence)
    assert again.card == json.loads(json.dumps(generator.card))


def test_a_spectrum_does_not_depend_on_its_company(generator: Generator, small_data: TrainingData) -> None:
    table = small_data.spectra["raman"]
    whole = generator.generate(table.values, table.valid, table.lines, "raman", "ir", batch=16)
    for rows, exact in ((np.arange(16, 32), True), (np.arange(9), True), (np.arange(20)[::-1], False)):
        part = generator.generate(table.values[rows], table.valid[rows], table.lines[rows], "raman", "ir", batch=16)
        # To the last bit at the same place in a batch; matrix products round differently at another place.
        tolerance = 0.0 if exact else 1e-5
        np.testing.assert_allclose(part.intensity, whole.intensity[rows], rtol=0, atol=tolerance)
        np.testing.assert_allclose(part.confidence, whole.confidence[rows], rtol=0, atol=tolerance)


def test_held_out_knows_nothing_of_the_material(
    small_data: TrainingData, small_config: TrainConfig, generator: Generator
) -> None:
    label = small_data.spectra["ir"].label[0]
    rows = np.flatnonzero(np.asarray(small_data.spectra["ir"].label) == label)
    table = small_data.spectra["ir"]
    values = table.values.copy()
    values[rows] = values[rows, ::-1]
    changed = dataclasses.replace(
        small_data, spectra={**small_data.spectra, "ir": dataclasses.replace(table, values=values)}
    )
    other = fit_generator(changed, train_networks(changed, small_config), small_config)
    mine = np.flatnonzero(np.asarray(small_data.spectra["raman"].label) == label)
    one, two = (held_out(g, small_data, "raman", "ir") for g in (generator, other))
    np.testing.assert_array_equal(one.intensity[mine], two.intensity[mine])
    np.testing.assert_array_equal(one.confidence[mine], two.confidence[mine])
    assert not np.array_equal(one.intensity, two.intensity)  # the materials of other folds do see the change


def test_unknown_materials_hear_all_members(generator: Generator, small_data: TrainingData) -> None:
    table = small_data.spectra["raman"]
    rows = np.arange(4)
    inputs = table.values[rows], table.valid[rows], table.lines[rows], "raman", "ir"
    everyone = generator.generate(*inputs, batch=16)
    unknown = generator.generate_held_out(*inputs, ["never seen"] * 4, batch=16)
    np.testing.assert_array_equal(everyone.intensity, unknown.intensity)
    known = generator.generate_held_out(*inputs, table.label[:4], batch=16)
    assert not np.array_equal(everyone.intensity, known.intensity)


def test_a_composition_is_used_where_it_is_known_and_only_there(generator: Generator, small_data: TrainingData) -> None:
    assert generator.tracks == ["spectrum", "elements", "formula"]
    table = small_data.spectra["raman"]
    rows = np.asarray([i for i, formula in enumerate(table.formula) if formula][:4])
    inputs = table.values[rows], table.valid[rows], table.lines[rows], "raman", "ir"
    known = small_data.composition["raman"][rows]
    known[1] = np.nan
    alone = generator.generate(*inputs, batch=16)
    for track in ("elements", "formula"):
        found = generator.generate(*inputs, composition=known, track=track, batch=16, parts=True)
        assert {"composition", "both"} <= set(found.experts)
        np.testing.assert_array_equal(found.confidence[1], alone.confidence[1])
        assert not np.array_equal(found.intensity[0], alone.intensity[0])
    ignored = generator.generate(*inputs, composition=known, batch=16)
    np.testing.assert_array_equal(ignored.intensity, alone.intensity)
    with pytest.raises(InvalidInput, match=r"no track 'isotopes'.*spectrum, elements, formula"):
        generator.generate(*inputs, composition=known, track="isotopes")


def test_a_model_of_known_materials_names_the_material_of_a_new_sample(
    small_data: TrainingData, small_config: TrainConfig
) -> None:
    config = small_config.model_copy(update={"split": "sample", "epochs": 1})
    networks = train_networks(small_data, config)
    known = fit_generator(small_data, networks, config, directions=[("raman", "ir")])
    found = held_out(known, small_data, "raman", "ir", parts=True)
    wanted = small_data.spectra["ir"]
    r = correlation(found.intensity, wanted.values, wanted.valid)
    named = correlation(found.experts["material"], wanted.values, wanted.valid)
    # A member knows a material whose other sample is in another fold; samples of one material follow each other.
    fold = known.folds["raman"].reshape(-1, 2)
    seen = np.repeat(fold[:, 0] != fold[:, 1], 2)
    assert 10 < seen.sum() < len(seen)
    assert r[seen].mean() > 0.98
    assert named[seen].mean() > 0.98
    assert named[~seen].mean() < 0.9
    assert known.card["blends"]["raman to ir"]["material"] > 0.1


def test_no_spectra_give_no_spectra(generator: Generator) -> None:
    points = generator.modalities["ir"].grid.points
    nothing = generator.generate(np.zeros((0, points), np.float32), np.zeros((0, points), bool), None, "ir", "raman")
    assert nothing.intensity.shape == (0, generator.modalities["raman"].grid.points)


def test_wrong_questions_are_refused(generator: Generator) -> None:
    with pytest.raises(InvalidInput, match=r"not trained for raman to xrd.*ir to raman, raman to ir"):
        generator.generate(np.zeros((1, 61), np.float32), np.ones((1, 61), bool), None, "raman", "xrd")
    with pytest.raises(InvalidInput, match=r"\(1, 9\) do not fit the raman grid of 61 points"):
        generator.generate(np.zeros((1, 9), np.float32), np.ones((1, 9), bool), None, "raman", "ir")


def test_damaged_models_are_refused_and_run_nothing(generator: Generator, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model.safetensors"):
        Generator.load(tmp_path)
    generator.save(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"not a whole safetensors file"):
        Generator.load(tmp_path)

    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError):
        Generator.load(tmp_path)
    assert not (tmp_path / "sprung").exists()
    path.write_bytes(whole)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("spectroflow-model-1", "spectroflow-model-99"))
    with pytest.raises(ModelError, match=r"spectroflow-model-99"):
        Generator.load(tmp_path)


def test_blend_finds_the_expert_that_is_right() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.random((40, 30)).astype(np.float32)
    valid = rng.random((40, 30)) < 0.8
    experts = {"noise": rng.random((40, 30), np.float32), "right": wanted + 0.01 * rng.random((40, 30), np.float32)}
    blend = fit_blend(experts, ["noise", "right"], rng.random((40, 3)), wanted, valid, np.arange(40))
    assert blend.weights["right"] > 0.97
    assert blend.expected > 0.97
    assert sum(blend.weights.values()) == pytest.approx(1)


def test_confidence_follows_the_evidence_that_tells() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.random((200, 50)).astype(np.float32)
    trust = rng.random(200)
    guess = (trust[:, None] * wanted + (1 - trust[:, None]) * rng.random((200, 50))).astype(np.float32)
    evidence = np.stack([trust, rng.random(200), np.ones(200)], axis=1)
    blend = fit_blend({"guess": guess}, ["guess"], evidence, wanted, np.ones_like(wanted, bool), np.arange(200))
    low, high = blend.confidence(np.asarray([[0.2, 0.5, 1.0], [0.9, 0.5, 1.0]]))
    assert low < 0.5 < high
    spread = np.zeros((2, 50), np.float32)
    uncertain = blend.uncertainty(np.asarray([low, high]), spread)
    assert (uncertain[0] > uncertain[1]).all()


def test_species_evaluation_counts_every_material_once(generator: Generator, small_data: TrainingData) -> None:
    figures = evaluate_species(generator, batch=16)
    assert {name for name in figures if "," not in name} == {"raman to ir", "ir to raman"}
    assert figures["raman to ir"]["materials"] == 30
    assert figures["raman to ir"]["pairs"] == 60
    assert figures["raman to ir"]["blend"] > figures["raman to ir"]["mean"]
    assert macro_mean(np.asarray([1.0, 0.0, 0.0, 0.0]), np.asarray([0, 1, 1, 1])) == 0.5


def test_calibration_error_is_the_distance_from_the_diagonal() -> None:
    score = np.linspace(0.1, 0.9, 100)
    assert calibration_error(score, score) == pytest.approx(0)
    assert calibration_error(score + 0.05, score) == pytest.approx(0.05)
