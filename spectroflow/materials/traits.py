"""A structure in numbers that a spectrum may tell something about.

========  =================================================================================================
bonds     how many bonds of which length there are to oxygen, to heavier chalcogens, to halogens and to
          others: vibrations are those of bonds
order     crystal system, centre of symmetry, atoms in the cell and room for each: how many lines there can be
type      the powder pattern over ln(d / V^(1/3)), V the volume of an atom: the same for isotypic structures
          of any size
========  =================================================================================================
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import ATOMIC_NUMBER
from spectroflow.materials.crystal import Array, Crystal
from spectroflow.materials.reflections import Reflections

Float = npt.NDArray[np.float32]

BOND_LENGTHS = np.arange(0.9, 3.21, 0.1)  # angstrom
_BOND_WIDTH = 0.08  # angstrom, standard deviation
_ANIONS = ({"O"}, {"S", "Se", "Te"}, {"F", "Cl", "Br", "I"}, {"C", "N", "P", "As", "Sb", "Bi", "H"})
TYPE_AXIS = np.arange(-1.6, 0.9, 0.02)  # of ln(d / V^(1/3))
_TYPE_WIDTH = 0.02
_SYSTEMS = (2, 15, 74, 142, 167, 194, 230)  # last space group of each crystal system
ORDER = 12
BLOCKS = {"bonds": len(BOND_LENGTHS) * len(_ANIONS), "order": ORDER, "type": len(TYPE_AXIS)}
TRAITS = sum(BLOCKS.values())


def traits(crystal: Crystal, reflections: Reflections) -> Float:
    """Return all traits of a structure, block after block, ``(TRAITS,)``; every block but ``order`` has unit length."""
    parts = [_bonds(crystal), _order(crystal), _type(crystal, reflections)]
    return np.concatenate(parts).astype(np.float32)


def block(table: Float, name: str) -> Float:
    """Return one block of rows of traits."""
    start = 0
    for each, width in BLOCKS.items():
        if each == name:
            return table[..., start : start + width]
        start += width
    raise KeyError(name)


def _bonds(crystal: Crystal) -> Array:
    vectors = crystal.vectors
    reach = float(BOND_LENGTHS[-1]) + 0.2
    # A point is nearer than `reach` to a cell only if its image is within so many cells.
    spacing = 1 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    limits = np.ceil(reach / spacing).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-limit, limit + 1) for limit in limits), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    symbols = np.asarray(crystal.symbols)
    result = np.zeros((len(_ANIONS), len(BOND_LENGTHS)))
    for kind, anions in enumerate(_ANIONS):
        at = np.flatnonzero(np.isin(symbols, sorted(anions)))
        for i in at:
            apart = crystal.fractional - crystal.fractional[i]
            apart -= np.round(apart)
            distance = np.linalg.norm((apart[:, None] + shifts) @ vectors, axis=2)
            atom, image = np.nonzero((distance > 0.6) & (distance < reach))
            weight = crystal.occupancy[atom] * crystal.occupancy[i]
            # Contacts between equals are no bonds unless they are short, as in S2 or in diamond.
            like = np.isin(symbols[atom], sorted(anions))
            far = distance[atom, image]
            weight = np.where(like & (far > 2.4), 0.0, weight)
            smear = np.exp(-0.5 * ((BOND_LENGTHS - far[:, None]) / _BOND_WIDTH) ** 2)
            result[kind] += weight @ smear
    flat = np.sqrt(result.ravel())
    return np.asarray(flat / max(np.linalg.norm(flat), 1e-12))


def _order(crystal: Crystal) -> Array:
    result = np.zeros(ORDER)
    if crystal.number:
        result[int(np.searchsorted(_SYSTEMS, crystal.number))] = 1.0
    inverse = crystal.fractional[:, None] + crystal.fractional[None, :]
    result[7] = float(_centrosymmetric(crystal, inverse)) if len(crystal.symbols) <= 400 else 0.5
    atoms = float(crystal.occupancy.sum())
    result[8] = np.log(atoms) / 3
    result[9] = np.log(crystal.volume / atoms) - 2.5
    weights = np.array([ATOMIC_NUMBER[symbol] for symbol in crystal.symbols]) * crystal.occupancy
    result[10] = np.log(weights.sum() / crystal.volume) + 0.2
    result[11] = len(set(crystal.symbols)) / 5
    return result


def _centrosymmetric(crystal: Crystal, sums: Array) -> bool:
    """Say whether some inversion maps the atoms onto themselves; ``sums[i, j]`` is twice the centre between two."""
    symbols = np.asarray(crystal.symbols)
    rarest = min(set(crystal.symbols), key=lambda symbol: (int((symbols == symbol).sum()), symbol))
    own = np.flatnonzero(symbols == rarest)
    for j in own:
        image = (sums[own[0], j] - crystal.fractional) % 1.0
        apart = image[:, None] - crystal.fractional[None, :]
        apart -= np.round(apart)
        near = (np.abs(apart) < 0.01).all(axis=2) & (symbols[:, None] == symbols[None, :])
        if near.any(axis=1).all():
            return True
    return False


def _type(crystal: Crystal, reflections: Reflections) -> Array:
    size = (crystal.volume / max(float(crystal.occupancy.sum()), 1e-9)) ** (1 / 3)
    place = np.log(reflections.spacing / size)
    # As a powder pattern weighs it, but for one wavelength in units of the size: 1 / sin^2(theta) goes as d^2.
    strength = reflections.strength * reflections.spacing**2
    drawn = np.exp(-0.5 * ((TYPE_AXIS - place[:, None]) / _TYPE_WIDTH) ** 2)
    flat = np.sqrt(strength @ drawn)
    return np.asarray(flat / max(np.linalg.norm(flat), 1e-12))
