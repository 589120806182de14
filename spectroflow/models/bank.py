"""All training spectra of one direction, as its experts see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.modality import Modality
from spectroflow.models.metric import Blocks

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bank:
    """All training spectra of one direction, as seen by the experts.

    Attributes
    ----------
    source, target
        ``{kind: (rows, points)}`` features of the two modalities.
    blocks
        What a metric sees of the source spectra.
    source_material
        ``(rows,)`` of the source spectra.
    source_composition, target_composition
        ``(rows, elements)`` atomic fractions; NaN rows where unknown.
    target_modality
        What the target is, for looking at predictions in the same way.
    target_values, target_valid, target_density
        ``(rows, points)`` of unit variance, where they were measured, and their densities of lines.
    """

    source: Mapping[str, Float]
    target: Mapping[str, Float]
    blocks: Blocks
    source_material: Int
    source_composition: Float
    target_composition: Float
    target_modality: Modality
    target_values: Float
    target_valid: Bool
    target_density: Float
