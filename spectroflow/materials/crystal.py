"""A crystal structure: a cell and everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SAME_PLACE = 0.05  # angstrom; images of one site that are nearer than this are one atom
DEFAULT_B = 0.6  # angstrom^2, isotropic displacement of an atom for which none is given


@dataclass(frozen=True, slots=True)
class Crystal:
    """A structure with all atoms of one conventional cell.

    Attributes
    ----------
    name
        As the source calls it: a mineral, a compound, or its formula.
    formula
        Chemical formula.
    space_group, number
        Hermann-Mauguin symbol and number in the International Tables; empty and 0 where unknown.
    cell
        a, b, c in angstrom and alpha, beta, gamma in degrees.
    symbols
        Element of each atom.
    fractional
        ``(atoms, 3)`` in [0, 1).
    occupancy
        ``(atoms,)`` in (0, 1].
    displacement
        ``(atoms,)`` isotropic B in angstrom^2.
    flags
        What is unusual about it: ``PARTIAL_OCCUPANCY``, ``DISORDER``, ``OCCUPANCY_ABOVE_ONE``,
        ``DEFAULT_DISPLACEMENT``, ``NO_SYMMETRY``.
    """

    name: str
    formula: str
    space_group: str
    number: int
    cell: tuple[float, float, float, float, float, float]
    symbols: tuple[str, ...]
    fractional: Array = field(repr=False)
    occupancy: Array = field(repr=False)
    displacement: Array = field(repr=False)
    flags: tuple[str, ...] = ()

    @property
    def vectors(self) -> Array:
        """Lattice vectors in angstrom as rows, a along x, b in the xy plane; ``(3, 3)``."""
        return lattice_vectors(*self.cell)

    @property
    def volume(self) -> float:
        """Volume of the cell in angstrom^3."""
        return float(abs(np.linalg.det(self.vectors)))

    @property
    def amounts(self) -> dict[str, float]:
        """Atoms of each element in the cell, occupancies counted."""
        total: dict[str, float] = {}
        for symbol, share in zip(self.symbols, self.occupancy, strict=True):
            total[symbol] = total.get(symbol, 0.0) + float(share)
        return total


def lattice_vectors(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> Array:
    """Return the lattice vectors of a cell (angstrom, degrees) as rows of a ``(3, 3)`` array."""
    cos_alpha, cos_beta, cos_gamma = np.cos(np.radians([alpha, beta, gamma]))
    sin_gamma = np.sin(np.radians(gamma))
    y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    height = np.sqrt(max(1.0 - cos_beta**2 - y**2, 0.0))
    rows = [[a, 0.0, 0.0], [b * cos_gamma, b * sin_gamma, 0.0], [c * cos_beta, c * y, c * height]]
    return np.where(np.abs(rows) < 1e-12, 0.0, rows)


def orbit(position: Array, operations: Sequence[tuple[Array, Array]], vectors: Array) -> Array:
    """Return all images of a position in the cell, each once.

    Parameters
    ----------
    position
        ``(3,)`` fractional.
    operations
        Rotations ``(3, 3)`` and translations ``(3,)`` on fractional coordinates.
    vectors
        Lattice vectors as rows; images nearer than :data:`SAME_PLACE` are one.

    Returns
    -------
    ndarray
        ``(images, 3)`` in [0, 1).
    """
    kept: list[Array] = []
    for rotation, translation in operations:
        image = (rotation @ position + translation) % 1.0
        # Rounding may leave 1 - 1e-16, which is 0.
        image[image > 1.0 - 1e-9] = 0.0
        if kept:
            apart = np.asarray(kept) - image
            apart -= np.round(apart)
            if (np.linalg.norm(apart @ vectors, axis=1) < SAME_PLACE).any():
                continue
        kept.append(image)
    return np.asarray(kept)
