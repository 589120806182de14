"""Training on Ray where nodes have graphics processors: how many workers there are, and that none waits for ever."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from spectroflow.config import EngineConfig, load
from spectroflow.engine.preflight import Node
from spectroflow.jobs import JobOptions
from spectroflow.jobs.train import train
from spectroflow.jobs.train_on_ray import places
from tests.jobs.test_train_job import PAIRS, TINY


@pytest.mark.parametrize(
    ("cores", "processors", "shared", "asked", "workers", "share"),
    [
        (16, 0, 1, 10, 10, 0.0),
        (16, 1, 1, 10, 10, 0.0),  # ten cores do more than one graphics processor
        (2, 1, 1, 2, 1, 1.0),
        (16, 8, 1, 10, 8, 1.0),
        (16, 1, 8, 10, 8, 0.125),
    ],
)
def test_workers_ask_for_graphics_processors_where_that_trains_more(
    cores: float, processors: float, shared: int, asked: int, workers: int, share: float
) -> None:
    found, needs = places(asked, EngineConfig(workers_per_gpu=shared), [Node("one", cores, processors, 64 << 30)])
    assert (found, needs.gpus) == (workers, share)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_more_workers_than_graphics_processors_do_not_wait_for_ever(simulated: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    # Ray is told of a processor that is not there: who takes it is real, the networks then run on the CPU.
    ray.init(
        num_cpus=3,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        options = JobOptions(config=load(None, [*TINY, "engine.workers_per_gpu=2"]), workers=3)
        train(str(simulated), str(tmp_path), pairs=PAIRS, options=options)
    finally:
        ray.shutdown()
    assert json.loads((tmp_path / "card.json").read_text())["cost"]["workers"] == 2
