"""Synthetic materials: one crystal and one spring model, from which every modality follows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spectroflow.materials.crystal import Crystal
from spectroflow.simulate import chemistry, lattice
from spectroflow.simulate.chemistry import Occupant
from spectroflow.simulate.diffraction import DISPLACEMENT_B, Reflections, reflections
from spectroflow.simulate.prototypes import ANIONS, Array, Prototype, cell_parameters, names, prototype
from spectroflow.simulate.vibrations import Bands, infrared_bands, raman_bands

_ONSETS = ("b", "br", "d", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v")
_NUCLEI = ("a", "e", "i", "o", "u", "ar", "el", "on")
_BASE = len(_ONSETS) * len(_NUCLEI)


@dataclass(frozen=True, slots=True)
class Material:
    """A synthetic material.

    Attributes
    ----------
    index
        Its number in the archive.
    label
        An invented name that no mineral bears, unique for each index.
    formula, formula_rruff
        Chemical formula, plain and in the notation of RRUFF's headers.
    prototype, crystal_system
        The structure it is built on and its crystal system.
    occupants
        What takes each kind of place.
    cell
        a, b, c in angstrom and alpha, beta, gamma in degrees.
    primitive_cells
        Primitive cells in the conventional one.
    disorder
        0 for pure compounds, up to 1 for places shared evenly; it broadens lines.
    raman, infrared
        Bands of the vibrations at the zone centre.
    diffraction
        Bragg reflections.
    """

    index: int
    label: str
    formula: str
    formula_rruff: str
    prototype: str
    crystal_system: str
    occupants: dict[str, Occupant]
    cell: tuple[float, float, float, float, float, float]
    primitive_cells: int
    disorder: float
    raman: Bands
    infrared: Bands
    diffraction: Reflections


def rng_for(*parts: int | str) -> np.random.Generator:
    """Return a generator that depends on ``parts`` alone, on every machine and in every process."""
    text = "\x1f".join(str(part) for part in ("spectroflow.simulate", *parts))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little"))


def label_for(index: int) -> str:
    """Return the invented name of a material, one for each index: ``Syn``, syllables, ``ite``."""
    block = _BASE**2
    high, low = divmod(index, block)
    # An odd multiplier scatters neighbouring indices over the syllables; it is a bijection modulo 2^14.
    scattered = (low * 7919 + 4273) % block
    digits = [scattered % _BASE, scattered // _BASE]
    while high:
        high, digit = divmod(high, _BASE)
        digits.append(digit)
    syllables = [_ONSETS[digit % len(_ONSETS)] + _NUCLEI[digit // len(_ONSETS)] for digit in digits]
    return "Syn" + "".join(reversed(syllables)) + "ite"


@dataclass(frozen=True, slots=True)
class _Relaxed:
    """The crystal of a material: what it is built on, its springs, and where they leave its atoms."""

    prototype: Prototype
    occupants: dict[str, Occupant]
    springs: lattice.Springs
    positions: Array
    deformation: Array
    rng: np.random.Generator


def _relaxed(seed: int, index: int) -> _Relaxed:
    rng = rng_for(seed, "material", index)
    structure = prototype(names()[int(rng.integers(len(names())))])
    occupants = chemistry.draw_occupants(structure, rng)
    # What composition leaves open (order, pressure, minor elements): half a per cent on bond lengths.
    length_factor = {
        name: float(np.exp(0.005 * rng.standard_normal())) for name in structure.roles if name not in ANIONS
    }
    model = lattice.springs(structure, occupants, length_factor)
    positions, deformation = lattice.relax(structure, model)
    return _Relaxed(structure, occupants, model, positions, deformation, rng)


def structure(seed: int, index: int) -> Crystal:
    """Return the crystal structure of a material: its primitive cell, places shared by two ions as such."""
    own = _relaxed(seed, index)
    vectors = own.prototype.primitive @ own.deformation
    places = (own.positions @ np.linalg.inv(vectors)) % 1.0
    atoms = [
        (symbol, place, share)
        for role, place in zip(own.prototype.site_role, places, strict=True)
        for symbol, share in own.occupants[role].ions
    ]
    label = label_for(index)
    return Crystal(
        name=label,
        formula=chemistry.formula(own.prototype, own.occupants),
        space_group="P 1",
        number=1,
        cell=cell_parameters(vectors),
        symbols=tuple(symbol for symbol, _, _ in atoms),
        fractional=np.array([place for _, place, _ in atoms]),
        occupancy=np.array([share for _, _, share in atoms]),
        displacement=np.full(len(atoms), DISPLACEMENT_B),
        flags=("PARTIAL_OCCUPANCY",) if any(share < 1 for _, _, share in atoms) else (),
    )


@lru_cache(maxsize=512)
def material(seed: int, index: int) -> Material:
    """Return material ``index`` of the archive with ``seed``; nothing else decides what it is."""
    own = _relaxed(seed, index)
    structure, occupants, model, rng = own.prototype, own.occupants, own.springs, own.rng
    positions, deformation = own.positions, own.deformation
    vectors = structure.primitive @ deformation
    volume = abs(float(np.linalg.det(vectors)))
    mass = np.array([occupants[role].mass for role in structure.site_role])
    charge = lattice.charges(structure)
    constants = lattice.force_constants(positions, vectors, model)
    permittivity = lattice.electronic_permittivity(structure, mass, volume)
    field = lattice.depolarisation(charge, volume, permittivity, 1 / 3)
    disorder = max((occupant.disorder for occupant in occupants.values()), default=0.0)
    return Material(
        index=index,
        label=label_for(index),
        formula=chemistry.formula(structure, occupants),
        formula_rruff=chemistry.formula(structure, occupants, rruff=True),
        prototype=structure.name,
        crystal_system=structure.system,
        occupants=occupants,
        cell=cell_parameters(structure.conventional @ deformation),
        primitive_cells=round(abs(np.linalg.det(structure.conventional) / np.linalg.det(structure.primitive))),
        disorder=disorder,
        raman=raman_bands(lattice.modes(constants, mass), mass, positions, vectors, model, disorder, rng),
        infrared=infrared_bands(lattice.modes(constants + field, mass), mass, charge, disorder, rng),
        diffraction=reflections(structure, occupants, positions, vectors),
    )
