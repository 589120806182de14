"""Mixtures: what they are made of is known, and their spectra are the sum of their phases."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow import simulate
from spectroflow.config import SimulateConfig
from spectroflow.errors import UsageError
from spectroflow.simulate.diffraction import powder_lines
from spectroflow.simulate.instrument import COPPER
from spectroflow.simulate.mixture import LEAST_SHARE, _blend

CONFIG = SimulateConfig(materials=20, seed=4, snr=1000)


def test_shares_add_up_and_phases_are_different_materials():
    found = [simulate.mixture(index, CONFIG) for index in range(200)]
    assert {len(one.phases) for one in found} == {2, 3}
    for one in found:
        assert sum(one.shares) == pytest.approx(1)
        assert min(one.shares) >= LEAST_SHARE
        assert list(one.shares) == sorted(one.shares, reverse=True)
        assert len(set(one.phases)) == len(one.phases)
        assert max(one.phases) < 20
    assert found[3] == simulate.mixture(3, CONFIG)


@pytest.mark.parametrize("modality", ["raman", "ir", "xrd"])
def test_lines_of_every_phase_are_there(modality):
    for index in range(6):
        one = simulate.mixture_spectrum(index, modality, CONFIG)
        made_of = simulate.mixture(index, CONFIG)
        names = [simulate.material(CONFIG.seed, phase).label for phase in made_of.phases]
        assert [one.metadata[f"phase_{n}"] for n in range(1, len(names) + 1)] == names
        for phase, share in zip(made_of.phases, made_of.shares, strict=True):
            if share < 0.2:
                continue
            own = simulate.material(CONFIG.seed, phase)
            if modality == "xrd":
                angles, strength = powder_lines(own.diffraction, COPPER[0], 1.0)
                strongest = angles[np.argmax(strength)]
            else:
                bands = own.raman if modality == "raman" else own.infrared
                inside = (bands.center > one.axis[0] + 5) & (bands.center < one.axis[-1] - 5)
                strongest = bands.center[inside][np.argmax((bands.strength / bands.lorentzian)[inside])]
            tolerance = 0.4 if modality == "xrd" else 6.0
            assert np.abs(one.lines_true[:, 0] - strongest).min() < tolerance


def test_a_mixture_of_one_material_with_itself_is_that_material():
    own = simulate.material(4, 3)
    twice = _blend([own, own], [0.3, 0.7])
    angles, strength = powder_lines(own.diffraction, COPPER[0], 1.0)
    both, summed = powder_lines(twice.diffraction, COPPER[0], 1.0)
    total = np.array([summed[np.abs(both - angle) < 1e-9].sum() for angle in angles])
    assert np.allclose(total / total.max(), strength / strength.max())
    assert twice.raman.strength.sum() == pytest.approx(own.raman.strength.sum())


def test_share_decides_strength():
    """A phase at half of the volume gives lines half as strong as alone, whatever cell it is described in."""
    one, two = simulate.material(4, 1), simulate.material(4, 2)
    blends = [_blend([one, two], shares).diffraction for shares in ([0.25, 0.75], [0.5, 0.5])]
    count = len(one.diffraction.strength)
    assert np.allclose(blends[1].strength[:count], 2 * blends[0].strength[:count])


def test_too_few_materials_are_refused():
    with pytest.raises(UsageError, match="too few"):
        simulate.mixture(0, SimulateConfig(materials=2))


def test_mixtures_are_the_last_rows_of_an_archive():
    config = SimulateConfig(materials=4, samples=2, mixtures=3, seed=4)
    table = simulate.rows(config, "xrd")
    assert len(table) == 4 * 2 + 3
    last = [simulate.row_spectrum(row, "xrd", config) for row in range(8, 11)]
    for index, one in enumerate(last):
        assert one.label == simulate.mixture_spectrum(index, "xrd", config).label
        shares = [value for key, value in one.metadata.items() if key.startswith("share_")]
        assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert simulate.row_spectrum(3, "xrd", config).label == simulate.material(4, 1).label
    assert [one.label for one in simulate.spectra(config, ("xrd",))][8:] == [one.label for one in last]


def test_the_structure_of_a_material_diffracts_as_the_material_does():
    from spectroflow.materials.powder import powder_lines as lines_of
    from spectroflow.materials.reflections import reflections

    for index in range(6):
        own = simulate.material(4, index)
        angles, strength = powder_lines(own.diffraction, COPPER[0], 1.0)
        crystal = simulate.structure(4, index)
        found, area = lines_of(reflections(crystal, 1.06), COPPER[0])
        area = area / area.max()
        strong = strength > 0.05
        nearest = np.abs(found[:, None] - angles[strong]).argmin(axis=0)
        assert np.abs(found[nearest] - angles[strong]).max() < 1e-3
        assert np.abs(area[nearest] - strength[strong]).max() < 0.03
