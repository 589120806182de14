"""The experiments of the SpectroGen paper, each with the control that it lacks.

``reconstruct``  one modality encoded and decoded again, beside the nearest training spectrum
``classify``     which material a spectrum is of, by one classifier for all: on what was measured, generated and
                 *retrieved*. If retrieved spectra are classified as well as generated ones, then what generation
                 adds is memory of prototypes; if the input itself is, then nothing was gained on the way

Both ask the member that never saw the record's fold, so their figures mean what the split of the model says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spectroflow.models import baselines
from spectroflow.models.blend import correlation
from spectroflow.models.data import SpectraOf
from spectroflow.models.evaluation import generate_rows
from spectroflow.models.features import spectrum_features
from spectroflow.models.generator import Generator, Query
from spectroflow.models.memory import material_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

GAMMA, RIDGE = 4.0, 0.03
"""Of the classifier: fixed beforehand, and the same for every kind of input."""


def reconstruct(generator: Generator, modality: str, batch: int = 64) -> tuple[dict[str, Double], list[str]]:
    """Encode and decode spectra of one modality by networks that never saw their fold.

    Returns
    -------
    tuple
        ``{"network" | "nearest" | "mean": (n,) Pearson's r}`` and the material of each spectrum.
    """
    data, table, fold = generator.data, generator.data.spectra[modality], generator.folds[modality]
    found = {name: np.full(len(table), np.nan) for name in ("network", "nearest", "mean")}
    shape = generator.views.features(modality)["shape"]
    for k in range(generator.config.folds):
        asked, known = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        weights = material_weights(data.material[modality][known])
        nearest = table.values[known[(shape[asked] @ shape[known].T).argmax(axis=1)]]
        mean = np.average(table.values[known], axis=0, weights=weights)
        for start in range(0, len(asked), batch):
            rows = asked[start : start + batch]
            decoded = _decoded(generator, modality, table, rows, k)
            predictions = {
                "network": decoded,
                "nearest": nearest[start : start + batch],
                "mean": np.broadcast_to(mean, decoded.shape),
            }
            for name, values in predictions.items():
                found[name][rows] = correlation(values, table.values[rows], table.valid[rows])
    return found, [data.materials[i] for i in data.material[modality]]


def _decoded(generator: Generator, modality: str, table: SpectraOf, rows: Int, fold: int) -> Float:
    unknown = np.full((len(rows), generator.data.composition[modality].shape[1]), np.nan, np.float32)
    query = Query(table.values[rows], table.valid[rows], table.lines[rows], modality, modality, unknown, "spectrum")
    decoded, _ = generator.network_predictions(query, (fold,))
    return np.asarray(np.mean(list(decoded.values()), axis=0), np.float32)


def classify(
    generator: Generator, source: str, target: str, batch: int = 64
) -> tuple[dict[str, Double], list[str], int]:
    """Name the material of paired samples whose material was in training on another sample.

    Returns
    -------
    tuple
        ``{"measured" | "generated" | "retrieved" | "input": (n,) 1 where the material was named, else 0}``, the
        material of each case, and the number of materials to choose from (the mean over folds).
    """
    data = generator.data
    pairs = data.pairs(source, target)
    fold = generator.folds[source][pairs[:, 0]]
    material = data.material[source][pairs[:, 0]]
    hits: dict[str, list[Double]] = {}
    names: list[str] = []
    choices = []
    for k in range(generator.config.folds):
        trained = np.unique(material[fold != k])
        asked = pairs[(fold == k) & np.isin(material, trained)]
        if not len(asked):
            continue
        truth = data.material[source][asked[:, 0]]
        kinds = _spectra(generator, source, target, asked, batch)
        for name, (modality, values) in kinds.items():
            answer = Classifier(generator, modality, k, trained).name(values)
            hits.setdefault(name, []).append((answer == truth).astype(np.float64))
        names += [data.materials[i] for i in truth]
        choices.append(len(trained))
    found = {name: np.concatenate(parts) for name, parts in hits.items()}
    return found, names, round(float(np.mean(choices))) if choices else 0


def _spectra(
    generator: Generator, source: str, target: str, pairs: npt.NDArray[np.int64], batch: int
) -> Mapping[str, tuple[str, Float]]:
    """Return the spectra to classify, each with the modality whose classifier reads it."""
    table, wanted = generator.data.spectra[source], generator.data.spectra[target]
    made = generate_rows(generator, pairs[:, 0], source, target, batch=batch)
    return {
        "measured": (target, wanted.values[pairs[:, 1]]),
        "generated": (target, made.intensity),
        "retrieved": (target, made.experts["nearest"]),
        "input": (source, table.values[pairs[:, 0]]),
    }


class Classifier:
    """Kernel ridge regression on membership: one against all, on measured spectra outside a fold.

    Every material counts alike; the answer is the material with the greatest value.
    """

    def __init__(self, generator: Generator, modality: str, fold: int, materials: Int) -> None:
        material = generator.data.material[modality]
        rows = np.flatnonzero((generator.folds[modality] != fold) & np.isin(material, materials))
        self.modality, self.materials = generator.modalities[modality], materials
        self.known = generator.views.features(modality)["shape"][rows]
        member = (material[rows][:, None] == materials[None, :]).astype(np.float32)
        kernel = baselines.laplacian_kernel(self.known @ self.known.T, GAMMA)
        self.fit = baselines.KernelRidge.fit(member, material_weights(material[rows]), kernel, RIDGE)

    def name(self, values: Float) -> Int:
        """Return the material of each spectrum, ``(n, points)`` prepared."""
        shape = spectrum_features(values, self.modality, ("shape",))["shape"]
        answer = self.fit.predict(baselines.laplacian_kernel(shape @ self.known.T, GAMMA))
        found: Int = self.materials[answer.argmax(axis=1)]
        return found
