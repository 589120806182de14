"""Crystal structures that synthetic materials are built on, read from ``data/prototypes.toml``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product

import numpy as np
import numpy.typing as npt

from spectroflow.materials.crystal import lattice_vectors

Array = npt.NDArray[np.float64]

ANIONS = {"O": -2, "F": -1}
_MERGE = 0.05  # angstrom; atoms nearer than this are one atom on a special position


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of place in a structure.

    Attributes
    ----------
    name
        ``A``, ``B``, ``T`` for cations, the element itself for anions.
    valence
        Formal charge.
    ions
        Elements that may take the place, the one of the reference compound first.
    reach
        Longest distance in angstrom to an anion that counts as a bond; 0 for anions.
    """

    name: str
    valence: int
    ions: tuple[str, ...]
    reach: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of atoms, the second one in a neighbouring cell perhaps.

    Attributes
    ----------
    first, second
        Atom indices, shape ``(n,)``.
    shift
        Lattice translation of the second atom in primitive cells, shape ``(n, 3)``.
    length
        Distance in the reference compound in angstrom, shape ``(n,)``.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]
    length: Array


@dataclass(frozen=True, slots=True)
class Prototype:
    """A structure with its reference compound.

    Attributes
    ----------
    name, system
        Name and crystal system.
    formula
        Formula in which ``{A}`` stands for what takes the place A.
    roles
        Every kind of place, by name.
    site_role
        The role of each atom of the primitive cell.
    conventional, primitive
        Lattice vectors as rows in angstrom.
    fractional
        Atoms in primitive fractional coordinates, shape ``(atoms, 3)``.
    bonds
        Cation-anion bonds, the cation first.
    edges
        Anion-anion edges of the coordination polyhedra.
    edge_bonds
        For each edge the two bonds of the cation that it belongs to, shape ``(edges, 2)``.
    """

    name: str
    system: str
    formula: str
    roles: dict[str, Role]
    site_role: tuple[str, ...]
    conventional: Array
    primitive: Array
    fractional: Array
    bonds: Pairs
    edges: Pairs
    edge_bonds: npt.NDArray[np.int64]

    @property
    def coordination(self) -> npt.NDArray[np.int64]:
        """Number of bonds of each atom as the cation of a bond, shape ``(atoms,)``."""
        return np.bincount(self.bonds.first, minlength=len(self.site_role))


@cache
def names() -> tuple[str, ...]:
    """Return the names of all prototypes in the order of the table."""
    return tuple(_table())


@cache
def prototype(name: str) -> Prototype:
    """Return one prototype with its primitive cell, bonds and polyhedron edges."""
    entry = _table()[name]
    roles = {
        role: Role(role, spec["valence"], tuple(spec["ions"]), spec["reach"]) for role, spec in entry["roles"].items()
    }
    for anion in {site[0] for site in entry["sites"]} - set(roles):
        roles[anion] = Role(anion, ANIONS[anion], (anion,), 0.0)
    conventional = lattice_vectors(*entry["cell"])
    primitive = _primitive_vectors(conventional, entry.get("centring", []))
    site_role, fractional = _expand(entry, conventional, primitive)
    bonds = _bonds(site_role, fractional, primitive, roles)
    edges, edge_bonds = _edges(bonds, fractional, primitive)
    return Prototype(
        name,
        entry["system"],
        entry["formula"],
        roles,
        site_role,
        conventional,
        primitive,
        fractional,
        bonds,
        edges,
        edge_bonds,
    )


def cell_parameters(lattice: Array) -> tuple[float, float, float, float, float, float]:
    """Return ``(a, b, c, alpha, beta, gamma)`` of lattice vectors given as rows."""
    a, b, c = np.linalg.norm(lattice, axis=1)
    unit = lattice / np.array([[a], [b], [c]])
    alpha, beta, gamma = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
    return float(a), float(b), float(c), float(alpha), float(beta), float(gamma)


@cache
def _table() -> dict[str, dict]:  # type: ignore[type-arg]
    return tomllib.loads(files("spectroflow.simulate").joinpath("data/prototypes.toml").read_text("utf-8"))


def _operation(text: str) -> tuple[Array, Array]:
    """Parse ``-y+1/4,x+3/4,z`` into a rotation and a translation."""
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(text.split(",")):
        for sign, axis, top, bottom in re.findall(r"([+-]?)(?:([xyz])|(\d+)/(\d+))", part):
            factor = -1.0 if sign == "-" else 1.0
            if axis:
                rotation[row, "xyz".index(axis)] = factor
            else:
                translation[row] = factor * int(top) / int(bottom)
    return rotation, translation


def _primitive_vectors(conventional: Array, centring: list[list[float]]) -> Array:
    """Return the shortest vectors that span the lattice with its centring translations."""
    if not centring:
        return conventional
    group = [np.zeros(3)]
    for vector in centring:  # close the centring translations under addition
        for known in list(group):
            for times in range(1, 4):
                candidate = (known + times * np.array(vector)) % 1.0
                if not any(np.allclose((candidate - g + 0.5) % 1.0, 0.5, atol=1e-6) for g in group):
                    group.append(candidate)
    volume = abs(np.linalg.det(conventional)) / len(group)
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    vectors = np.concatenate([(steps + g) @ conventional for g in group])
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 1e-6]
    vectors = vectors[np.lexsort((*np.round(vectors.T, 6), np.round(np.linalg.norm(vectors, axis=1), 6)))]
    first = vectors[0]
    second = next(v for v in vectors if np.linalg.norm(np.cross(first, v)) > 1e-3)
    third = next(v for v in vectors if np.isclose(abs(np.linalg.det([first, second, v])), volume, rtol=1e-4))
    return np.array([first, second, third])


def _expand(entry: dict, conventional: Array, primitive: Array) -> tuple[tuple[str, ...], Array]:  # type: ignore[type-arg]
    """Apply the generators until no new atom appears, in the primitive cell."""
    operations = [_operation(text) for text in entry["operations"]]
    to_primitive = conventional @ np.linalg.inv(primitive)
    roles: list[str] = []
    found: list[Array] = []
    for role, *position in entry["sites"]:
        orbit: list[Array] = []
        waiting = [np.array(position, dtype=np.float64)]
        while waiting:
            point = waiting.pop()
            inside = (point @ to_primitive) % 1.0
            if any(np.linalg.norm(((inside - o + 0.5) % 1.0 - 0.5) @ primitive) < _MERGE for o in orbit):
                continue
            orbit.append(inside)
            waiting += [rotation @ point + translation for rotation, translation in operations]
        roles += [role] * len(orbit)
        found += orbit
    return tuple(roles), np.array(found)


def _bonds(site_role: tuple[str, ...], fractional: Array, primitive: Array, roles: dict[str, Role]) -> Pairs:
    shifts = np.array(list(product(range(-2, 3), repeat=3)))
    difference = fractional[None, :, None, :] - fractional[:, None, None, :] + shifts
    length = np.linalg.norm(difference @ primitive, axis=-1)
    reach = np.array([roles[role].reach for role in site_role])
    anion = np.array([role in ANIONS for role in site_role])
    first, second, cell = np.nonzero((length < reach[:, None, None]) & anion[None, :, None])
    return Pairs(first, second, shifts[cell], length[first, second, cell])


def _edges(bonds: Pairs, fractional: Array, primitive: Array) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Join anions around one cation that are at most 105 degrees apart (125 where it has four or fewer)."""
    vector = (fractional[bonds.second] + bonds.shift - fractional[bonds.first]) @ primitive
    unit = vector / bonds.length[:, None]
    pairs = []
    for cation in np.unique(bonds.first):
        own = np.nonzero(bonds.first == cation)[0]
        limit = np.cos(np.radians(125.0 if len(own) <= 4 else 105.0))
        pairs += [(i, j) for n, i in enumerate(own) for j in own[n + 1 :] if unit[i] @ unit[j] > limit]
    edge_bonds = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    one, two = edge_bonds.T
    return (
        Pairs(
            bonds.second[one],
            bonds.second[two],
            bonds.shift[two] - bonds.shift[one],
            np.linalg.norm(vector[two] - vector[one], axis=1),
        ),
        edge_bonds,
    )
