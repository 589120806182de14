"""A small world of simulated materials: a few hidden numbers per material decide the lines of every modality."""

from __future__ import annotations

import numpy as np
import pytest

from spectroflow.config import TrainConfig
from spectroflow.modality import Modality, builtin
from spectroflow.models.data import SpectraOf, TrainingData, spectra_of

SMALL = TrainConfig(
    folds=3,
    epochs=6,
    batch=8,
    latent=4,
    hidden=16,
    decoder_lines=8,
    stop_every=3,
    stop_share=0.0,
    seed=3,
    metric_steps=8,
)

FORMULAS = ("CaCO_3_", "CaSO_4_·2H_2_O", "", "(Mg,Fe^2+^)_2_SiO_4_")  # the third material quarter has none


def coarse(name: str, step: float) -> Modality:
    modality = builtin()[name]
    return modality.model_copy(update={"grid": modality.grid.model_copy(update={"step": step})})


def simulate(
    materials: int = 30, samples: int = 2, seed: int = 0, names: tuple[str, ...] = ("raman", "ir")
) -> TrainingData:
    rng = np.random.default_rng(seed)
    modalities = {name: coarse(name, {"raman": 20.0, "ir": 20.0, "xrd": 1.0}[name]) for name in names}
    hidden = rng.uniform(0.1, 0.9, (materials, 3))
    spectra: dict[str, SpectraOf] = {}
    for name, modality in modalities.items():
        axis = modality.grid.axis()
        span = axis[-1] - axis[0]
        maps = np.random.default_rng(len(name)).uniform(0.0, 1.0, (3, 3))
        values, lines, labels, ids = [], [], [], []
        for m in range(materials):
            place = axis[0] + span * (0.1 + 0.8 * (hidden[m] @ maps) / maps.sum(axis=0))
            width = span / 20
            for s in range(samples):
                height = np.array([1.0, 0.6, 0.3]) * rng.uniform(0.9, 1.1, 3)
                bands = height[:, None] * np.exp(-2.77 * ((axis - place[:, None]) / width) ** 2)
                values.append(100 * (bands.sum(axis=0) + 0.2) + rng.normal(0, 0.5, axis.size))
                lines.append([[p, 100 * h, width, 0.0] for p, h in zip(place, height, strict=True)] + [[np.nan] * 4])
                labels.append(f"material-{m:02d}")
                ids.append(f"S{m:02d}{s}")
        spectra[name] = spectra_of(
            modality,
            np.asarray(values, np.float32),
            np.ones((len(values), axis.size), bool),
            lines=np.asarray(lines, np.float32),
            sample=ids,
            label=labels,
            digest=[f"{name}-{i}" for i in ids],
            formula=[FORMULAS[int(4 * hidden[int(i[1:3]), 0])] for i in ids],
        )
    return TrainingData.build(modalities, spectra)


@pytest.fixture(scope="session")
def small_data() -> TrainingData:
    return simulate()


@pytest.fixture(scope="session")
def small_config() -> TrainConfig:
    return SMALL
