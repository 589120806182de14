"""Names of minerals from Raman spectra, with the RRUFF pack known and the further RRUFF spectra asked for.

A third of the further minerals are in the pack, by other samples; the others are not and should get no name. Beside it
what a search by likeness alone does, which always has an answer: the nearest spectrum by cosine and by Pearson
correlation, of spectra that are prepared in the same way. The further spectra played no part in anything that was
chosen for naming.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import common
from benchmarks.mixtures import gridded
from benchmarks.model_work import FURTHER, PACK, archive_of, options, real_pack, tell, training_data, work_folder
from spectroflow import simulate
from spectroflow.config import SimulateConfig
from spectroflow.modality import builtin
from spectroflow.models.data import TrainingData, spectra_of
from spectroflow.models.evaluation import calibration_error, macro_mean
from spectroflow.models.features import CLUE_KINDS, spectrum_features, unit
from spectroflow.models.likeness import ByMaterial, Others
from spectroflow.models.naming import Naming
from spectroflow.models.steady import Steady, shown_enough
from spectroflow.models.views import Views

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Scores = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]

SOURCE = "raman"


@dataclass(frozen=True)
class Asked:
    """Spectra that are asked for.

    Attributes
    ----------
    values
        ``(n, points)`` prepared.
    place
        ``(n,)`` the right one of the known materials, or how many there are where it is none of them.
    label
        ``(n,)`` index of the mineral's name.
    """

    values: Float
    place: Int
    label: Int


def measure(quick: bool) -> dict[str, float]:
    """Return all figures; none where real spectra are missing."""
    found = simulated() if quick else measured()
    if found is None:
        tell("Real spectra are needed: set SPECTROFLOW_TEST_DATA.")
        return {}
    data, more = found
    features = Views(data).features(SOURCE)
    stored = data.spectra[SOURCE]
    whole = shown_enough(stored.valid, np.arange(len(stored)))
    naming = Naming.fit(Others(features, data.material[SOURCE], stored.sample, whole), seed=0)
    assert naming is not None
    tell("names")
    table = ByMaterial(data.material[SOURCE])
    asked = further(data, more, table)
    seen = spectrum_features(asked.values, data.modalities[SOURCE], CLUE_KINDS)
    similar = {kind: seen[kind] @ features[kind].T for kind in CLUE_KINDS}
    steady = Steady.fit(features, data.material[SOURCE], whole)
    if steady is not None:
        similar |= steady.similarity(similar)
    likeness = {kind: table.best(value) for kind, value in similar.items()}
    probability = naming.probability(likeness, 0.5)
    figures = {
        "spectra": float(len(asked.place)),
        "known_spectra": float((asked.place < len(table.names)).sum()),
        "known_minerals": float(len(np.unique(asked.place[asked.place < len(table.names)]))),
        **judged("named", probability[:, :-1], probability[:, :-1].max(axis=1), asked),
        "calibration_error": calibration(probability, asked),
        "unknown_told": told(probability, asked),
    }
    for name, centre in (("cosine", False), ("pearson", True)):
        found = table.best(unit(asked.values, centre=centre) @ unit(stored.values, centre=centre).T)
        figures |= judged(name, found, found.max(axis=1), asked)
    return figures


def measured() -> tuple[TrainingData, TrainingData] | None:
    """Return the pack, and the pack with the further spectra."""
    if None in map(real_pack, (PACK, FURTHER)):
        return None
    chosen = options(False)
    with work_folder("naming") as folder:
        places = {folder / "own": (PACK,), folder / "both": (PACK, FURTHER)}
        for place in places:
            place.mkdir(exist_ok=True)
        data, more = (training_data(archive_of(at, chosen, packs), chosen, (SOURCE,)) for at, packs in places.items())
    return data, more


def simulated() -> tuple[TrainingData, TrainingData]:
    """Return two samples of 20 materials, and three of 30: the whole path is gone, and figures say nothing."""
    few, many = (
        list(simulate.spectra(SimulateConfig(materials=materials, samples=samples), (SOURCE,)))
        for materials, samples in ((20, 2), (30, 3))
    )
    return of_simulated(few), of_simulated(many)


def of_simulated(table: list[simulate.SimulatedSpectrum]) -> TrainingData:
    """Return simulated spectra as a model learns from them."""
    modality = builtin()[SOURCE]
    samples, labels, formulas = zip(*((one.sample_id, one.label, one.formula) for one in table), strict=True)
    spectra = spectra_of(
        modality, *gridded(table, modality), sample=samples, label=labels, digest=samples, formula=formulas
    )
    return TrainingData.build({SOURCE: modality}, {SOURCE: spectra})


def further(data: TrainingData, more: TrainingData, table: ByMaterial) -> Asked:
    """Return the spectra that are not in the pack."""
    stored = set(data.spectra[SOURCE].digest)
    rows = np.array([row for row, digest in enumerate(more.spectra[SOURCE].digest) if digest not in stored])
    number = {name: i for i, name in enumerate(data.materials)}
    label = more.material[SOURCE][rows]
    known = np.array([number.get(more.materials[i], -1) for i in label])
    place = np.searchsorted(table.names, known)
    absent = ~np.isin(known, table.names)
    return Asked(more.spectra[SOURCE].values[rows], np.where(absent, len(table.names), place), label)


def judged(
    name: str, score: npt.NDArray[np.floating], sure: npt.NDArray[np.floating], asked: Asked
) -> dict[str, float]:
    """Return how often the best and one of the three best is right, and how well sureness tells known from unknown."""
    known = asked.place < score.shape[1]
    order = np.argsort(-score[known], axis=1, kind="stable")[:, :3]
    hit = order == asked.place[known][:, None]
    group = np.unique(asked.label[known], return_inverse=True)[1]
    return {
        f"{name}_top1": macro_mean(hit[:, 0].astype(np.float64), group),
        f"{name}_top3": macro_mean(hit.any(axis=1).astype(np.float64), group),
        f"{name}_known_auc": auc(sure[known], sure[~known]),
    }


def auc(one: Scores, other: Scores) -> float:
    """Return how probable it is that a value of the one is above one of the other."""
    order = np.sort(other)
    below, at_most = np.searchsorted(order, one, side="left"), np.searchsorted(order, one, side="right")
    return float((below + at_most).mean() / (2 * len(other)))


def calibration(probability: Double, asked: Asked) -> float:
    """Return the mean distance between probability and truth, of known and unknown spectra in equal shares."""
    known = asked.place < probability.shape[1] - 1
    rows = np.concatenate([np.resize(np.flatnonzero(part), known.size) for part in (known, ~known)])
    right = probability[rows, :-1].argmax(axis=1) == asked.place[rows]
    return calibration_error(probability[rows, :-1].max(axis=1), right.astype(np.float64))


def told(probability: Double, asked: Asked) -> float:
    """Return the share of unknown minerals that are more likely none of the known ones."""
    unknown = asked.place == probability.shape[1] - 1
    group = np.unique(asked.label[unknown], return_inverse=True)[1]
    return macro_mean((probability[unknown, -1] > 0.5).astype(np.float64), group)


if __name__ == "__main__":
    common.main("naming", measure, [], __doc__)
