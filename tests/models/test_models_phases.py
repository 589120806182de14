"""Phases of mixtures: named with their shares, wherever zero shift and strain put their lines, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.materials.powder import Widths, scattered
from spectroflow.materials.reflections import Reflections
from spectroflow.models.library import PhaseFinder, Phases, StructureLibrary
from spectroflow.models.library.phase_fit import Drawer, Measured, Phase, Setting, Weighing
from spectroflow.models.preprocess import prepare
from tests.models.crystal_world import crystals, library, modalities

Double = npt.NDArray[np.float64]
XRD = modalities()["xrd"]
NAMES = list(crystals())
HALITE, SPHALERITE, CAESIUM = (NAMES.index(name) for name in ("NaCl-halite", "FeS-sphalerite", "SrSe-caesium"))
SHAPE = Widths(w=0.006, x=0.05, y=0.05)  # none of those that are tried


@cache
def structures() -> StructureLibrary:
    return library()


@cache
def finder() -> PhaseFinder:
    return PhaseFinder(structures(), XRD, widths=[Widths.plain(0.08), Widths.plain(0.14), Widths.plain(0.22)])


def mixed(
    members: Sequence[tuple[int, float]], zero: float = 0.0, strains: Sequence[float] = (), texture: float = 0.0
) -> Double:
    """Draw structures by volume share, the highest point 1; lines of a texture differ by factors of up to exp(2 t)."""
    assert XRD.wavelengths is not None
    rng = np.random.default_rng(5)
    total = np.zeros(XRD.grid.points)
    for place, (structure, share) in enumerate(members):
        lines = structures().reflections[structure]
        factors = np.exp(texture * np.clip(rng.standard_normal(len(lines)), -2, 2))
        strain = strains[place] if strains else 0.0
        moved = Reflections(lines.spacing * (1 + strain), lines.strength * factors, lines.multiplicity)
        drawn = scattered(moved, XRD.grid.axis(), wavelengths=XRD.wavelengths, widths=SHAPE, zero=zero)
        total += share * drawn / structures().volume[structure] ** 2
    return total / total.max()


def noisy(pattern: Double, level: float, seed: int = 0) -> Double:
    """Return a pattern as counted over a background."""
    rng = np.random.default_rng(seed)
    background = 1.0 + 0.5 * np.exp(-(((XRD.grid.axis() - 30.0) / 12.0) ** 2))
    return np.asarray(rng.poisson((pattern + level * background) / level**2) * level**2)


def like(structure: int) -> frozenset[str]:
    """Return the structures of the same type whose cells are as long to 0.5 %."""
    kind, volume = NAMES[structure].split("-")[1], structures().volume
    near = np.abs(np.log(volume / volume[structure])) < 0.02
    return frozenset(name for name, close in zip(NAMES, near, strict=True) if close and name.endswith(kind))


def named(pattern: Double) -> Phases:
    values = prepare(pattern[None], np.ones((1, len(pattern)), bool), XRD)
    return finder().find(values)[0]


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.5, 0.3, 0.2)])
def test_phases_of_a_mixture_are_found_with_their_volumes(shares: tuple[float, ...]) -> None:
    members = list(zip((HALITE, SPHALERITE, CAESIUM), shares, strict=False))
    found = finder().find(mixed(members, zero=0.05)[None].astype(np.float32))[0]
    told = dict(zip(found.structures, found.shares, strict=True))
    assert set(told) == {structure for structure, _ in members}
    assert [told[structure] for structure, _ in members] == pytest.approx(list(shares), abs=0.05)
    assert found.explained > 0.95
    assert found.zero == pytest.approx(0.05, abs=0.015)


@given(
    zero=st.floats(-0.1, 0.1),
    strains=st.tuples(st.floats(-0.0015, 0.0015), st.floats(-0.0015, 0.0015)),
    share=st.floats(0.25, 0.75),
)
def test_zero_shift_and_strain_hide_no_phase(zero: float, strains: tuple[float, float], share: float) -> None:
    """Every phase has a strain of its own: its cell is not that of the library, but may nearly be that of another."""
    pattern = mixed([(HALITE, share), (SPHALERITE, 1 - share)], zero, strains)
    found = named(noisy(pattern, 0.002)).structures
    assert len(found) == 2
    assert all(any(NAMES[one] in like(true) for one in found) for true in (HALITE, SPHALERITE))


@pytest.mark.parametrize("structure", range(0, len(NAMES), 3))
def test_a_pure_sample_with_texture_is_one_phase(structure: int) -> None:
    """Lines of other shape and strength than computed are no second phase."""
    found = named(noisy(mixed([(structure, 1.0)], zero=-0.03, texture=0.2), 0.002))
    assert found.structures == (structure,)


def test_a_trace_is_found_beside_a_textured_main_phase() -> None:
    members = [(HALITE, 0.95), (SPHALERITE, 0.05)]
    found = named(noisy(mixed(members, texture=0.2), 0.001))
    assert found.structures == (HALITE, SPHALERITE)
    assert found.shares[1] == pytest.approx(0.05, abs=0.03)


def test_noise_and_nothing_are_no_phase() -> None:
    rng = np.random.default_rng(3)
    noise = np.clip(rng.standard_normal((8, XRD.grid.points)), 0, None)
    values = np.vstack([noise / noise.max(axis=1, keepdims=True), np.zeros((1, XRD.grid.points))])
    assert finder().find(values.astype(np.float32)) == [Phases((), (), 0.0, 0.0)] * 9


def test_small_libraries_name_what_they_hold() -> None:
    pattern = mixed([(HALITE, 0.6), (CAESIUM, 0.4)])[None].astype(np.float32)
    for rows, named_rows in (([], ()), ([HALITE], (0,)), ([CAESIUM, HALITE], (1, 0))):
        few = PhaseFinder(structures().take(np.array(rows, np.int64)), XRD)
        assert few.find(pattern)[0].structures == named_rows


def test_what_was_not_measured_counts_neither_for_nor_against() -> None:
    pattern = noisy(mixed([(HALITE, 0.6), (CAESIUM, 0.4)]), 0.002)
    valid = XRD.grid.axis() < 0.6 * XRD.grid.stop
    values = prepare(pattern[None], valid[None], XRD)
    wild = values.copy()
    wild[:, ~valid] = np.random.default_rng(0).random(int((~valid).sum()))
    one, other = (finder().find(each, valid[None])[0] for each in (values, wild))
    assert one == other
    assert set(one.structures) == {HALITE, CAESIUM}


def test_a_pattern_is_judged_alone() -> None:
    rows = np.stack([mixed([(HALITE, 0.6), (CAESIUM, 0.4)]), mixed([(SPHALERITE, 1.0)])]).astype(np.float32)
    assert finder().find(rows) == [*finder().find(rows[:1]), *finder().find(rows[1:])]


def test_a_strained_cell_is_drawn_as_bragg_has_it() -> None:
    """The shift to first order, against lines that are computed anew."""
    assert XRD.wavelengths is not None
    drawer = Drawer(structures(), XRD, [SHAPE])
    drawn = drawer.draw(Phase(HALITE, 0.002), Setting(0.04, 0))
    lines = structures().reflections[HALITE]
    moved = replace(lines, spacing=lines.spacing * 1.002)
    exact = scattered(moved, XRD.grid.axis(), wavelengths=XRD.wavelengths, widths=SHAPE, zero=0.04)
    assert drawn / drawn.sum() == pytest.approx(exact / exact.sum(), abs=0.01 * (exact / exact.sum()).max())


def test_gains_are_what_fits_reach() -> None:
    """The closed form for one more phase, against fitting it."""
    drawer = Drawer(structures(), XRD, [SHAPE])
    drawn = np.stack([drawer.draw(Phase(i, 0.0), Setting(0.0, 0)) for i in (HALITE, SPHALERITE, CAESIUM)])
    values = noisy(mixed([(HALITE, 0.5), (SPHALERITE, 0.3), (CAESIUM, 0.2)]), 0.002)
    measured = Measured.of(values, np.ones(len(values), bool), XRD.grid.axis(), 1e-4)
    weighing = Weighing(measured, np.full(len(values), measured.noise**2))
    before = weighing.fit(drawn[:1])
    for row in (1, 2):
        after = weighing.fit(drawn[[0, row]])
        assert weighing.gains(drawn[:1], drawn[row : row + 1])[0] == pytest.approx(
            before.misfit - after.misfit, rel=1e-4
        )
        assert weighing.improvement(before, after).sum() == pytest.approx(before.misfit - after.misfit, rel=1e-4)
