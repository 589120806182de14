"""Names of training materials: right where another sample is known, withheld where none is, and honest in between."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.config import TrainConfig
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.features import CLUE_KINDS
from spectroflow.models.generator import Generator
from spectroflow.models.likeness import ByMaterial, Others
from spectroflow.models.naming import MaterialNamer, Naming
from spectroflow.models.steady import STEADY_KINDS, Steady
from spectroflow.models.training import train_networks
from tests.models.crystal_world import world

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


def spectra(materials: int, samples: int, noise: float, seed: int = 0) -> tuple[dict[str, Float], Int, list[str]]:
    """Unit vectors around one for each material, two of every sample."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((materials, 30))
    material = np.repeat(np.arange(materials), 2 * samples)
    sample = [f"s{i // 2}" for i in range(len(material))]
    shared = np.repeat(rng.standard_normal((len(material) // 2, 30)), 2, axis=0)
    values = centre[material] + noise * shared + 0.01 * rng.standard_normal((len(material), 30))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return dict.fromkeys(CLUE_KINDS, values.astype(np.float32)), material, sample


@cache
def generator() -> Generator:
    config = TrainConfig(folds=3, epochs=1, batch=32, latent=4, hidden=8, decoder_lines=4, stop_share=0.0, seed=1)
    data = world(samples=2)
    return fit_generator(data, train_networks(data, config), config, directions=[("raman", "ir")])


@given(noise=st.floats(0.05, 0.4), seed=st.integers(0, 20))
def test_what_is_distinct_is_named_and_what_is_new_is_not(noise: float, seed: int) -> None:
    naming = Naming.fit(Others(*spectra(20, 3, noise, seed)), seed=0)
    assert naming is not None
    assert naming.figures["materials"] == 20
    assert naming.figures["named_right"] > 0.95
    assert naming.figures["unknown_told"] > 0.95


def test_probabilities_are_as_often_right_as_they_say() -> None:
    """On samples that it did not learn from, half of them of materials that it does not know."""
    features, material, sample = spectra(80, 3, 0.9, seed=3)
    train = np.flatnonzero(np.arange(len(material)) // 2 % 3 > 0)  # of each material two samples
    known = train[material[train] < 60]
    own = {k: v[known] for k, v in features.items()}
    naming = Naming.fit(Others(own, material[known], [sample[i] for i in known]), 0)
    steady = Steady.fit(own, material[known], np.arange(len(known)))
    assert naming is not None
    assert steady is not None
    asked = np.setdiff1d(np.arange(len(material)), train)
    asked = np.concatenate([asked[material[asked] < 60], np.tile(asked[material[asked] >= 60], 3)])
    table = ByMaterial(material[known])
    similar = {k: v[asked] @ v[known].T for k, v in features.items()}
    likeness = {k: table.best(v) for k, v in (similar | steady.similarity(similar)).items()}
    told = naming.probability(likeness, 0.5)
    right = told[:, :-1].argmax(axis=1) == material[asked]
    said = told[:, :-1].max(axis=1)
    assert 0.2 < said.mean() < 0.6  # neither sure nor idle
    assert said.mean() == pytest.approx(right.mean(), abs=0.1)
    assert (1 - told[:, -1]).mean() == pytest.approx((material[asked] < 60).mean(), abs=0.1)


def test_siblings_of_the_same_sample_do_not_vouch() -> None:
    features, material, sample = spectra(30, 1, 0.1)
    assert Naming.fit(Others(features, material, sample), 0) is None
    assert (
        Naming.fit(Others(features, material, [""] * len(sample)), 0) is not None
    )  # then they are samples of their own


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=2, unique=True).map(sorted))
def test_what_is_believed_beforehand_moves_what_is_said(beliefs: list[float]) -> None:
    naming = Naming.fit(Others(*spectra(20, 2, 0.5)), seed=0)
    assert naming is not None
    likeness = dict.fromkeys((*CLUE_KINDS, *STEADY_KINDS), np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20))
    low, high = (naming.probability(likeness, belief) for belief in beliefs)
    assert low.sum(axis=1) == pytest.approx(np.ones(2))
    assert (low[:, -1] >= high[:, -1]).all()
    odds = (high[:, :-1].sum(axis=1) / high[:, -1]) / (low[:, :-1].sum(axis=1) / low[:, -1])
    expected = beliefs[1] / (1 - beliefs[1]) / (beliefs[0] / (1 - beliefs[0]))
    assert odds == pytest.approx(np.full(2, expected), rel=1e-6)


def test_a_model_keeps_how_it_names() -> None:
    model = generator()
    assert set(model.naming) == {"raman"}
    again = Generator.from_files(model.files())
    assert again.naming == model.naming
    assert model.card["naming"]["raman"] == model.naming["raman"].figures


def test_a_model_that_knows_nothing_of_names_still_opens() -> None:
    files = generator().files()
    config = json.loads(files["config.json"])
    del config["naming"]
    assert Generator.from_files({**files, "config.json": json.dumps(config).encode()}).naming == {}


def test_spectra_are_named_one_by_one() -> None:
    model, rows = generator(), np.arange(0, 36, 5)
    table = model.data.spectra["raman"]
    namer = MaterialNamer(model, "raman")
    values, valid = table.values[rows], table.valid[rows]
    found = namer.name(values, valid, most=2, known=0.5, batch=8)
    assert found[:3] == namer.name(values[:3], valid[:3], most=2, known=0.5, batch=8)
    for row, one in zip(rows, found, strict=True):
        assert len(one.materials) == 2
        assert one.materials[0][0] == model.data.materials[model.data.material["raman"][row]]
        assert one.materials[0][1] >= one.materials[1][1]
        assert sum(p for _, p in one.materials) <= one.known <= 1
