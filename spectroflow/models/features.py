"""What spectra and compositions are compared by: unit vectors whose inner product is a similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.materials.composition import OXYGEN
from spectroflow.modality import Modality
from spectroflow.models.preprocess import blur

Float = npt.NDArray[np.float32]

KINDS = ("shape", "weak", "slope", "local")
METRIC_KINDS = (*KINDS, "coarse", "trend")
CLUE_KINDS = (*KINDS, "edge", "steep")
VIEWS = {"shape": 2, "weak": 8, "slope": 4, "local": 2, "coarse": 16, "trend": 8, "edge": 1, "steep": 2}
"""Every view and how far it is blurred, in resolutions of the modality.

:data:`KINDS` are compared whole, :data:`METRIC_KINDS` region by region, :data:`CLUE_KINDS` tell materials apart.
"""

TRACKS = ("spectrum", "elements", "formula")


def spectrum_features(prepared: Float, modality: Modality, kinds: tuple[str, ...] = KINDS) -> dict[str, Float]:
    """Look at spectra in several ways.

    ========  ===================================================================================
    shape     square root, so that weak lines do not vanish beside the strongest one
    weak      fourth root of a broad blur: where there is anything at all
    slope     derivative of the square root: where lines rise and fall, no background
    local     relative to the surroundings of each point: which lines, not how strong
    coarse    square root of a very broad blur: where on the axis most of the intensity is
    trend     derivative of a broad blur of the square root
    edge      derivative of the square root at full resolution: where exactly lines are
    steep     derivative of the intensity itself: the strongest lines and their widths
    ========  ===================================================================================

    Parameters
    ----------
    prepared
        ``(n, points)`` as :func:`spectroflow.models.preprocess.prepare` returns them.

    Returns
    -------
    dict
        ``{kind: (n, points)}`` float32, centred, of unit length (or zero for an empty spectrum).
    """
    points = modality.resolution / modality.grid.step
    width = {kind: blurs * points for kind, blurs in VIEWS.items()}
    views: dict[str, Callable[[], npt.NDArray[Any]]] = {
        "shape": lambda: np.sqrt(_blurred(prepared, width["shape"])),
        "weak": lambda: np.sqrt(np.sqrt(_blurred(prepared, width["weak"]))),
        "slope": lambda: np.asarray(np.gradient(np.sqrt(_blurred(prepared, width["slope"])), axis=1)),
        "local": lambda: np.sqrt(_blurred(_relative(prepared, points), width["local"])),
        "coarse": lambda: np.sqrt(_blurred(prepared, width["coarse"])),
        "trend": lambda: np.asarray(np.gradient(np.sqrt(_blurred(prepared, width["trend"])), axis=1)),
        "edge": lambda: np.asarray(np.gradient(np.sqrt(_blurred(prepared, width["edge"])), axis=1)),
        "steep": lambda: np.asarray(np.gradient(_blurred(prepared, width["steep"]), axis=1)),
    }
    return {kind: unit(views[kind]()) for kind in kinds}


def composition_features(fractions: Float, track: str) -> Float:
    """Return what is known of a composition in a track, ``(n, elements)``; zeros where nothing is known.

    Parameters
    ----------
    fractions
        ``(n, elements)`` atomic fractions, NaN rows where unknown.
    track
        ``"formula"``: square roots of all fractions. ``"elements"``: which elements heavier than oxygen
        are there, as a hand-held X-ray fluorescence spectrometer tells.
    """
    known = np.nan_to_num(fractions)
    if track == "elements":
        present = (known > 0).astype(np.float32)
        present[:, :OXYGEN] = 0.0
        # All-zero rows would look unknown: that no heavy element is there is knowledge too.
        present[np.isfinite(fractions[:, 0]), 0] = 0.3
        return unit(present, centre=False)
    return unit(np.sqrt(known), centre=False)


def unit(values: npt.NDArray[Any], *, centre: bool = True) -> Float:
    """Centre rows and scale them to unit length; rows without any variation become zeros."""
    moved = values - values.mean(axis=1, keepdims=True) if centre else values
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(np.divide(moved, length, out=np.zeros_like(moved), where=length > 1e-9), np.float32)


def _blurred(values: Float, fwhm_points: float) -> Float:
    return np.clip(blur(values, fwhm_points), 0.0, None)


def _relative(values: Float, points: float) -> Float:
    fine = _blurred(values, points)
    return np.asarray(fine / (_blurred(fine, 15 * points) + 0.02), np.float32)
