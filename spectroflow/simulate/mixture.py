"""Mixtures of synthetic materials, with the share of each phase known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spectroflow.config import SimulateConfig
from spectroflow.errors import UsageError
from spectroflow.materials.crystal import lattice_vectors
from spectroflow.simulate.diffraction import Reflections
from spectroflow.simulate.instrument import Sample
from spectroflow.simulate.instrument import sample as sample_of
from spectroflow.simulate.material import Material, material, rng_for
from spectroflow.simulate.spectrum import MIXTURE, SimulatedSpectrum, measure, modalities_of, rows, spectrum
from spectroflow.simulate.vibrations import Bands

LEAST_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a mixed sample is made of.

    Attributes
    ----------
    index
        Its number.
    phases
        Indices of its materials, the largest share first.
    shares
        Volume shares, each at least :data:`LEAST_SHARE`; they add up to 1.
    """

    index: int
    phases: tuple[int, ...]
    shares: tuple[float, ...]


def mixture(index: int, config: SimulateConfig, *, phases: Sequence[int] = (2, 3)) -> Mixture:
    """Return what mixture ``index`` is made of; seed, ``materials``, index and ``phases`` alone decide.

    Parameters
    ----------
    phases
        Numbers of phases to choose among.

    Raises
    ------
    UsageError
        There are fewer materials than phases.
    """
    if config.materials < max(phases):
        raise UsageError(
            f"{config.materials} materials are too few for mixtures of {max(phases)}",
            remedy="Raise simulate.materials.",
        )
    rng = rng_for(config.seed, "mixture", index, config.materials, *phases)
    count = int(rng.choice(np.asarray(phases)))
    members = rng.choice(config.materials, size=count, replace=False)
    shares = LEAST_SHARE + (1 - count * LEAST_SHARE) * rng.dirichlet(np.ones(count))
    order = np.argsort(-shares, kind="stable")
    return Mixture(index, tuple(int(m) for m in members[order]), tuple(float(s) for s in shares[order]))


def mixture_spectrum(
    index: int, modality: str, config: SimulateConfig, *, phases: Sequence[int] = (2, 3)
) -> SimulatedSpectrum:
    """Return the spectrum of a mixture in one modality.

    Vibrational bands add up by volume share, every material taken as equally strong a scatterer and
    absorber at its strongest band; Bragg lines add up by volume share over the squared cell volume, as in
    quantitative phase analysis (Hill and Howard, J. Appl. Cryst. 20, 1987, 467). The label joins the names of
    the phases; ``metadata`` holds ``phase_1``, ``share_1`` and so on.
    """
    modalities_of(config, (modality,))
    made_of = mixture(index, config, phases=phases)
    members = [material(config.seed, phase) for phase in made_of.phases]
    blend = _blend(members, made_of.shares)
    physical = sample_of(config.seed, made_of.phases[0], 1_000_000 + index)
    one = measure(blend, _powder(physical), f"M{index:07d}", modality, config, ("mixture", index))
    facts: dict[str, str | float | int] = {}
    for place, (member, share) in enumerate(zip(members, made_of.shares, strict=True), 1):
        facts |= {f"phase_{place}": member.label, f"share_{place}": round(share, 5)}
    return replace(one, metadata={**one.metadata, **facts})


def row_spectrum(row: int, modality: str, config: SimulateConfig) -> SimulatedSpectrum:
    """Return the spectrum in a row of a synthetic archive, of one material or of a mixture."""
    material_index, sample_index = (int(index) for index in rows(config, modality)[row])
    if material_index == MIXTURE:
        return mixture_spectrum(sample_index, modality, config)
    return spectrum(material_index, sample_index, modality, config)


def spectra(config: SimulateConfig, modalities: Sequence[str] | None = None) -> Iterator[SimulatedSpectrum]:
    """Yield every spectrum of a synthetic archive, modality by modality, material by material, mixtures last."""
    for modality in modalities_of(config, modalities):
        for row in range(len(rows(config, modality))):
            yield row_spectrum(row, modality, config)


def _powder(sample: Sample) -> Sample:
    """Return the sample ground: bands of one phase must not depend on the orientation of another's grains."""
    return replace(sample, grains=0)


def _blend(members: Sequence[Material], shares: Sequence[float]) -> Material:
    return replace(
        members[0],
        label="+".join(member.label for member in members),
        formula=" + ".join(member.formula for member in members),
        formula_rruff=" + ".join(member.formula_rruff for member in members),
        prototype="mixture",
        crystal_system="mixture",
        disorder=max(member.disorder for member in members),
        raman=_bands([member.raman for member in members], shares),
        infrared=_bands([member.infrared for member in members], shares),
        diffraction=_reflections(members, shares),
    )


def _bands(parts: Sequence[Bands], shares: Sequence[float]) -> Bands:
    strength = [part.strength * share for part, share in zip(parts, shares, strict=True)]
    return Bands(
        np.concatenate([part.center for part in parts]),
        np.concatenate(strength),
        np.concatenate([part.lorentzian for part in parts]),
        np.concatenate([part.tensors * np.sqrt(share) for part, share in zip(parts, shares, strict=True)]),
    )


def _reflections(members: Sequence[Material], shares: Sequence[float]) -> Reflections:
    strength, line, first = [], [], 0
    for member, share in zip(members, shares, strict=True):
        part = member.diffraction
        # Structure factors are those of the primitive cell, whose volume divides the conventional one.
        volume = abs(float(np.linalg.det(lattice_vectors(*member.cell)))) / member.primitive_cells
        strength.append(part.strength * share / volume**2)
        line.append(part.line + first)
        first += int(part.line.max(initial=-1)) + 1
    parts = [member.diffraction for member in members]
    return Reflections(
        np.concatenate([part.spacing for part in parts]),
        np.concatenate(strength),
        np.concatenate([part.tilt for part in parts]),
        np.concatenate(line),
    )
