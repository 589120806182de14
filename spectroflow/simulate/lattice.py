"""One spring model per material: its relaxed structure and its vibrations at the zone centre.

Bonds and the edges of coordination polyhedra are harmonic springs. Their natural lengths and
stiffnesses follow from bond valences, so composition decides the lattice and the vibrations alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spectroflow.simulate.chemistry import Occupant
from spectroflow.simulate.prototypes import ANIONS, Array, Pairs, Prototype

SOFTNESS = 0.37  # angstrom, of the bond-valence relation
STIFFNESS = 420.0  # N/m of a bond of valence 1 and length 1.62 angstrom, such as Si-O
STIFFNESS_POWER = 1.3  # of the bond valence; long bonds are softer besides, inversely to their length
TRANSVERSE = 0.07  # sideways stiffness of a bond, as a share of its stiffness
EDGE = 0.09  # stiffness of a polyhedron edge, as a share of the mean of its two bonds
CHARGE_SHARE = 0.62  # effective charge as a share of the formal one

# sqrt(N/m / u) as a wavenumber in cm-1, and e^2 / epsilon_0 in N/m angstrom^3 (CODATA 2018)
WAVENUMBER = 130.2792
COULOMB = 2898.95
_POLARIZABILITY = {"O": 1.45, "F": 0.75}  # angstrom^3; oxides and fluorides, after Shannon (1993)
_CATION_POLARIZABILITY = 0.012  # angstrom^3 per unit of mass: heavy ions are softer


@dataclass(frozen=True, slots=True)
class Springs:
    """Springs between atoms: bonds first, then polyhedron edges.

    Attributes
    ----------
    pairs
        Which atoms; ``length`` is the natural length in angstrom.
    stiffness
        Along the spring, N/m, shape ``(n,)``.
    transverse
        Across it, N/m, shape ``(n,)``; zero for edges.
    valence
        Bond valence of the bonds, shape ``(bonds,)``.
    """

    pairs: Pairs
    stiffness: Array
    transverse: Array
    valence: Array


@dataclass(frozen=True, slots=True)
class Modes:
    """Vibrations at the zone centre, the three translations left out, ascending.

    Attributes
    ----------
    wavenumber
        cm-1, shape ``(modes,)``.
    vectors
        Mass-weighted unit displacements, shape ``(modes, atoms, 3)``.
    """

    wavenumber: Array
    vectors: Array


def springs(prototype: Prototype, occupants: Mapping[str, Occupant], length_factor: Mapping[str, float]) -> Springs:
    """Return the springs of a composition.

    Parameters
    ----------
    length_factor
        For each cation role a factor on its bond lengths (1 for what bond valences say).
    """
    bonds, edges = prototype.bonds, prototype.edges
    coordination = prototype.coordination
    ratio, r0 = np.empty(len(bonds.first)), np.empty(len(bonds.first))
    for n, (cation, anion) in enumerate(zip(bonds.first, bonds.second, strict=True)):
        role = prototype.roles[prototype.site_role[cation]]
        reference = Occupant(role, ((role.ions[0], 1.0),))
        mean_valence = role.valence / coordination[cation]
        lengths = [
            who.bond_valence_r0(prototype.site_role[anion]) - SOFTNESS * np.log(mean_valence)
            for who in (occupants[role.name], reference)
        ]
        ratio[n] = lengths[0] / lengths[1] * length_factor[role.name]
        r0[n] = occupants[role.name].bond_valence_r0(prototype.site_role[anion])
    natural = bonds.length * ratio
    valence = np.exp((r0 - natural) / SOFTNESS)
    stiffness = STIFFNESS * valence**STIFFNESS_POWER * 1.62 / natural
    one, two = prototype.edge_bonds.T
    return Springs(
        Pairs(
            np.concatenate([bonds.first, edges.first]),
            np.concatenate([bonds.second, edges.second]),
            np.concatenate([bonds.shift, edges.shift]),
            np.concatenate([natural, edges.length * (ratio[one] + ratio[two]) / 2]),
        ),
        np.concatenate([stiffness, EDGE * (stiffness[one] + stiffness[two]) / 2]),
        np.concatenate([TRANSVERSE * stiffness, np.zeros(len(one))]),
        valence,
    )


def relax(prototype: Prototype, model: Springs, rounds: int = 6) -> tuple[Array, Array]:
    """Minimise the springs' energy over atoms and cell by Gauss-Newton steps.

    This is distance least squares (Meier and Villiger, Z. Kristallogr. 129, 1969, 411); being a
    function of distances alone, it keeps the symmetry of the start.

    Returns
    -------
    positions
        Cartesian, angstrom, shape ``(atoms, 3)``.
    deformation
        Symmetric matrix by which lattice vectors (rows) are multiplied from the right.
    """
    pairs, atoms = model.pairs, len(prototype.site_role)
    start = prototype.fractional @ prototype.primitive
    translation = pairs.shift @ prototype.primitive
    springs_count = len(pairs.first)
    rows = np.arange(springs_count)
    weight = np.sqrt(model.stiffness)
    displacement, strain = np.zeros((atoms, 3)), np.zeros((3, 3))
    tether = 1e-3 * float(np.mean(model.stiffness))
    for _ in range(rounds):
        still = start[pairs.second] + translation - start[pairs.first]
        vector = still @ (np.eye(3) + strain) + displacement[pairs.second] - displacement[pairs.first]
        length = np.linalg.norm(vector, axis=1)
        unit = vector / length[:, None]
        jacobian = np.zeros((springs_count, atoms, 3))
        np.add.at(jacobian, (rows, pairs.second), unit)
        np.add.at(jacobian, (rows, pairs.first), -unit)
        outer = still[:, :, None] * unit[:, None, :]
        strain_part = outer + outer.transpose(0, 2, 1)
        upper = np.triu_indices(3)
        strain_columns = strain_part[:, *upper] * np.where(upper[0] == upper[1], 0.5, 1.0)
        full = np.concatenate([jacobian.reshape(springs_count, -1), strain_columns], axis=1) * weight[:, None]
        target = weight * (pairs.length - length)
        normal = full.T @ full + np.diag(np.r_[np.full(3 * atoms, tether), np.full(6, 1e-6)])
        pull = full.T @ target - np.r_[tether * displacement.ravel(), np.zeros(6)]
        step = np.linalg.solve(normal, pull)
        displacement += step[:-6].reshape(atoms, 3)
        change = np.zeros((3, 3))
        change[upper] = step[-6:]
        strain += change + np.triu(change, 1).T
    return start @ (np.eye(3) + strain) + displacement, np.eye(3) + strain


def force_constants(positions: Array, lattice: Array, model: Springs) -> Array:
    """Return the zone-centre force constants in N/m, shape ``(3 atoms, 3 atoms)``; positive semidefinite."""
    pairs, atoms = model.pairs, len(positions)
    vector = positions[pairs.second] + pairs.shift @ lattice - positions[pairs.first]
    unit = vector / np.linalg.norm(vector, axis=1)[:, None]
    along = unit[:, :, None] * unit[:, None, :]
    block = model.stiffness[:, None, None] * along + model.transverse[:, None, None] * (np.eye(3) - along)
    result = np.zeros((atoms, atoms, 3, 3))
    np.add.at(result, (pairs.first, pairs.first), block)
    np.add.at(result, (pairs.second, pairs.second), block)
    np.add.at(result, (pairs.first, pairs.second), -block)
    np.add.at(result, (pairs.second, pairs.first), -block)
    return result.transpose(0, 2, 1, 3).reshape(3 * atoms, 3 * atoms)


def modes(constants: Array, mass: Array) -> Modes:
    """Diagonalise force constants (N/m) with masses (u) and leave out the three translations."""
    root = np.repeat(np.sqrt(mass), 3)
    values, vectors = np.linalg.eigh(constants / root[:, None] / root[None, :])
    return Modes(WAVENUMBER * np.sqrt(np.clip(values[3:], 0.0, None)), vectors.T[3:].reshape(-1, len(mass), 3))


def charges(prototype: Prototype) -> Array:
    """Return effective charges in units of e, shape ``(atoms,)``; they add up to zero."""
    return CHARGE_SHARE * np.array([prototype.roles[role].valence for role in prototype.site_role], dtype=np.float64)


def electronic_permittivity(prototype: Prototype, mass: Array, volume: float) -> float:
    """Return the high-frequency permittivity by the Clausius-Mossotti relation (volume in angstrom^3)."""
    total = sum(
        _POLARIZABILITY[role] if role in ANIONS else _CATION_POLARIZABILITY * float(own)
        for role, own in zip(prototype.site_role, mass, strict=True)
    )
    x = min(4 * np.pi / 3 * total / volume, 0.68)
    return float((1 + 2 * x) / (1 - x))


def depolarisation(charge: Array, volume: float, permittivity: float, factor: float) -> Array:
    """Return the force constants (N/m) that the field of a polarised grain adds.

    Parameters
    ----------
    factor
        Depolarisation factor: 0 transverse waves, 1/3 small spheres (Froehlich), 1 longitudinal waves.
    """
    column = np.kron(charge[:, None], np.eye(3))
    medium = factor / (1.0 + factor * (permittivity - 1.0))
    return np.asarray(COULOMB / volume * medium * column @ column.T)
