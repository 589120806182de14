"""The experts of one direction: everything that predicts a target spectrum from a source spectrum.

They are fitted on the same rows and give ``(queries, points)`` each; ``blend.py`` weighs them. The
networks are experts too; they are passed in as finished predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.models import baselines
from spectroflow.models.memory import Memory

Float = npt.NDArray[np.float32]

BASELINES = ("mean", "nearest", "soft", "ridge")
EXPERTS = ("mean", "nearest", "soft", "ridge", "ridge_wide", "vae")
SHARPNESS = 30.0
NARROW, WIDE = (4.0, 0.5), (1.0, 0.5)  # gamma and ridge of the two kernel regressions


@dataclass(frozen=True)
class KernelExperts:
    """The experts of one direction that look up, or interpolate between, training spectra."""

    memory: Memory
    narrow: baselines.KernelRidge
    wide: baselines.KernelRidge

    @classmethod
    def fit(cls, memory: Memory, features: Float) -> KernelExperts:
        """Fit on a memory.

        Parameters
        ----------
        features
            ``(rows of the source modality, points)`` as :func:`shape_features` returns them.
        """
        own = features[memory.rows]
        similarity = own @ own.T
        fits = [
            baselines.KernelRidge.fit(memory.targets, memory.weights, similarity, gamma, ridge)
            for gamma, ridge in (NARROW, WIDE)
        ]
        return cls(memory, *fits)

    def predict(self, similarity: Float) -> dict[str, Float]:
        """Predict from the correlation of each query with every row of the source modality."""
        own = similarity[:, self.memory.rows]
        return {
            "mean": baselines.mean_spectrum(self.memory, len(own)),
            "nearest": baselines.nearest_neighbour(self.memory, own),
            "soft": baselines.soft_neighbours(self.memory, own, SHARPNESS),
            "ridge": self.narrow.predict(own),
            "ridge_wide": self.wide.predict(own),
        }
