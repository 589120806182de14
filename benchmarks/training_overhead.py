"""What it costs to bring spectra to the network, beyond the step that learns from them."""

from __future__ import annotations

import numpy as np

from benchmarks import common
from benchmarks.model_work import one_core
from spectroflow.config import TrainConfig
from spectroflow.models.batches import Batches
from spectroflow.models.data import TrainingData
from spectroflow.models.losses import batch_loss
from spectroflow.models.training import build_network


def overhead(data: TrainingData, config: TrainConfig, epochs: int = 3) -> dict[str, float]:
    """Return CPU times in microseconds per spectrum: choosing, gathering and augmenting it, and the bare step.

    The bare step is forward, backward and nothing else, on batches that are there already. One thread does all of it,
    as in a training worker: two that wait for each other would count as work.
    """
    rows = {name: np.arange(len(table)) for name, table in data.spectra.items()}
    batches = Batches(data, rows, config, "cpu")
    ready = list(batches.epoch(0, 0))
    spectra = sum(len(found) for batch in ready for found in batch.rows.values())
    network = build_network(data.modalities, config).train()

    def bring() -> None:
        for _ in batches.epoch(0, 0):
            pass

    def learn() -> None:
        for batch in ready:
            batch_loss(network, batch, config).backward()

    with one_core():
        bring()
        learn()
        return {
            "train_overhead_us_per_sample": 1e6 * common.cpu_seconds(bring, epochs) / spectra,
            "train_bare_step_us_per_sample": 1e6 * common.cpu_seconds(learn, epochs) / spectra,
        }
