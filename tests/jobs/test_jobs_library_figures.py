from __future__ import annotations

import pytest

from spectroflow.config import TrainConfig, load
from spectroflow.errors import InvalidInput
from spectroflow.jobs import JobOptions
from spectroflow.jobs.library_figures import library_figures
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.library import StructureLibrary
from spectroflow.models.training import train_networks
from tests.models.crystal_world import crystals, library, world

OPTIONS = JobOptions(config=load(None, ["evaluate.bootstrap=200"]))


@pytest.fixture(scope="module")
def generator() -> Generator:
    config = TrainConfig(
        folds=3, epochs=1, batch=32, latent=4, hidden=8, decoder_lines=4, stop_share=0.0, seed=1, metric_steps=0
    )
    data = world()
    return fit_generator(data, train_networks(data, config), config, directions=[("raman", "xrd")])


def test_known_structures_are_judged_beside_the_composition_alone(generator: Generator) -> None:
    told = library_figures(generator, library(), OPTIONS)
    assert list(told) == ["raman to xrd"]
    alone, known = told["raman to xrd"]["spectrum"], told["raman to xrd"]["elements"]
    assert "lookup_r" not in alone
    assert known["materials"] == known["r"]["materials"] == len(crystals())
    assert known["r"]["low"] <= known["r"]["mean"] <= known["r"]["high"]
    difference = known["r"]["mean"] - known["lookup_r"]["mean"]
    assert known["over_lookup"]["mean"] == pytest.approx(difference)
    # Elements leave three polymorphs, which the spectrum tells apart.
    assert known["lookup_top1"] == pytest.approx(1 / 3, abs=1e-6)
    assert known["over_lookup"]["low"] > 0


def test_a_library_of_other_materials_is_refused(generator: Generator) -> None:
    stranger = StructureLibrary.of(list(crystals().values())[:2], 1.5, labels=["never", "seen"])
    nameless = StructureLibrary(
        ("x", "y"),
        stranger.formulas,
        stranger.labels,
        stranger.samples,
        stranger.composition,
        stranger.traits,
        stranger.volume,
        stranger.reflections,
        stranger.shortest,
    )
    with pytest.raises(InvalidInput, match="no structure of the library belongs to a material"):
        library_figures(generator, nameless, OPTIONS)
