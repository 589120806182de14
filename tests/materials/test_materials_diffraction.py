"""Computed powder patterns against what can be worked out by hand, and against diffractometers."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow.materials.cif import read_cif
from spectroflow.materials.crystal import DEFAULT_B
from spectroflow.materials.powder import (
    COPPER,
    Widths,
    powder_lines,
    powder_pattern,
    scattered,
    two_theta_of,
)
from spectroflow.materials.reflections import Reflections, reflections, scattering_factor
from tests.materials.cifs import CORUNDUM, HALITE, SILICON, cif, cubic

AXIS = np.arange(10.0, 90.0, 0.01)


def sums_of_squares(lines: Reflections, a: float) -> list[int]:
    squares = (a / lines.spacing) ** 2
    assert np.allclose(squares, np.rint(squares), atol=1e-6)
    return np.rint(squares).astype(int).tolist()


def test_rock_salt_reflects_where_indices_are_all_even_or_all_odd() -> None:
    lines = reflections(read_cif(HALITE)[0], 1.2)
    assert sums_of_squares(lines, 5.6402) == [3, 4, 8, 11, 12, 16, 19, 20]
    assert lines.multiplicity.tolist() == [8, 6, 12, 24, 8, 6, 24, 24]


def test_diamond_structure_forbids_200_and_222() -> None:
    lines = reflections(read_cif(SILICON)[0], 1.0)
    assert sums_of_squares(lines, 5.4309) == [3, 8, 11, 16, 19, 24, 27]


def test_structure_factors_of_rock_salt_are_sum_and_difference() -> None:
    lines = reflections(read_cif(HALITE)[0], 2.5)
    s = 1 / (2 * lines.spacing)
    sodium, chlorine = scattering_factor("Na", s), scattering_factor("Cl", s)
    damped = 4 * np.exp(-DEFAULT_B * s**2)
    wanted = (damped * [sodium[0] - chlorine[0], sodium[1] + chlorine[1]]) ** 2 * [8, 6]
    assert np.allclose(lines.strength, wanted, rtol=1e-9)


def test_half_an_atom_scatters_half() -> None:
    sites = [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)]
    lines = reflections(read_cif(cif("H", cubic(5.0), "P m -3 m", sites, occupancy=[0.5, 1]))[0], 4.0)
    s = 1 / (2 * lines.spacing)
    wanted = (0.5 * scattering_factor("Na", s) - scattering_factor("Cl", s)) * np.exp(-DEFAULT_B * s**2)
    assert lines.strength == pytest.approx(6 * wanted**2)


@pytest.mark.parametrize("symbol", ["H", "O", "Si", "Fe", "U"])
def test_an_atom_scatters_forward_as_many_electrons_as_it_has(symbol: str) -> None:
    from spectroflow.materials.composition import ATOMIC_NUMBER

    assert scattering_factor(symbol, np.zeros(1))[0] == pytest.approx(ATOMIC_NUMBER[symbol], rel=4e-3)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        # Relative intensities of the ICDD cards 27-1402 (silicon), 5-628 (halite) and 10-173 (corundum).
        (SILICON, {28.44: 100, 47.30: 55, 56.12: 30, 69.13: 6, 76.38: 11}),
        (HALITE, {27.33: 13, 31.69: 100, 45.45: 55, 53.85: 2, 56.45: 15}),
        (CORUNDUM, {25.58: 75, 35.14: 90, 37.78: 40, 43.34: 100, 52.55: 45, 57.50: 80, 66.52: 30, 68.20: 50}),
    ],
)
def test_intensities_are_those_of_reference_cards(data: bytes, wanted: dict[float, float]) -> None:
    angles, area = powder_lines(reflections(read_cif(data)[0], 1.1), COPPER[0])
    area = 100 * area / area.max()
    found = []
    for place in wanted:
        near = int(np.argmin(np.abs(angles - place)))
        assert angles[near] == pytest.approx(place, abs=0.04)
        found.append(area[near])
    # Cards were measured with slits, texture and other displacements: a fifth of the strongest line at most.
    assert np.abs(np.array(found) - list(wanted.values())).max() < 20
    assert np.corrcoef(found, list(wanted.values()))[0, 1] > 0.94


def test_the_same_structure_at_another_wavelength_follows_braggs_law() -> None:
    lines = reflections(read_cif(SILICON)[0], 0.7)
    molybdenum = (0.70930, 0.71359, 0.5)
    pattern = powder_pattern(lines, AXIS, wavelengths=molybdenum, widths=Widths.plain(0.05))
    assert AXIS[pattern.argmax()] == pytest.approx(2 * np.degrees(np.arcsin(0.70930 / 2 / 3.13553)), abs=0.01)
    assert np.isnan(two_theta_of(np.array([0.3]), 0.7093)).all()


def test_the_second_wavelength_has_half_the_area_where_bragg_says() -> None:
    line = Reflections(np.array([1.1]), np.array([1.0]), np.array([1]))
    both = scattered(line, AXIS, wavelengths=COPPER, widths=Widths.plain(0.04))
    alone = scattered(line, AXIS, wavelengths=(COPPER[0], COPPER[1], 0.0), widths=Widths.plain(0.04))
    second = both - alone
    assert second.sum() / alone.sum() == pytest.approx(0.5, rel=0.03)
    assert AXIS[second.argmax()] == pytest.approx(float(two_theta_of(np.array([1.1]), COPPER[1])[0]), abs=0.011)


@pytest.mark.parametrize("fwhm", [0.003, 0.05, 0.4])
def test_the_area_of_a_line_does_not_depend_on_its_width(fwhm: float) -> None:
    line = Reflections(np.array([2.0]), np.array([3.0]), np.array([2]))
    mono = (COPPER[0], COPPER[1], 0.0)
    drawn = scattered(line, AXIS, wavelengths=mono, widths=Widths(w=fwhm**2, x=0.0))
    _, area = powder_lines(line, COPPER[0])
    assert drawn.sum() * 0.01 == pytest.approx(area[0], rel=2e-3)


def test_the_width_drawn_is_the_width_asked_for_and_a_zero_shift_moves_it() -> None:
    line = Reflections(np.array([2.0]), np.array([1.0]), np.array([2]))
    widths = Widths(w=0.01, x=0.0)
    mono = (COPPER[0], COPPER[1], 0.0)
    still, moved = (powder_pattern(line, AXIS, wavelengths=mono, widths=widths, zero=z) for z in (0.0, 0.25))
    assert np.count_nonzero(still > 0.5) * 0.01 == pytest.approx(0.1, abs=0.015)
    assert AXIS[moved.argmax()] - AXIS[still.argmax()] == pytest.approx(0.25, abs=0.011)


def test_a_pattern_without_any_line_in_range_is_zero() -> None:
    line = Reflections(np.array([50.0]), np.array([1.0]), np.array([2]))
    assert not powder_pattern(line, AXIS, widths=Widths.plain(0.02)).any()
