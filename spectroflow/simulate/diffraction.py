"""Bragg reflections of a crystal and its powder pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.materials.powder import lorentz_polarisation
from spectroflow.materials.reflections import group_equal, half_space
from spectroflow.simulate.chemistry import Occupant
from spectroflow.simulate.prototypes import Array, Prototype

SHORTEST = 1.06  # angstrom; 2-theta of 93 degrees with copper K-alpha
DISPLACEMENT_B = 0.6  # angstrom^2, isotropic displacement of every atom
_LEAST = 1e-3  # of the strongest reflection; weaker ones are left out


@dataclass(frozen=True, slots=True)
class Reflections:
    """Reflections of the reciprocal half space, by falling spacing.

    Attributes
    ----------
    spacing
        d in angstrom, shape ``(n,)``.
    strength
        Squared structure factor in electrons^2, shape ``(n,)``.
    tilt
        Cosine of the angle between the reflection's normal and the c axis, shape ``(n,)``.
    line
        Number of the powder line that each belongs to, ascending from 0, shape ``(n,)``.
    """

    spacing: Array
    strength: Array
    tilt: Array
    line: npt.NDArray[np.int64]


def reflections(
    prototype: Prototype, occupants: Mapping[str, Occupant], positions: Array, lattice: Array
) -> Reflections:
    """Return the kinematic reflections down to :data:`SHORTEST`.

    ``F = sum f_j(s) exp(-B s^2) exp(2 pi i g . r_j)`` with ``s = 1 / 2d``; Friedel pairs count once each way.
    """
    reciprocal = np.linalg.inv(lattice).T
    vectors = half_space(lattice, SHORTEST) @ reciprocal
    length = np.linalg.norm(vectors, axis=1)
    s = length / 2
    factor = {role: occupants[role].scattering(s) for role in set(prototype.site_role)}
    weights = np.stack([factor[role] for role in prototype.site_role], axis=1)
    amplitude = (weights * np.exp(2j * np.pi * (vectors @ positions.T))).sum(axis=1) * np.exp(-DISPLACEMENT_B * s**2)
    strength = 2 * np.abs(amplitude) ** 2
    sort = np.argsort(length, kind="stable")
    length, strength, vectors = length[sort], strength[sort], vectors[sort]
    line = group_equal(length, 2e-6)
    powder = np.bincount(line, weights=strength)
    kept = powder[line] > _LEAST * powder.max()
    axis = prototype.conventional[2] / np.linalg.norm(prototype.conventional[2])
    tilt = np.abs(vectors @ axis) / length
    return Reflections(1 / length[kept], strength[kept], tilt[kept], np.unique(line[kept], return_inverse=True)[1])


def powder_lines(reflection: Reflections, wavelength: float, texture: float) -> tuple[Array, Array]:
    """Return 2-theta in degrees and integrated intensity (strongest 1) of the powder lines.

    Parameters
    ----------
    texture
        March-Dollase parameter of grains lying on their c planes: 1 none, below 1 platy (Dollase, J. Appl.
        Cryst. 19, 1986, 267).
    """
    march = (texture**2 * reflection.tilt**2 + (1 - reflection.tilt**2) / texture) ** -1.5
    strength = np.bincount(reflection.line, weights=reflection.strength * march)
    first = np.unique(reflection.line, return_index=True)[1]
    sine = wavelength / (2 * reflection.spacing[first])
    strength, sine = strength[sine < 0.999], sine[sine < 0.999]
    theta = np.arcsin(sine)
    seen = strength * lorentz_polarisation(theta)
    return np.degrees(2 * theta), seen / seen.max(initial=1e-300)
