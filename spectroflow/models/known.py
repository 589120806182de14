"""What is known of samples, as blocks of columns that a learned metric weighs (see ``metric.py``)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import ATOMIC_NUMBER, OXYGEN
from spectroflow.modality import Modality
from spectroflow.models.features import METRIC_KINDS, VIEWS, composition_features, spectrum_features
from spectroflow.models.metric import Blocks

Float = npt.NDArray[np.float32]

REGIONS = 8
SPECTRUM_WEIGHT, COMPOSITION_WEIGHT, PRESENCE_WEIGHT, READING_WEIGHT = 4.0, 5.0, 1.0, 1.0

FAMILIES = (
    "Li Na K Rb Cs",
    "Be Mg Ca Sr Ba",
    "Sc Y La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
    "Ti Zr Hf Nb Ta Sn",
    "V Cr Mo W",
    "Mn Fe Co Ni Cu Zn Cd",
    "Ag Au Hg Tl Pb Bi",
    "Th U",
    "Al Ga In",
    "Si Ge",
    "P As",
    "As Sb Bi",
    "S Se Te",
    "F Cl Br I",
)
"""Elements that stand for each other in minerals: what is known of one says something about the others."""


def spectrum_blocks(prepared: Float, modality: Modality) -> Blocks:
    """Cut every view of the spectra into regions, narrower towards the start of the axis, where lines are denser.

    Parameters
    ----------
    prepared
        ``(n, points)``
    """
    features = spectrum_features(prepared, modality, METRIC_KINDS)
    edges = _edges(modality)
    columns, block = [], []
    for k, (kind, values) in enumerate(features.items()):
        # A view is blurred, so that a point for each width of the blur holds nearly all of it.
        stride = max(1, int(VIEWS[kind] * modality.resolution / modality.grid.step))
        at = np.arange(0, values.shape[1], stride)
        columns.append(values[:, at] * np.float32(np.sqrt(stride)))
        block.append(k * REGIONS + np.searchsorted(edges, at, side="right"))
    count = len(features) * REGIONS
    return Blocks(np.hstack(columns), np.concatenate(block), np.full(count, SPECTRUM_WEIGHT / len(features)))


def composition_blocks(fractions: Float, track: str) -> Blocks:
    """Return a composition, a block for each element and each family of elements.

    Parameters
    ----------
    fractions
        ``(n, elements)`` atomic fractions, NaN rows where unknown: their columns are zeros.
    track
        ``elements`` or ``formula``.
    """
    known = np.nan_to_num(fractions)
    if track == "elements":
        present = (known > 0).astype(np.float32)
        present[:, :OXYGEN] = 0.0
        families = np.stack([present[:, _members(family)].max(axis=1) for family in FAMILIES], axis=1)
        return _single(np.hstack([present, families]), PRESENCE_WEIGHT)
    families = np.stack([np.sqrt(known[:, _members(family)].sum(axis=1)) for family in FAMILIES], axis=1)
    return _single(np.hstack([composition_features(fractions, track), families]), COMPOSITION_WEIGHT)


def reading_blocks(reading: Float) -> Blocks:
    """Return compositions read from spectra, a block for each element."""
    return _single(reading, READING_WEIGHT)


def _single(columns: Float, weight: float) -> Blocks:
    count = columns.shape[1]
    return Blocks(np.asarray(columns, np.float32), np.arange(count), np.full(count, weight))


def _members(family: str) -> list[int]:
    return [ATOMIC_NUMBER[symbol] - 1 for symbol in family.split()]


def _edges(modality: Modality) -> npt.NDArray[np.float64]:
    """Return the grid indices at which regions end; the last one has no end."""
    grid = modality.grid
    if grid.start > 0:
        ends = grid.start * (grid.stop / grid.start) ** (np.arange(1, REGIONS) / REGIONS)
    else:
        ends = grid.start + (grid.stop - grid.start) * np.arange(1, REGIONS) / REGIONS
    return np.asarray((ends - grid.start) / grid.step, np.float64)
