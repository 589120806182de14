"""Raman and infrared bands of a crystal from its vibrations at the zone centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectroflow.materials.reflections import group_equal
from spectroflow.simulate.lattice import Modes, Springs
from spectroflow.simulate.prototypes import Array

SAME_BAND = 1e-3  # cm-1; vibrations nearer than this are one degenerate band
_LEAST = 2e-3  # of the strongest band; weaker ones are left out
_LOWEST = 30.0  # cm-1
_KT = 207.2  # cm-1 at 298 K
# Bond polarizability model: how the polarizability along and across a bond changes with its length,
# and its anisotropy, per unit of bond valence (arbitrary units).
_ALONG, _ACROSS, _ANISOTROPY = 1.0, 0.25, 0.45


@dataclass(frozen=True, slots=True)
class Bands:
    """Vibrational bands, ascending.

    Attributes
    ----------
    center
        cm-1, shape ``(bands,)``.
    strength
        Integrated intensity averaged over orientations, the strongest 1, shape ``(bands,)``.
    lorentzian
        Natural full width at half maximum in cm-1, shape ``(bands,)``.
    tensors
        Raman tensors of the degenerate vibrations of each band, shape ``(bands, 3, 3, 3)``, zero where there
        are fewer than three; empty for infrared.
    """

    center: Array
    strength: Array
    lorentzian: Array
    tensors: Array


def raman_bands(
    modes: Modes,
    mass: Array,
    positions: Array,
    lattice: Array,
    springs: Springs,
    disorder: float,
    rng: np.random.Generator,
) -> Bands:
    """Return the Raman bands by the bond polarizability model.

    Each bond's polarizability depends on its length and turns with it (Wolkenstein; Guha et al., Phys. Rev.
    B 53, 1996, 13106); intensities carry the fourth power of the scattered frequency at 532 nm and the
    Bose factor at 298 K.
    """
    count = len(springs.valence)
    pairs = springs.pairs
    first, second = pairs.first[:count], pairs.second[:count]
    vector = positions[second] + pairs.shift[:count] @ lattice - positions[first]
    length = np.linalg.norm(vector, axis=1)
    unit = vector / length[:, None]
    identity = np.eye(3)
    dyad = unit[:, :, None] * unit[:, None, :]
    change = (_ALONG + 2 * _ACROSS) / 3 * identity + (_ALONG - _ACROSS) * (dyad - identity / 3)
    across = identity - dyad
    turn = np.einsum("ba,bck->back", unit, across) + np.einsum("bc,bak->back", unit, across)
    derivative = np.einsum("bac,bk->back", change, unit) + _ANISOTROPY / length[:, None, None, None] * turn
    derivative *= springs.valence[:, None, None, None]
    by_atom = np.zeros((len(mass), 3, 3, 3))
    np.add.at(by_atom, second, derivative.transpose(0, 3, 1, 2))
    np.add.at(by_atom, first, -derivative.transpose(0, 3, 1, 2))
    tensors = np.einsum("mnk,nkac->mac", modes.vectors / np.sqrt(mass)[:, None], by_atom)
    shift = np.maximum(modes.wavenumber, 1.0)
    scattered = 1e7 / 532.0 - shift
    weight = (scattered / 18000.0) ** 4 / shift / -np.expm1(-shift / _KT)
    tensors = tensors * np.sqrt(weight)[:, None, None]
    trace = np.trace(tensors, axis1=1, axis2=2) / 3
    anisotropy = 1.5 * ((tensors - trace[:, None, None] * identity) ** 2).sum(axis=(1, 2))
    strength = (45 * trace**2 + 7 * anisotropy) / 45
    return _bands(modes.wavenumber, strength, tensors, 1.2 + 5.0 * disorder, 0.008, rng)


def infrared_bands(modes: Modes, mass: Array, charge: Array, disorder: float, rng: np.random.Generator) -> Bands:
    """Return the infrared bands: dipole strengths of vibrations in the field of small grains."""
    dipole = np.einsum("mnk,n->mk", modes.vectors, charge / np.sqrt(mass))
    empty = np.zeros((len(modes.wavenumber), 3, 3))
    return _bands(modes.wavenumber, (dipole**2).sum(axis=1), empty, 8.0 + 12.0 * disorder, 0.018, rng)


def _bands(
    wavenumber: Array, strength: Array, tensors: Array, width: float, slope: float, rng: np.random.Generator
) -> Bands:
    group = group_equal(wavenumber, SAME_BAND)
    total = np.bincount(group, weights=strength)
    center = np.bincount(group, weights=wavenumber) / np.bincount(group)
    # One draw for each band, kept or not, so that a band's width does not depend on its neighbours' strength.
    lorentzian = (width + slope * center) * np.exp(0.25 * rng.standard_normal(len(center)))
    keep = np.nonzero((total > _LEAST * total[center > _LOWEST].max(initial=0.0)) & (center > _LOWEST))[0]
    stacked = np.zeros((len(keep), 3, 3, 3))
    for row, band in enumerate(keep):
        members = np.nonzero(group == band)[0][:3]
        stacked[row, : len(members)] = tensors[members]
    scale = total[keep].max(initial=0.0) or 1.0
    return Bands(center[keep], total[keep] / scale, lorentzian[keep], stacked / np.sqrt(scale))
