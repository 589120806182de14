"""Structures, vibrations and patterns against group theory, published values and gemmi."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from spectroflow.materials.crystal import lattice_vectors
from spectroflow.simulate import chemistry, lattice
from spectroflow.simulate.chemistry import Occupant
from spectroflow.simulate.diffraction import powder_lines, reflections
from spectroflow.simulate.instrument import COPPER, _oriented
from spectroflow.simulate.material import material
from spectroflow.simulate.prototypes import cell_parameters, names, prototype
from spectroflow.simulate.vibrations import infrared_bands, raman_bands


def reference(name):
    """The reference compound of a prototype: relaxed, with its vibrations."""
    structure = prototype(name)
    occupants = {role.name: Occupant(role, ((role.ions[0], 1.0),)) for role in structure.roles.values()}
    model = lattice.springs(structure, occupants, dict.fromkeys(structure.roles, 1.0))
    positions, deformation = lattice.relax(structure, model)
    vectors = structure.primitive @ deformation
    mass = np.array([occupants[role].mass for role in structure.site_role])
    constants = lattice.force_constants(positions, vectors, model)
    return structure, occupants, model, positions, vectors, mass, constants


# Factor-group analysis of the published structures: modes that Raman may show, and polar optical modes.
ACTIVE = {
    "rutile": (4, 4),
    "corundum": (7, 6),
    "spinel": (5, 4),
    "calcite": (5, 8),
    "zircon": (12, 7),
    "xenotime": (12, 7),
    "scheelite": (13, 8),
    "wolframite": (18, 15),
    "wurtzite": (4, 2),
    "quartz": (12, 12),
    "dolomite": (8, 10),
    "olivine": (36, 35),
    "aragonite": (30, 21),
    "perovskite": (24, 25),
}


@pytest.mark.parametrize("name", sorted(ACTIVE))
def test_no_more_bands_than_the_factor_group_allows(name):
    structure, _, model, positions, vectors, mass, constants = reference(name)
    rng = np.random.default_rng(0)
    modes = lattice.modes(constants, mass)
    raman = raman_bands(modes, mass, positions, vectors, model, 0.0, rng)
    infrared = infrared_bands(modes, mass, lattice.charges(structure), 0.0, rng)
    assert 1 <= len(raman.center) <= ACTIVE[name][0]
    assert 1 <= len(infrared.center) <= ACTIVE[name][1]
    assert len(raman.center) >= ACTIVE[name][0] // 2


@pytest.mark.parametrize("name", [n for n in names() if n not in {"quartz", "wurtzite"}])
def test_mutual_exclusion_where_there_is_a_centre_of_symmetry(name):
    structure, _, model, positions, vectors, mass, constants = reference(name)
    modes = lattice.modes(constants, mass)
    rng = np.random.default_rng(0)
    raman = raman_bands(modes, mass, positions, vectors, model, 0.0, rng)
    infrared = infrared_bands(modes, mass, lattice.charges(structure), 0.0, rng)
    distance = np.abs(raman.center[:, None] - infrared.center[None, :]).min(axis=0)
    # Equal wavenumbers would need an accidental degeneracy; nearly every band must stand alone.
    assert (distance > 1e-6).all()


@pytest.mark.parametrize("name", names())
def test_springs_hold_the_crystal_and_let_it_move_as_a_whole(name):
    *_, mass, constants = reference(name)
    values = np.linalg.eigvalsh(constants)
    assert values[0] > -1e-6 * values[-1]
    assert np.allclose(constants @ np.tile(np.eye(3), (len(mass), 1)), 0.0, atol=1e-8 * values[-1])
    assert values[3] > 1e-6 * values[-1], "a fourth motion costs nothing"


@pytest.mark.parametrize("name", names())
def test_the_reference_compound_is_already_relaxed(name):
    structure, _, _, positions, vectors, *_ = reference(name)
    assert np.allclose(vectors, structure.primitive, atol=1e-6)
    assert np.allclose(positions, structure.fractional @ structure.primitive, atol=1e-6)


@pytest.mark.parametrize("name", names())
def test_every_substitution_keeps_sensible_bonds_and_the_crystal_system(name):
    structure = prototype(name)
    for index, role in enumerate(structure.roles.values()):
        for ion in role.ions:
            occupants = {r.name: Occupant(r, ((r.ions[0], 1.0),)) for r in structure.roles.values()}
            occupants[role.name] = Occupant(role, ((ion, 1.0),))
            model = lattice.springs(structure, occupants, dict.fromkeys(structure.roles, 1.0))
            positions, deformation = lattice.relax(structure, model)
            bonds = structure.bonds
            shift = bonds.shift @ structure.primitive @ deformation
            length = np.linalg.norm(positions[bonds.second] + shift - positions[bonds.first], axis=1)
            natural = model.pairs.length[: len(length)]
            assert np.abs(length / natural - 1).max() < 0.13, (ion, index)
            a, b, c, alpha, beta, gamma = cell_parameters(structure.conventional @ deformation)
            if structure.system == "cubic":
                assert np.allclose([a, b], c, rtol=1e-6)
            if structure.system in {"tetragonal", "trigonal", "hexagonal"}:
                assert np.isclose(a, b, rtol=1e-6)
                assert np.isclose(gamma, 90 if structure.system == "tetragonal" else 120, atol=1e-4)
            if structure.system in {"orthorhombic", "tetragonal", "cubic"}:
                assert np.allclose([alpha, beta, gamma], 90, atol=1e-4)


def test_masses_and_field_act_on_wavenumbers_as_theory_says():
    structure, _, _, _, vectors, mass, constants = reference("calcite")
    assert np.allclose(lattice.modes(constants, 4 * mass).wavenumber, lattice.modes(constants, mass).wavenumber / 2)
    charge, volume = lattice.charges(structure), abs(np.linalg.det(vectors))
    assert np.isclose(charge.sum(), 0)
    ladder = [
        lattice.modes(constants + lattice.depolarisation(charge, volume, 2.5, factor), mass).wavenumber
        for factor in (0.0, 1 / 3, 1.0)
    ]
    assert (ladder[1] >= ladder[0] - 1e-6).all()
    assert (ladder[2] >= ladder[1] - 1e-6).all()
    assert ladder[2].max() > ladder[0].max() + 20, "the carbonate stretch must split into LO and TO"


def test_diatomic_chain_has_the_textbook_frequency():
    """Two atoms joined by one spring along x in each direction of a cubic cell: omega^2 = 2 k / mu."""
    from spectroflow.simulate.prototypes import Pairs

    first, second = np.zeros(2, dtype=np.int64), np.ones(2, dtype=np.int64)
    shift = np.array([[0, 0, 0], [-1, 0, 0]])
    model = lattice.Springs(Pairs(first, second, shift, np.full(2, 2.0)), np.full(2, 100.0), np.zeros(2), np.ones(2))
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    constants = lattice.force_constants(positions, 4 * np.eye(3), model)
    top = lattice.modes(constants, np.array([24.0, 16.0])).wavenumber[-1]
    reduced = 24.0 * 16.0 / 40.0 * 1.66053907e-27
    assert np.isclose(top, np.sqrt(2 * 100.0 / reduced) / (2 * np.pi * 2.99792458e10), rtol=1e-4)


# Strongest powder lines in copper K-alpha-1, degrees 2-theta, from the measured cards of the minerals.
STRONGEST = {
    "calcite": [29.41],
    "quartz": [26.64, 20.86],
    "rutile": [27.45, 54.32],
    "wurtzite": [31.77, 34.42, 36.25],
    "corundum": [35.15, 43.35, 57.50],
    "spinel": [36.85],
    "barite": [25.86, 28.76],
    "zircon": [26.98],
    "scheelite": [28.72],
    "olivine": [36.52, 35.69],
}


@pytest.mark.parametrize("name", sorted(STRONGEST))
def test_known_minerals_have_their_known_lines(name):
    structure, occupants, _, positions, vectors, *_ = reference(name)
    angle, strength = powder_lines(reflections(structure, occupants, positions, vectors), COPPER[0], 1.0)
    strong = angle[strength > 0.15]
    for line in STRONGEST[name]:
        assert np.abs(strong - line).min() < 0.08


@pytest.mark.parametrize("name", ["calcite", "diopside", "spinel", "cuprotungstate"])
def test_structure_factors_agree_with_gemmi(name):
    gemmi = pytest.importorskip("gemmi")
    structure, occupants, _, positions, vectors, *_ = reference(name)
    ours = reflections(structure, occupants, positions, vectors)
    small = gemmi.SmallStructure()
    small.cell = gemmi.UnitCell(*cell_parameters(vectors))
    small.spacegroup_hm = "P 1"
    for role, place in zip(structure.site_role, positions @ np.linalg.inv(vectors), strict=True):
        site = gemmi.SmallStructure.Site()
        site.element = gemmi.Element(structure.roles[role].ions[0])
        site.type_symbol = site.element.name
        site.fract = gemmi.Fractional(*place)
        site.occ, site.u_iso = 1.0, 0.6 / (8 * np.pi**2)
        small.add_site(site)
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    limits = [int(np.ceil(length / 1.3)) for length in cell_parameters(vectors)[:3]]
    spacings, squares = [], []
    for index in product(*(range(-limit, limit + 1) for limit in limits)):
        if any(index) and small.cell.calculate_d(list(index)) > 1.3:
            spacings.append(small.cell.calculate_d(list(index)))
            squares.append(abs(calculator.calculate_sf_from_small_structure(small, list(index))) ** 2)
    spacings, squares = np.array(spacings), np.array(squares)
    seen = ours.spacing > 1.301
    for spacing in ours.spacing[seen]:
        mine = ours.strength[np.abs(ours.spacing - spacing) < 1e-4].sum()
        theirs = squares[np.abs(spacings - spacing) < 1e-4].sum()
        assert mine == pytest.approx(theirs, rel=3e-3, abs=4e-3 * squares.max())
    assert seen.sum() > 20


def test_many_grains_look_like_a_powder():
    own = next(m for m in (material(3, i) for i in range(20)) if len(m.raman.center) > 8)
    seen = _oriented(own.raman.tensors, own.raman.strength, 6000, np.random.default_rng(1))
    assert np.allclose(seen, own.raman.strength, rtol=0.15, atol=0.01)


def test_composition_moves_both_lattice_and_vibrations():
    """Calcite with cadmium for magnesium: a larger cell and softer lattice vibrations, from one model."""
    structure = prototype("calcite")
    found = {}
    for ion in ("Mg", "Cd"):
        occupants = {r.name: Occupant(r, ((r.ions[0], 1.0),)) for r in structure.roles.values()}
        occupants["A"] = Occupant(structure.roles["A"], ((ion, 1.0),))
        model = lattice.springs(structure, occupants, dict.fromkeys(structure.roles, 1.0))
        positions, deformation = lattice.relax(structure, model)
        mass = np.array([occupants[role].mass for role in structure.site_role])
        constants = lattice.force_constants(positions, structure.primitive @ deformation, model)
        found[ion] = (np.linalg.det(deformation), lattice.modes(constants, mass).wavenumber[:4].mean())
    assert found["Cd"][0] > 1.1 * found["Mg"][0]
    assert found["Cd"][1] < 0.8 * found["Mg"][1]


def test_formulas():
    structure = prototype("olivine")
    roles = structure.roles
    occupants = {
        "A": Occupant(roles["A"], (("Mg", 0.63), ("Fe", 0.37))),
        "T": Occupant(roles["T"], (("Si", 1.0),)),
        "O": Occupant(roles["O"], (("O", 1.0),)),
    }
    assert chemistry.formula(structure, occupants) == "(Mg0.63Fe0.37)2SiO4"
    assert chemistry.formula(structure, occupants, rruff=True) == "(Mg_0.63_Fe_0.37_)_2_SiO_4_"
    assert occupants["A"].mass == pytest.approx(0.63 * 24.305 + 0.37 * 55.845, rel=1e-4)


def test_lattice_vectors_and_parameters_are_inverse():
    cell = (4.7, 5.84, 4.88, 91.7, 92.5, 82.8)
    assert cell_parameters(lattice_vectors(*cell)) == pytest.approx(cell)
