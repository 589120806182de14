"""The experts of one direction: everything that predicts a target spectrum from what is known of a sample.

They are fitted on the same folds and give ``(queries, points)`` each; ``blend.py`` weighs them. The
networks are experts too; they join as finished predictions under the name ``vae``.

====================  =========================================================================
mean                  mean spectrum of the training materials
nearest, soft         target of the most similar source; mean of targets weighted by similarity
ridge                 kernel ridge regression (radial basis functions) on the shape
shape, weak,          kernel ridge regression (Laplacian kernel) on one view of the spectrum
slope, local
echo                  mean of all training targets, weighted by likeness to the regressions' answer
vae                   mean of the networks
composition           kernel ridge regression from composition alone: the row without the spectrum
both                  kernel ridge regression on the sum of a spectrum and a composition kernel
====================  =========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectroflow.modality import Modality
from spectroflow.models import baselines
from spectroflow.models.features import KINDS, spectrum_features
from spectroflow.models.memory import Memory

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

BASELINES = ("mean", "nearest", "soft", "ridge")
SPECTRUM_EXPERTS = ("mean", "nearest", "soft", "ridge", *KINDS, "echo", "vae")
COMPOSITION_EXPERTS = ("composition", "both")
SHARPNESS, ECHO_SHARPNESS = 30.0, 15.0
RBF_GAMMA, RBF_RIDGE = 4.0, 0.5
LAPLACE_GAMMA, LAPLACE_RIDGE = 2.0, 0.3
COMPOSITION_GAMMA, COMPOSITION_RIDGE, BOTH_RIDGE = 3.0, 0.3, 0.5


def experts_of(track: str) -> tuple[str, ...]:
    """Return the experts that may speak in a track."""
    return SPECTRUM_EXPERTS if track == "spectrum" else SPECTRUM_EXPERTS + COMPOSITION_EXPERTS


@dataclass(frozen=True)
class Bank:
    """All training spectra of one direction, as seen by the experts.

    Attributes
    ----------
    source, target
        ``{kind: (rows, points)}`` features of the two modalities.
    source_composition, target_composition
        ``{track: (rows, elements)}``; zero rows where unknown.
    target_modality
        What the target is, for looking at predictions in the same way.
    """

    source: Mapping[str, Float]
    target: Mapping[str, Float]
    source_composition: Mapping[str, Float]
    target_composition: Mapping[str, Float]
    target_modality: Modality


@dataclass(frozen=True)
class KernelExperts:
    """The experts of one direction that look up, or interpolate between, training spectra."""

    bank: Bank
    memory: Memory
    targets: Memory
    ridge: baselines.KernelRidge
    views: dict[str, baselines.KernelRidge]
    by_composition: dict[str, tuple[Int, baselines.KernelRidge]]
    by_both: dict[str, tuple[Int, baselines.KernelRidge]]

    @classmethod
    def fit(cls, bank: Bank, memory: Memory, targets: Memory) -> KernelExperts:
        """Fit on a memory of pairs and a memory of all targets (each its own source)."""
        own = {kind: bank.source[kind][memory.rows] for kind in KINDS}
        similar = {kind: value @ value.T for kind, value in own.items()}
        # Targets of unit length: every spectrum then pulls alike, as it counts in a mean correlation.
        scaled = unit_targets(memory.targets)
        ridge = baselines.KernelRidge.fit(
            memory.targets, memory.weights, baselines.gaussian_kernel(similar["shape"], RBF_GAMMA), RBF_RIDGE
        )
        views = {
            kind: baselines.KernelRidge.fit(
                scaled, memory.weights, baselines.laplacian_kernel(similar[kind], LAPLACE_GAMMA), LAPLACE_RIDGE
            )
            for kind in KINDS
        }
        by_composition, by_both = {}, {}
        for track in bank.source_composition:
            known = np.flatnonzero(bank.target_composition[track][targets.rows].any(axis=1))
            if len(known):
                feature = bank.target_composition[track][targets.rows[known]]
                kernel = baselines.gaussian_kernel(feature @ feature.T, COMPOSITION_GAMMA)
                fit = baselines.KernelRidge.fit(
                    unit_targets(targets.targets[known]), targets.weights[known], kernel, COMPOSITION_RIDGE
                )
                by_composition[track] = known, fit
            known = np.flatnonzero(bank.source_composition[track][memory.rows].any(axis=1))
            if len(known):
                feature = bank.source_composition[track][memory.rows[known]]
                kernel = baselines.gaussian_kernel(feature @ feature.T, COMPOSITION_GAMMA)
                kernel = kernel + baselines.laplacian_kernel(similar["shape"][np.ix_(known, known)], LAPLACE_GAMMA)
                by_both[track] = (
                    known,
                    baselines.KernelRidge.fit(scaled[known], memory.weights[known], kernel, BOTH_RIDGE),
                )
        return cls(bank, memory, targets, ridge, views, by_composition, by_both)

    def predict(self, similar: Mapping[str, Float], composition: Mapping[str, Float]) -> dict[str, Float]:
        """Predict for queries.

        Parameters
        ----------
        similar
            ``{kind: (queries, rows of the source modality)}``
        composition
            ``{track: (queries, elements)}`` of the tracks that are asked for; none for the spectrum alone.
            The predictions are named ``composition.<track>`` and ``both.<track>``.
        """
        own = {kind: value[:, self.memory.rows] for kind, value in similar.items()}
        found = {
            "mean": baselines.mean_spectrum(self.memory, len(own["shape"])),
            "nearest": baselines.nearest_neighbour(self.memory, own["shape"]),
            "soft": baselines.soft_neighbours(self.memory, own["shape"], SHARPNESS),
            "ridge": self.ridge.predict(baselines.gaussian_kernel(own["shape"], RBF_GAMMA)),
        }
        close = {kind: baselines.laplacian_kernel(own[kind], LAPLACE_GAMMA) for kind in KINDS}
        found |= {kind: self.views[kind].predict(close[kind]) for kind in KINDS}
        found["echo"] = self._echo(np.mean([found[kind] for kind in KINDS], axis=0))
        for track, feature in composition.items():
            known, fit = self.by_composition[track]
            reference = self.bank.target_composition[track][self.targets.rows[known]]
            found[f"composition.{track}"] = fit.predict(
                baselines.gaussian_kernel(feature @ reference.T, COMPOSITION_GAMMA)
            )
            known, fit = self.by_both[track]
            reference = self.bank.source_composition[track][self.memory.rows[known]]
            kernel = baselines.gaussian_kernel(feature @ reference.T, COMPOSITION_GAMMA) + close["shape"][:, known]
            found[f"both.{track}"] = fit.predict(kernel)
        return found

    def _echo(self, answer: Float) -> Float:
        seen = spectrum_features(np.clip(answer, 0.0, None), self.bank.target_modality, ("shape",))["shape"]
        similarity = seen @ self.bank.target["shape"][self.targets.rows].T
        return baselines.soft_neighbours(self.targets, similarity, ECHO_SHARPNESS)


def unit_targets(targets: Float) -> Float:
    """Scale spectra so that each has the same variance along its axis."""
    deviation = np.linalg.norm(targets - targets.mean(axis=1, keepdims=True), axis=1, keepdims=True)
    return np.asarray(np.divide(targets, deviation, out=np.zeros_like(targets), where=deviation > 1e-6), np.float32)
