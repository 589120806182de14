"""The experts of one direction: everything that predicts a target spectrum from what is known of a sample.

They are fitted on the same folds and give ``(queries, points)`` each; ``blend.py`` weighs them. The
networks are experts too; they join as finished predictions under the name ``vae``.

====================  =========================================================================
mean                  mean spectrum of the training materials
nearest, soft         target of the most similar source; mean of targets weighted by similarity
ridge                 kernel ridge regression (radial basis functions) on the shape
shape, weak,          kernel ridge regression (Laplacian kernel) on one view of the spectrum
slope, local
learned               kernel ridge regression with a learned metric on the spectrum and on the
                      composition that is read from it
reading               what the composition alone would give, asked with the composition read
echo                  mean of all training targets, weighted by likeness to the regressions' answer
material              mean targets of the training materials, weighted by how likely the sample is,
                      or is like, each of them (``posterior.py``); joins when the clues are weighed
vae                   mean of the networks
composition           kernel ridge regression from composition alone: the row without the spectrum
both                  as ``learned``, with the composition that is known
====================  =========================================================================

``shape`` to ``learned``, and ``both`` where elements are known, learn from unpaired spectra of known composition, too
(``taught.py``); the baselines ``mean`` to ``ridge``, and ``both`` where the formula is, from measured pairs alone.

Densities of lines (see ``lines.py``) are predicted by the same kernels as ``learned`` and ``both``, and by the same
weights as ``material``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spectroflow.models import baselines
from spectroflow.models.bank import Bank
from spectroflow.models.blend import evidence_of
from spectroflow.models.features import CLUE_KINDS, KINDS, composition_features, spectrum_features
from spectroflow.models.known import composition_blocks, reading_blocks
from spectroflow.models.learned import fit_learned
from spectroflow.models.memory import Memory
from spectroflow.models.metric import STEPS, Blocks, Metric
from spectroflow.models.posterior import Posterior, Prototypes, Shown, outline
from spectroflow.models.reader import CompositionReader
from spectroflow.models.regression import MetricRegression, unit_targets
from spectroflow.models.steady import Steady
from spectroflow.models.taught import Taught

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

BASELINES = ("mean", "nearest", "soft", "ridge")
SPECTRUM_EXPERTS = ("mean", "ridge", "learned", "reading", "echo", "vae", "material")
COMPOSITION_EXPERTS = ("composition", "both")
SHARPNESS, ECHO_SHARPNESS = 30.0, 15.0
RBF_GAMMA, RBF_RIDGE = 4.0, 0.5
LAPLACE_GAMMA, LAPLACE_RIDGE = 2.0, 0.3


def experts_of(track: str) -> tuple[str, ...]:
    """Return the experts that are weighed in a track.

    The others are baselines, or views of the spectrum that ``echo`` listens to. Were they weighed too, the weights of
    fifteen experts that say much the same would be fitted to a few hundred materials, which costs more than it brings
    on measured minerals (``docs/model.md`` has the figures). Plain ``ridge`` costs nothing there, and is hard to pass
    where an archive is small, so it is heard as well.
    """
    return SPECTRUM_EXPERTS if track == "spectrum" else SPECTRUM_EXPERTS + COMPOSITION_EXPERTS


DENSITIES = ("kernel", "material")
"""What predicts where lines are."""


@dataclass(frozen=True)
class Opinion:
    """What is said of queries before anybody has weighed it.

    Attributes
    ----------
    predictions
        ``{expert: (queries, points)}``
    densities
        ``{one of DENSITIES: (queries, points)}``
    clues
        ``{clue: (queries, materials)}`` for the posterior.
    prototypes
        The materials.
    """

    predictions: dict[str, Float]
    densities: dict[str, Float]
    clues: dict[str, Float]
    prototypes: Prototypes

    def with_materials(self, posterior: Posterior) -> tuple[Opinion, Double]:
        """Return the opinion with the expert ``material``, and the evidence; see :func:`.blend.evidence_of`."""
        probability = posterior.probability(self.clues)
        share = probability.astype(np.float32)
        predictions = self.predictions | {"material": share @ self.prototypes.spectra}
        densities = self.densities | {"material": share @ self.prototypes.density}
        return replace(self, predictions=predictions, densities=densities), evidence_of(
            self.clues, probability, predictions
        )


@dataclass(frozen=True)
class KernelExperts:
    """The experts of one direction that look up, or interpolate between, training spectra."""

    bank: Bank
    memory: Memory
    targets: Memory
    taught: Taught
    reader: CompositionReader | None
    steady: Steady | None
    ridge: baselines.KernelRidge
    views: dict[str, baselines.KernelRidge]
    learned: dict[str, MetricRegression]
    prototypes: Prototypes

    @classmethod
    def fit(
        cls,
        bank: Bank,
        memory: Memory,
        targets: Memory,
        reader: CompositionReader | None,
        steady: Steady | None,
        candidates: Int,
        metrics: Mapping[str, Metric] | None = None,
        groups: tuple[Int, Int] | None = None,
        seed: int = 0,
        steps: int = STEPS,
    ) -> KernelExperts:
        """Fit on a memory of pairs and a memory of all targets (each its own source).

        Parameters
        ----------
        reader
            Fitted on the same folds; None where too few compositions are known.
        steady
            Learned from the same folds; None where too few materials have two spectra.
        candidates
            Rows of the source modality that may be looked at, paired or not.
        metrics
            As :attr:`metrics` of another fit gave them; those that are missing are learned here.
        groups
            What the split keeps whole, of the memory's rows and of the targets' rows, if not materials.
        seed, steps
            Of learning the metrics.
        """
        learned, taught = fit_learned(bank, memory, targets, reader, candidates, metrics or {}, groups, seed, steps)
        rows, weights = np.concatenate([memory.rows, taught.rows]), np.concatenate([memory.weights, taught.weights])
        wanted = np.concatenate([unit_targets(memory.targets), taught.targets])
        own = {kind: bank.source[kind][rows] for kind in KINDS}
        similar = {kind: value @ value.T for kind, value in own.items()}
        views = {
            kind: baselines.KernelRidge.fit(
                wanted,
                weights,
                baselines.laplacian_kernel(similar[kind], LAPLACE_GAMMA),
                LAPLACE_RIDGE,
            )
            for kind in KINDS
        }
        count = len(memory)
        ridge = baselines.KernelRidge.fit(
            memory.targets,
            memory.weights,
            baselines.gaussian_kernel(similar["shape"][:count, :count], RBF_GAMMA),
            RBF_RIDGE,
        )
        shown = Shown(
            np.concatenate([targets.material, taught.material]),
            np.concatenate([bank.target_values[targets.rows], unit_targets(taught.targets)]),
            np.concatenate([bank.target_valid[targets.rows], np.ones(taught.targets.shape, bool)]),
            np.concatenate([bank.target_density[targets.rows], taught.density]),
            np.concatenate([bank.target_composition[targets.rows], bank.source_composition[taught.rows]]),
            np.arange(len(targets) + len(taught.rows)) < len(targets),
        )
        prototypes = Prototypes.of(bank.source_material[rows], bank.source_composition[rows], shown)
        return cls(bank, memory, targets, taught, reader, steady, ridge, views, learned, prototypes)

    @property
    def metrics(self) -> dict[str, Metric]:
        """What was learned of likeness, by name."""
        return {name: regression.metric for name, regression in self.learned.items()}

    def predict(self, similar: Mapping[str, Float], blocks: Blocks, composition: Float, track: str) -> Opinion:
        """Predict for queries.

        Parameters
        ----------
        similar
            ``{kind: (queries, rows of the source modality)}``
        blocks
            What a metric sees of the queries' spectra.
        composition
            ``(queries, elements)`` atomic fractions, NaN rows where unknown; used in tracks other than ``spectrum``.
        """
        rows = np.concatenate([self.memory.rows, self.taught.rows])
        own = {kind: value[:, rows] for kind, value in similar.items()}
        paired = own["shape"][:, : len(self.memory)]
        found = {
            "mean": baselines.mean_spectrum(self.memory, len(paired)),
            "nearest": baselines.nearest_neighbour(self.memory, paired),
            "soft": baselines.soft_neighbours(self.memory, paired, SHARPNESS),
            "ridge": self.ridge.predict(baselines.gaussian_kernel(paired, RBF_GAMMA)),
        }
        for kind in KINDS:
            found[kind] = self.views[kind].predict(baselines.laplacian_kernel(own[kind], LAPLACE_GAMMA))
        clues = {kind: self.prototypes.best(own[kind]) for kind in CLUE_KINDS}
        if self.steady is not None:
            steady = self.steady.similarity(similar, rows)
            clues |= {kind: self.prototypes.best(value) for kind, value in steady.items()}
        read: tuple[Blocks, ...] = ()
        if self.reader is not None:
            reading = self.reader.read(similar)
            read = (reading_blocks(reading),)
            clues["reading"] = self._agreement(reading, "formula")
            if "composition.formula" in self.learned:
                shares = reading**2 / np.maximum((reading**2).sum(axis=1, keepdims=True), 1e-9)
                asked = (composition_blocks(shares, "formula"),)
                found["reading"] = self.learned["composition.formula"].predict(asked)[""]
        kernel = self.learned["learned"].kernel((blocks, *read))
        clues["kernel"] = self.prototypes.best(kernel)
        answer = self.learned["learned"].answers(kernel)
        found["learned"] = answer[""]
        found["echo"] = self._echo(np.mean([found[kind] for kind in (*KINDS, "learned")], axis=0))
        if track != "spectrum":
            known = (composition_blocks(composition, track),)
            clues["composition"] = self._agreement(composition_features(composition, track), track)
            if f"composition.{track}" in self.learned:
                found["composition"] = self.learned[f"composition.{track}"].predict(known)[""]
            if f"both.{track}" in self.learned:
                told = np.isfinite(composition[:, :1])
                both = self.learned[f"both.{track}"].predict((blocks, *read, *known))
                found["both"] = both[""]
                answer = {kind: np.where(told, both[kind], answer[kind]) for kind in answer}
        answers = {"answer": answer[""]} | {f"answer {n}": found[n] for n in ("reading", "composition") if n in found}
        clues |= {name: outline(value) @ self.prototypes.outlines.T for name, value in answers.items()}
        for name, holds in (("seen", self.prototypes.seen), ("measured", self.prototypes.measured)):
            clues[name] = np.tile(holds.astype(np.float32), (len(paired), 1))
        return Opinion(found, {"kernel": answer["density"]}, clues, self.prototypes)

    def _agreement(self, asked: Float, track: str) -> Float:
        return self.prototypes.agreement(asked, composition_features(self.prototypes.fractions, track))

    def _echo(self, answer: Float) -> Float:
        seen = spectrum_features(np.clip(answer, 0.0, None), self.bank.target_modality, ("shape",))["shape"]
        similarity = seen @ self.bank.target["shape"][self.targets.rows].T
        return baselines.soft_neighbours(self.targets, similarity, ECHO_SHARPNESS)
