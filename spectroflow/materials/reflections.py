"""What a crystal diffracts: kinematic powder reflections, the same for every wavelength.

    F(hkl) = sum_j o_j f_j(s) exp(-B_j s^2) exp(2 pi i (h x_j + k y_j + l z_j)),   s = 1 / 2d

with the scattering factors f of neutral atoms (International Tables for Crystallography, volume C, 1992,
table 6.1.1.4) and without anomalous dispersion, which depends on the wavelength.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.materials.cif import import_gemmi
from spectroflow.materials.crystal import Array, Crystal

SAME_SPACING = 1e-6  # relative; reflections that differ by less are one powder line
FAINT = 1e-5  # of the strongest line; fainter ones are absent
_AT_ONCE = 2_000_000  # terms of the structure factor sum that are held in memory


@dataclass(frozen=True, slots=True)
class Reflections:
    """Powder lines of a structure, by falling spacing.

    Attributes
    ----------
    spacing
        d in angstrom, ``(lines,)``.
    strength
        Sum of the squared structure factors (electrons^2 per cell) of all reflections of a line.
    multiplicity
        How many reflections a line consists of; Friedel pairs count as two.
    """

    spacing: Array
    strength: Array
    multiplicity: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.spacing)

    def strongest(self, count: int) -> Reflections:
        """Return the strongest lines, by falling spacing."""
        kept = np.sort(np.argsort(-self.strength, kind="stable")[:count])
        return Reflections(self.spacing[kept], self.strength[kept], self.multiplicity[kept])


def reflections(crystal: Crystal, shortest: float) -> Reflections:
    """Return the powder lines of a crystal.

    Parameters
    ----------
    shortest
        Least spacing d in angstrom.
    """
    indices = half_space(crystal.vectors, shortest)
    reciprocal = np.linalg.inv(crystal.vectors).T
    length = np.linalg.norm(indices @ reciprocal, axis=1)
    order = np.argsort(length, kind="stable")
    indices, length = indices[order], length[order]
    step = max(1, _AT_ONCE // len(crystal.symbols))
    strength = np.concatenate(
        [
            2 * np.abs(structure_factors(crystal, indices[i : i + step], length[i : i + step] / 2)) ** 2
            for i in range(0, len(indices), step)
        ]
        or [np.zeros(0)]
    )
    line = group_equal(np.log(length), SAME_SPACING)
    total = np.bincount(line, weights=strength)
    first = np.searchsorted(line, np.arange(len(total)))
    kept = total > FAINT * total.max(initial=0.0)
    return Reflections(1 / length[first][kept], total[kept], 2 * np.bincount(line)[kept].astype(np.int64))


def cost(crystal: Crystal, shortest: float) -> float:
    """Return how many terms the structure factors of a crystal have, about: atoms times reflections."""
    return len(crystal.symbols) * 2 * np.pi / 3 * crystal.volume / shortest**3


def structure_factors(crystal: Crystal, indices: npt.NDArray[np.int64], s: Array) -> npt.NDArray[np.complex128]:
    """Return structure factors in electrons.

    Parameters
    ----------
    indices
        ``(n, 3)``
    s
        ``(n,)``, ``sin(theta) / lambda = 1 / 2d`` in 1/angstrom.
    """
    kinds = sorted(set(crystal.symbols))
    tables = np.stack([scattering_factor(kind, s) for kind in kinds], axis=1)
    of_atom = np.array([kinds.index(symbol) for symbol in crystal.symbols])
    phase = np.exp(2j * np.pi * (indices @ crystal.fractional.T))
    weight = tables[:, of_atom] * np.exp(-np.outer(s**2, crystal.displacement)) * crystal.occupancy
    return np.asarray((phase * weight).sum(axis=1))


def scattering_factor(symbol: str, s: Array) -> Array:
    """Return the X-ray scattering factor of a neutral atom in electrons at ``s`` (1/angstrom)."""
    table = import_gemmi().Element(symbol).it92
    a, b = np.array(table.a), np.array(table.b)
    return np.asarray((a * np.exp(-b * np.asarray(s)[..., None] ** 2)).sum(axis=-1) + table.c)


def half_space(vectors: Array, shortest: float) -> npt.NDArray[np.int64]:
    """Return the indices of one reflection of each Friedel pair with a spacing of at least ``shortest``."""
    limits = [int(np.floor(np.linalg.norm(row) / shortest)) for row in vectors]
    h, k, l = (np.arange(-limit, limit + 1) for limit in limits)  # noqa: E741
    indices = np.stack(np.meshgrid(h[h >= 0], k, l, indexing="ij"), axis=-1).reshape(-1, 3)
    positive = (indices[:, 0] > 0) | (
        (indices[:, 0] == 0) & ((indices[:, 1] > 0) | ((indices[:, 1] == 0) & (indices[:, 2] > 0)))
    )
    indices = indices[positive]
    inside = np.linalg.norm(indices @ np.linalg.inv(vectors).T, axis=1) <= 1 / shortest
    return np.asarray(indices[inside], np.int64)


def group_equal(values: Array, tolerance: float) -> npt.NDArray[np.int64]:
    """Number runs of an ascending array whose neighbours differ by at most ``tolerance``."""
    if not len(values):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(values) > tolerance)]).astype(np.int64)
