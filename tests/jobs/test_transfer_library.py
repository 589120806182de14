"""Transfer with a library of structures and with what is known of a composition."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectroflow import simulate as simulated_world
from spectroflow.archive import Archive
from spectroflow.config import load
from spectroflow.errors import InvalidInput, ModelError, UsageError
from spectroflow.jobs import JobOptions, commands
from spectroflow.jobs.making import compositions
from tests.materials.cifs import cif

MATERIALS = 16
SETTINGS = (
    "archive.shard_rows=16",
    "archive.chunk_rows=8",
    f"simulate.materials={MATERIALS}",
    "simulate.samples=2",
    "simulate.seed=9",
    "train.folds=3",
    "train.epochs=1",
    "train.hidden=8",
    "train.latent=4",
    "train.decoder_lines=4",
    "train.stop_share=0.0",
    "library.shortest=1.06",
    "transfer.batch=16",
    "transfer.library_names=3",
)


@dataclass(frozen=True)
class World:
    archive: str
    model: str
    library: str
    options: JobOptions


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("library")
    options = JobOptions(config=load(None, SETTINGS), workers=0)
    archive, model, library = (str(folder / name) for name in ("archive", "model", "library"))
    commands.simulate(archive, form="archive", options=options)
    commands.train(archive, model, pairs=[("raman", "ir"), ("xrd", "ir")], options=options)
    for index in range(MATERIALS):
        crystal = simulated_world.structure(9, index)
        sites = [(s, *place) for s, place in zip(crystal.symbols, crystal.fractional.tolist(), strict=True)]
        text = cif(crystal.name, crystal.cell, "P 1", sites, occupancy=crystal.occupancy.tolist())
        path = folder / "cifs" / f"{index}.cif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
    commands.build_library([str(folder / "cifs")], library, options=options)
    return World(archive, model, library, options)


def generated(out: Path) -> list[dict[str, Any]]:
    rows = Archive(str(out)).records("status == 0").to_pylist()
    return [{**row, "metadata": json.loads(row["metadata"])} for row in rows]


def test_patterns_are_simulated_and_name_their_structures(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = commands.transfer(
        world.model, world.archive, str(out), pairs=[("raman", "xrd")], library=world.library, options=world.options
    )
    assert done.rows.ok == 2 * MATERIALS
    opened = Archive(str(out))
    entry = opened.segments("xrd")[0]
    attributes = opened.segment_attributes(entry.id)
    assert entry.origin == attributes["origin"] == "generated"
    assert attributes["library"].endswith("library")
    assert np.isfinite(opened.array(entry.id, "intensity")).all()
    assert ((opened.array(entry.id, "confidence") >= 0) & (opened.array(entry.id, "confidence") <= 1)).all()
    for row in generated(out):
        named = row["metadata"]["structures"]
        assert len(named) == 3
        chances = [each["probability"] for each in named]
        assert chances == sorted(chances, reverse=True)
        assert 0 < sum(chances) <= 1 + 1e-3
        assert all(each["name"].startswith("Syn") and each["formula"] for each in named)
        assert 0 <= row["metadata"]["structure_in_library"] <= 1
        assert "phases" not in row["metadata"]
        assert row["metadata"]["materials"][0]["name"].startswith("Syn")
        assert 0 <= row["metadata"]["materials"][0]["probability"] <= row["metadata"]["material_known"] <= 1


def test_a_measured_pattern_names_the_right_structure_and_its_phases(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    commands.transfer(
        world.model, world.archive, str(out), pairs=[("xrd", "ir")], library=world.library, options=world.options
    )
    rows = generated(out)
    first = [row["metadata"]["structures"][0]["name"] == row["label"] for row in rows]
    phases = [[each["name"] for each in row["metadata"]["phases"]] == [row["label"]] for row in rows]
    assert np.mean(first) > 0.9
    assert np.mean(phases) > 0.9
    assert all(0 < row["metadata"]["phases_explain"] <= 1 for row in rows)
    assert all(sum(each["share"] for each in row["metadata"]["phases"]) == pytest.approx(1, abs=1e-3) for row in rows)


def test_elements_make_the_ranking_surer(world: World, tmp_path: Path) -> None:
    chance = {}
    for track in ("spectrum", "elements"):
        out = tmp_path / track
        commands.transfer(
            world.model,
            world.archive,
            str(out),
            pairs=[("raman", "xrd")],
            library=world.library,
            track=track,
            options=world.options,
        )
        rows = generated(out)
        assert all(("composition" in row["metadata"]) == (track == "elements") for row in rows)
        chance[track] = np.mean(
            [
                sum(each["probability"] for each in row["metadata"]["structures"] if each["name"] == row["label"])
                for row in rows
            ]
        )
    assert chance["elements"] > chance["spectrum"] + 0.1


def test_a_second_run_has_nothing_to_do_and_another_track_has(world: World, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    arguments = {"pairs": [("raman", "xrd")], "library": world.library, "options": world.options}
    assert commands.transfer(world.model, world.archive, out, **arguments).status == "done"
    assert commands.transfer(world.model, world.archive, out, **arguments).status == "nothing to do"
    assert commands.transfer(world.model, world.archive, out, track="formula", **arguments).status == "done"


def test_bytes_do_not_depend_on_how_units_are_cut(
    world: World, tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    for name, shards in (("one", 1), ("two", 2)):
        engine = world.options.config.engine.model_copy(update={"unit_shards": shards})
        options = replace(world.options, config=world.options.config.model_copy(update={"engine": engine}))
        commands.transfer(
            world.model,
            world.archive,
            str(tmp_path / name),
            pairs=[("raman", "xrd")],
            library=world.library,
            options=options,
        )
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_formula_that_does_not_parse_is_kept_without_composition_and_flagged() -> None:
    amounts, state = compositions(["CaCO3", "no formula!", None, "", "(Mg,Fe)2SiO4"])
    assert state == ["known", "unreadable", "absent", "absent", "known"]
    assert np.isnan(amounts[1:4]).all()
    assert np.isfinite(amounts[[0, 4]]).all()


def test_what_cannot_be_done_is_refused_before_anything_is_written(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(error: type[Exception], match: str, **changes: Any) -> None:
        arguments = {"pairs": [("raman", "xrd")], "library": world.library, "options": world.options, **changes}
        with pytest.raises(error, match=match):
            commands.transfer(world.model, world.archive, str(out), **arguments)
        assert not out.exists()

    refused(UsageError, "no track 'colour'", track="colour")
    refused(ModelError, "not trained for raman to xrd", library=None)
    refused(InvalidInput, "no structure library", library=world.archive)
    other = load(None, [*SETTINGS, "modality.xrd.wavelengths=[1.78897, 1.79285, 0.5]"])
    refused(ModelError, "trained on xrd at wavelengths", options=replace(world.options, config=other))


def test_a_library_of_other_materials_says_that_it_teaches_nothing(world: World, tmp_path: Path) -> None:
    from tests.materials.cifs import HALITE, SILICON

    for name, data in (("a.cif", HALITE), ("b.cif", SILICON)):
        path = tmp_path / "cifs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    library = str(tmp_path / "library")
    commands.build_library([str(tmp_path / "cifs")], library, options=world.options)
    with pytest.raises(InvalidInput, match="structures of 0 training materials"):
        commands.transfer(
            world.model,
            world.archive,
            str(tmp_path / "out"),
            pairs=[("raman", "xrd")],
            library=library,
            options=world.options,
        )
    assert not (tmp_path / "out").exists()


def test_a_pipeline_uses_the_library_and_what_is_known(world: World, tmp_path: Path) -> None:
    pipeline = tmp_path / "night.toml"
    pipeline.write_text(
        f"""[pipeline]
steps = ["transfer"]
archive = "{world.archive}"
model = "{world.model}"
library = "{world.library}"
track = "elements"
pairs = [["raman", "xrd"]]
output = "out"
"""
    )
    done = commands.run_pipeline(str(pipeline), options=world.options)
    assert done.rows.ok == 2 * MATERIALS
    for row in generated(tmp_path / "out"):
        assert len(row["metadata"]["structures"]) == 3
        assert row["metadata"]["composition"] == "known"
