"""Reading the composition from a spectrum: what a kernel regression makes of it.

A spectrum tells which structural groups a material has, so some of its composition. The reading is
an input for the experts. What it says of a *training* spectrum must be as good, or as bad, as what it
says of an unknown one, so it is made without the spectrum's own group (in closed form, not by fitting
again): coefficients without group ``g`` are ``a - R[:, g] R[g, g]^-1 a[g]`` with ``R`` the inverse of the
regularised kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.models import baselines
from spectroflow.models.features import KINDS, unit
from spectroflow.models.memory import few_of_each, material_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

GAMMA, RIDGE = 2.0, 0.1


def mixed_kernel(similar: Mapping[str, Float]) -> Float:
    """Return the mean Laplacian kernel over the views of spectra, from their inner products."""
    return np.asarray(np.mean([baselines.laplacian_kernel(similar[k], GAMMA) for k in KINDS], axis=0), np.float32)


@dataclass(frozen=True)
class CompositionReader:
    """A kernel regression from spectra to square roots of atomic fractions.

    Attributes
    ----------
    rows
        ``(n,)`` rows of the source modality that it was fitted on.
    coefficients
        ``(n, elements)``
    mean
        ``(elements,)``
    training
        ``(rows of the source modality, elements)`` readings of training spectra, each without its own
        group; zeros elsewhere.
    """

    rows: Int
    coefficients: Float
    mean: Float
    training: Float

    @classmethod
    def fit(cls, views: Mapping[str, Float], feature: Float, group: Int, allowed: Int) -> CompositionReader | None:
        """Fit on the allowed rows whose composition is known; None where there are fewer than three groups.

        Parameters
        ----------
        views
            ``{kind: (rows, points)}`` features of all spectra of the modality.
        feature
            ``(rows, elements)``, zero rows where unknown.
        group
            ``(rows,)`` what has to be left out together.
        allowed
            Rows that may be looked at.
        """
        known = allowed[feature[allowed].any(axis=1)]
        rows = known[few_of_each(group[known])]
        if len(np.unique(group[rows])) < 3:
            return None
        weights = material_weights(group[rows])
        mean = np.average(feature[rows], axis=0, weights=weights)
        among = mixed_kernel({kind: views[kind][rows] @ views[kind][rows].T for kind in KINDS}).astype(np.float64)
        among[np.diag_indices_from(among)] += RIDGE / weights
        inverse = np.linalg.inv(among)
        coefficients = inverse @ (feature[rows] - mean)
        towards = mixed_kernel({kind: views[kind][allowed] @ views[kind][rows].T for kind in KINDS})
        reading = mean + towards @ coefficients
        place = {int(g): np.flatnonzero(group[rows] == g) for g in np.unique(group[rows])}
        for g, own in place.items():
            mine = np.flatnonzero(group[allowed] == g)
            step = np.linalg.solve(inverse[np.ix_(own, own)], coefficients[own])
            reading[mine] -= (towards[mine] @ inverse[:, own]) @ step
        training = np.zeros_like(feature)
        training[allowed] = _cleaned(reading)
        return cls(rows, coefficients.astype(np.float32), mean.astype(np.float32), training)

    def read(self, similar: Mapping[str, Float]) -> Float:
        """Return unit vectors like :func:`spectroflow.models.features.composition_features` of a formula.

        Parameters
        ----------
        similar
            ``{kind: (queries, rows of the source modality)}``
        """
        kernel = mixed_kernel({kind: value[:, self.rows] for kind, value in similar.items()})
        return _cleaned(self.mean + kernel @ self.coefficients)


def _cleaned(reading: npt.NDArray[Any]) -> Float:
    return unit(np.clip(reading, 0.0, None).astype(np.float32), centre=False)
