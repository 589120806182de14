"""What stands beside the generator: bounds and lookup know exactly what they may know."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow.jobs.predictors import PROTOCOLS
from spectroflow.jobs.references import References
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.folds import Split
from spectroflow.models.generator import Generator
from spectroflow.models.training import train_networks
from tests.models.conftest import SMALL, simulate


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return simulate(materials=12)


@pytest.fixture(scope="module", params=list(PROTOCOLS))
def generator(request: pytest.FixtureRequest, data: TrainingData) -> Generator:
    config = SMALL.model_copy(update={"split": request.param, "epochs": 1})
    return fit_generator(data, train_networks(data, config), config)


@pytest.fixture
def references(generator: Generator, data: TrainingData) -> References:
    return References(generator, "raman", "ir", data.spectra["ir"])


def folds_of(generator: Generator, name: str) -> list[int | None]:
    table = generator.data.spectra[name]
    return [generator.fold_of(*names) for names in zip(table.label, table.sample, table.digest, strict=True)]


def test_the_oracle_takes_the_best_of_what_the_member_has_learned_from(
    references: References, generator: Generator, data: TrainingData
) -> None:
    targets = data.spectra["ir"]
    partner = np.arange(len(targets))
    folds = folds_of(generator, "raman")
    best = references.oracle(folds, partner)
    for row, fold in enumerate(folds):
        known = targets.values[generator.folds["ir"] != fold]
        r = [np.corrcoef(targets.values[row], candidate)[0, 1] for candidate in known]
        np.testing.assert_allclose(best[row], known[int(np.argmax(r))], atol=1e-6)


def test_nothing_is_hidden_from_the_oracle_for_a_sample_that_nobody_knows(
    references: References, data: TrainingData
) -> None:
    best = references.oracle([None, None], np.asarray([0, 1]))
    np.testing.assert_allclose(best, data.spectra["ir"].values[:2], atol=1e-6)


def test_lookup_knows_every_file_but_the_one_that_asks(references: References, data: TrainingData) -> None:
    table, targets = data.spectra["raman"], data.spectra["ir"]
    found = references.lookup(table.values, table.digest)
    for row, label in enumerate(table.label):
        own = int(np.flatnonzero([s == table.sample[row] for s in targets.sample])[0])
        assert not np.array_equal(found[row], targets.values[own])
        siblings = [j for j, name in enumerate(targets.label) if name == label and j != own]
        assert any(np.array_equal(found[row], targets.values[j]) for j in siblings)


def test_what_a_member_has_seen_is_what_its_split_allows(
    references: References, generator: Generator, data: TrainingData
) -> None:
    table = data.spectra["raman"]
    material, sample = references.seen(table.label, table.sample, folds_of(generator, "raman")).T
    split: Split = generator.config.split
    if split == "species":
        assert not material.any()
    if split != "paper":
        assert not sample.any()
    if split == "sample":
        both = dict(zip(table.sample, folds_of(generator, "raman"), strict=True))
        for row, name in enumerate(table.sample):
            other = name[:-1] + ("1" if name.endswith("0") else "0")
            assert material[row] == (both[other] != both[name])
    assert references.seen(["never seen"], ["nor this"], [None]).tolist() == [[0, 0]]


def test_replicates_are_scored_over_other_samples(references: References, data: TrainingData) -> None:
    scores = references.replicates(np.asarray([0, 1, 0]))
    np.testing.assert_array_equal(scores[0], scores[2])
    other = np.corrcoef(data.spectra["ir"].values[0], data.spectra["ir"].values[1])[0, 1]
    assert scores[0, 0] == pytest.approx(other, abs=1e-6)
