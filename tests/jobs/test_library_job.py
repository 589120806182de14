"""A library of structures: built through the engine, incremental, and honest about files that hold none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spectroflow.archive import Archive
from spectroflow.config import load
from spectroflow.engine.processor import UnitResult
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Unit
from spectroflow.errors import Interrupted, InvalidInput, UsageError
from spectroflow.jobs import JobOptions, commands
from spectroflow.jobs.library_builder import LibraryProcessor
from spectroflow.jobs.library_files import load_library
from spectroflow.storage import CheckedWriter, Location
from tests.materials.cifs import CORUNDUM, HALITE, SILICON, SYLVITE, cif, cubic

GOOD = {"halite.cif": HALITE, "silicon.cif": SILICON, "sylvite.cif": SYLVITE, "corundum.cif": CORUNDUM}
BAD = {"broken.cif": b"nothing of a CIF", "cell_only.cif": b"data_x\n_cell_length_a 5\n"}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def cifs(tmp_path: Path) -> Path:
    return written(tmp_path / "cifs", {**GOOD, **BAD, "readme.txt": b"no structure"})


@pytest.fixture
def small() -> JobOptions:
    config = load(None, ["archive.shard_rows=2", "archive.chunk_rows=2", "library.lines=256", "library.shortest=1.0"])
    return JobOptions(config=config, workers=0)


def test_every_structure_has_a_row_and_bad_files_have_a_reason(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    lib = str(tmp_path / "lib")
    done = commands.build_library([str(cifs)], lib, options=small)
    assert (done.rows.total, done.rows.ok, done.rows.failed) == (6, 4, 2)
    assert done.details["codes"] == {"OK": 4, "READER_FAILED": 1, "NO_DATA": 1}
    opened = Archive(lib)
    entry = opened.segments("xrd")[0]
    assert entry.origin == "simulated"
    assert opened.segment_attributes(entry.id)["origin"] == "simulated"
    table = {record["label"]: record for record in opened.records("status == 0").to_pylist()}
    assert set(table) == {"Halite", "Silicon", "Sylvite", "Corundum"}
    facts = json.loads(table["Corundum"]["metadata"])
    assert facts["space_group_number"] == 167
    assert facts["cell"] == pytest.approx([4.7589, 4.7589, 12.991, 90, 90, 120])
    assert table["Halite"]["source"].endswith("halite.cif")
    quarantine = run_folder(Location.parse(lib), done.run) / "quarantine"
    failed = [json.loads(line) for info in quarantine.walk() for line in info.location.read_bytes().splitlines()]
    assert {Path(each["source"]).name for each in failed} == set(BAD)
    assert all(each["reason"] and each["remedy"] for each in failed)


def test_the_stored_pattern_has_its_lines_where_bragg_says(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    lib = str(tmp_path / "lib")
    commands.build_library([str(cifs)], lib, options=small)
    found = {one.record["label"]: one for one in Archive(lib).spectra("status == 0")}
    halite = found["Halite"]
    assert halite.axis[halite.intensity.argmax()] == pytest.approx(31.70, abs=0.06)
    assert halite.intensity.max() == pytest.approx(1.0)


def test_what_is_loaded_is_what_was_computed(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    from spectroflow.materials.cif import read_cif
    from spectroflow.models.library import StructureLibrary

    lib = str(tmp_path / "lib")
    commands.build_library([str(cifs)], lib, options=small)
    loaded = load_library(lib)
    order = [name for name in sorted(GOOD) if name.endswith(".cif")]
    direct = StructureLibrary.of([read_cif(GOOD[name])[0] for name in order], 1.0)
    assert loaded.names == direct.names
    assert loaded.shortest == 1.0
    assert np.array_equal(loaded.composition, direct.composition)
    assert np.allclose(loaded.traits, direct.traits, atol=1e-6)
    for one, other in zip(loaded.reflections, direct.reflections, strict=True):
        assert np.allclose(one.spacing, other.spacing, rtol=1e-6)
        assert np.allclose(one.strength, other.strength, rtol=1e-6)
        assert np.array_equal(one.multiplicity, other.multiplicity)


def test_a_second_run_takes_only_what_is_new_or_changed(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    lib = str(tmp_path / "lib")
    commands.build_library([str(cifs)], lib, options=small)
    assert commands.build_library([str(cifs)], lib, options=small).status == "nothing to do"
    written(cifs, {"halite.cif": HALITE.replace(b"5.6402", b"5.7000"), "new/diamond.cif": _diamond()})
    again = commands.build_library([str(cifs)], lib, options=small)
    assert again.rows.total == 2
    loaded = load_library(lib)
    assert sorted(loaded.names) == ["Corundum", "Diamond", "Halite", "Silicon", "Sylvite"]
    halite = loaded.names.index("Halite")
    assert loaded.volume[halite] == pytest.approx(5.7**3)
    assert commands.build_library([str(cifs)], lib, options=small).status == "nothing to do"


def test_the_manifest_names_the_material_and_the_sample(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    manifest = tmp_path / "names.csv"
    manifest.write_text("path,sample_id,label\ncifs/halite.cif,S1,Rock salt\n")
    lib = str(tmp_path / "lib")
    commands.build_library([str(cifs)], lib, manifest=str(manifest), options=small)
    loaded = load_library(lib)
    at = loaded.labels.index("Rock salt")
    assert (loaded.names[at], loaded.samples[at]) == ("Halite", "S1")
    manifest.write_text("path,sample_id,label\ncifs/halite.cif,S2,Rock salt\n")
    again = commands.build_library([str(cifs)], lib, manifest=str(manifest), options=small)
    assert again.rows.total == 1
    assert "S2" in load_library(lib).samples


def test_the_same_content_under_two_names_is_one_structure(tmp_path: Path, small: JobOptions) -> None:
    folder = written(tmp_path / "cifs", {"a.cif": HALITE, "b.cif": HALITE, "c.cif": SILICON})
    done = commands.build_library([str(folder)], str(tmp_path / "lib"), options=small)
    assert done.details["codes"] == {"OK": 2, "DUPLICATE": 1}
    assert len(load_library(str(tmp_path / "lib"))) == 2


def test_a_partly_occupied_structure_is_flagged_and_scatters_less(tmp_path: Path, small: JobOptions) -> None:
    sites = [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)]
    half = cif("Half", cubic(5.0), "P m -3 m", sites, occupancy=[0.5, 1])
    whole = cif("Whole", cubic(5.0), "P m -3 m", sites)
    folder = written(tmp_path / "cifs", {"half.cif": half, "whole.cif": whole})
    lib = str(tmp_path / "lib")
    commands.build_library([str(folder)], lib, options=small)
    facts = {r["label"]: json.loads(r["metadata"]) for r in Archive(lib).records().to_pylist()}
    assert "PARTIAL_OCCUPANCY" in facts["Half"]["structure_flags"]
    assert "PARTIAL_OCCUPANCY" not in facts["Whole"]["structure_flags"]
    loaded = load_library(lib)
    share = loaded.composition[loaded.names.index("Half")]
    assert sorted(share[share > 0].tolist()) == pytest.approx([1 / 3, 2 / 3])


def test_a_file_with_two_structures_gives_two_rows(tmp_path: Path, small: JobOptions) -> None:
    folder = written(tmp_path / "cifs", {"both.cif": HALITE + b"\n" + SILICON.replace(b"data_x", b"data_y")})
    done = commands.build_library([str(folder)], str(tmp_path / "lib"), options=small)
    assert done.rows.ok == 2
    assert load_library(str(tmp_path / "lib")).names == ("Halite", "Silicon")


@pytest.mark.parametrize("unit_shards", [1, 3])
def test_bytes_do_not_depend_on_how_units_are_cut(
    cifs: Path, tmp_path: Path, small: JobOptions, digests: Callable[[Path], dict[str, str]], unit_shards: int
) -> None:
    commands.build_library([str(cifs)], str(tmp_path / "one"), options=small)
    engine = small.config.engine.model_copy(update={"unit_shards": unit_shards})
    other = replace(small, config=small.config.model_copy(update={"engine": engine}))
    commands.build_library([str(cifs)], str(tmp_path / "two"), options=other)
    one, two = (
        {
            key.split("/", 2)[-1]: value
            for key, value in digests(tmp_path / name).items()
            if not key.endswith("zarr.json")
        }
        for name in ("one", "two")
    )
    assert one
    assert one == two


def test_what_cannot_be_built_says_why(tmp_path: Path, small: JobOptions) -> None:
    with pytest.raises(InvalidInput, match="there is no CIF"):
        commands.build_library([str(written(tmp_path / "empty", {"a.txt": b"x"}))], str(tmp_path / "l"), options=small)
    with pytest.raises(UsageError):
        commands.build_library([], str(tmp_path / "l"), options=small)
    options = JobOptions(config=load(None, ["simulate.materials=1", "simulate.samples=1"]), workers=0)
    commands.simulate(str(tmp_path / "spectra"), form="archive", options=replace(options, modalities=("ir",)))
    with pytest.raises(InvalidInput, match="no structure library"):
        load_library(str(tmp_path / "spectra"))


@pytest.mark.ray
def test_ray_workers_write_the_same_bytes(
    cifs: Path, tmp_path: Path, small: JobOptions, digests: Callable[[Path], dict[str, str]]
) -> None:
    for name, workers in (("here", 0), ("ray", 2)):
        commands.build_library([str(cifs)], str(tmp_path / name), options=replace(small, workers=workers))
    assert digests(tmp_path / "here") == digests(tmp_path / "ray")


def _diamond() -> bytes:
    return cif("Diamond", cubic(3.567), "F d -3 m :1", [("C", 0, 0, 0)])


def test_a_library_that_was_compacted_is_the_same_library(cifs: Path, tmp_path: Path, small: JobOptions) -> None:
    lib = str(tmp_path / "lib")
    commands.build_library([str(cifs)], lib, options=small)
    written(cifs, {"halite.cif": HALITE.replace(b"5.6402", b"5.7000"), "diamond.cif": _diamond()})
    commands.build_library([str(cifs)], lib, options=small)
    before = load_library(lib)
    commands.compact(lib, options=small)
    assert len(Archive(lib).segments("xrd")) == 1
    after = load_library(lib)
    order, other = np.argsort(before.names), np.argsort(after.names)
    assert [before.names[i] for i in order] == [after.names[i] for i in other]
    assert np.array_equal(before.volume[order], after.volume[other])
    assert np.array_equal(before.traits[order], after.traits[other])
    for i, j in zip(order, other, strict=True):
        assert np.array_equal(before.reflections[i].strength, after.reflections[j].strength)


def test_a_run_that_was_cut_short_goes_on_where_it_was(
    cifs: Path,
    tmp_path: Path,
    small: JobOptions,
    digests: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = LibraryProcessor.process
    done = []

    def failing(self: LibraryProcessor, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        if done:
            raise KeyboardInterrupt
        done.append(unit)
        return whole(self, unit, writer, skip)

    lib = str(tmp_path / "lib")
    with monkeypatch.context() as patch:
        patch.setattr(LibraryProcessor, "process", failing)
        with pytest.raises(Interrupted):
            commands.build_library([str(cifs)], lib, options=small)
    assert not (tmp_path / "lib" / "versions").exists()
    resumed = commands.build_library([str(cifs)], lib, options=small)
    assert resumed.details["resumed_units"] == 1
    assert resumed.rows.total == 6
    commands.build_library([str(cifs)], str(tmp_path / "again"), options=small)
    assert digests(tmp_path / "lib") == digests(tmp_path / "again")
