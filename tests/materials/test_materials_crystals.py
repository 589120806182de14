"""Structures from CIFs: atoms of the cell, occupancies, and files that hold no structure."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from spectroflow.errors import InvalidInput, RecordError
from spectroflow.materials.cif import count_structures, read_cif
from spectroflow.materials.crystal import DEFAULT_B, lattice_vectors
from tests.materials.cifs import CORUNDUM, HALITE, SILICON, cif, cubic


def test_every_atom_of_the_cell_is_there_once() -> None:
    halite, silicon, corundum = (read_cif(data)[0] for data in (HALITE, SILICON, CORUNDUM))
    assert halite.amounts == {"Na": 4.0, "Cl": 4.0}
    assert silicon.amounts == {"Si": 8.0}
    assert corundum.amounts == {"Al": 12.0, "O": 18.0}
    assert halite.volume == pytest.approx(5.6402**3)
    assert corundum.volume == pytest.approx(4.7589**2 * 12.991 * np.sin(np.pi / 3))
    assert corundum.name == "Corundum"
    assert corundum.number == 167


def test_lattice_vectors_have_the_lengths_and_angles_of_the_cell() -> None:
    cell = (5.5, 7.1, 7.9, 89.99, 101.1, 106.0)
    a, b, c = lattice_vectors(*cell)
    lengths = [np.linalg.norm(v) for v in (a, b, c)]
    cosines = [u @ v / np.linalg.norm(u) / np.linalg.norm(v) for u, v in ((b, c), (a, c), (a, b))]
    assert np.allclose(lengths, cell[:3])
    assert np.allclose(np.degrees(np.arccos(cosines)), cell[3:])


def test_a_partly_occupied_structure_is_kept_and_flagged() -> None:
    half = read_cif(cif("Half", cubic(5.0), "P m -3 m", [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)], occupancy=[0.5, 1]))[
        0
    ]
    assert half.amounts == {"Na": 0.5, "Cl": 1.0}
    assert "PARTIAL_OCCUPANCY" in half.flags
    assert "PARTIAL_OCCUPANCY" not in read_cif(HALITE)[0].flags


def test_an_occupancy_that_is_not_given_is_one_and_one_with_an_uncertainty_is_read() -> None:
    sites = [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)]
    found = read_cif(cif("Mixed", cubic(5.0), "P m -3 m", sites, occupancy=["?", "0.25(3)"]))[0]
    assert found.amounts == {"Na": 1.0, "Cl": 0.25}


def test_displacements_are_read_or_assumed_and_then_flagged() -> None:
    given = HALITE.replace(b"_atom_site_occupancy", b"_atom_site_U_iso_or_equiv").replace(b" 1\n", b" 0.02\n")
    assert read_cif(given)[0].displacement == pytest.approx(8 * np.pi**2 * 0.02)
    assert "DEFAULT_DISPLACEMENT" not in read_cif(given)[0].flags
    assumed = read_cif(HALITE)[0]
    assert assumed.displacement == pytest.approx(DEFAULT_B)
    assert "DEFAULT_DISPLACEMENT" in assumed.flags


def test_listed_operations_and_the_space_group_give_the_same_cell() -> None:
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x,-y,-z'\n"
    sites = [("Si", 0.1, 0.2, 0.3), ("O", 0.4, 0.1, 0.7)]
    by_group = read_cif(cif("A", (5, 6, 7, 80, 95, 100), "P -1", sites))[0]
    by_list = read_cif(cif("A", (5, 6, 7, 80, 95, 100), "P -1", sites, extra=listed))[0]
    assert by_group.symbols == by_list.symbols
    assert np.allclose(by_group.fractional, by_list.fractional)


def test_water_whose_hydrogens_were_not_found_is_oxygen_not_tungsten() -> None:
    text = HALITE.replace(b"Cl1 Cl", b"Wat1 Wat")
    assert read_cif(text)[0].amounts == {"Na": 4.0, "O": 4.0}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"this is no CIF at all\n", "READER_FAILED"),
        (b"\xff\xfe\x00\x01", "READER_FAILED"),
        (b"", "NO_DATA"),
        (b"data_x\n_cell_length_a 5\n", "NO_DATA"),
        (HALITE.replace(b"_cell_length_a 5.6402\n", b""), "NO_DATA"),
        (HALITE.replace(b"_cell_length_a 5.6402", b"_cell_length_a 0"), "BAD_NUMBER"),
        (HALITE.replace(b"_cell_angle_gamma 90.0", b"_cell_angle_gamma 200"), "BAD_NUMBER"),
        (HALITE.replace(b"Cl1 Cl", b"Qq1 Qq"), "BAD_NUMBER"),
        (HALITE.replace(b" 0 0 0 1", b" ? ? ? 1").replace(b" 0.5 0.5 0.5 1", b" ? ? ? 1"), "NO_DATA"),
        (HALITE.replace(b" 0 0 0 1", b" 0 0 0 0").replace(b" 0.5 0.5 0.5 1", b" 0.5 0.5 0.5 0"), "NO_DATA"),
    ],
)
def test_what_holds_no_structure_is_refused_with_a_remedy(data: bytes, code: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_cif(data, where="a.cif")
    assert caught.value.code == code
    assert caught.value.where.startswith("a.cif")
    assert caught.value.remedy


def test_every_block_with_atoms_is_a_structure() -> None:
    both = HALITE + b"\ndata_publication\n_journal_year 1999\n\n" + SILICON.replace(b"data_x", b"data_y")
    assert [crystal.name for crystal in read_cif(both)] == ["Halite", "Silicon"]
    assert count_structures(both) == 2
    assert count_structures(b"nothing") == 1


def test_without_gemmi_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gemmi", None)
    with pytest.raises(InvalidInput, match="pip install gemmi"):
        read_cif(HALITE)
