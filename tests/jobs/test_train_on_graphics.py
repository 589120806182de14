"""Networks on graphics processors: where the configuration says so, and never as a surprise."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spectroflow.config import EngineConfig, load
from spectroflow.engine.preflight import Node
from spectroflow.errors import SpectroFlowError, Unreachable
from spectroflow.jobs import JobOptions
from spectroflow.jobs.train import train
from spectroflow.jobs.train_on_ray import places
from spectroflow.jobs.transfer import transfer
from tests.jobs.test_train_job import PAIRS, TINY

SHARED = "engine.gpus_per_worker=0.5"
without_one = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU that torch can use")


@pytest.mark.parametrize(
    ("share", "processors", "asked", "workers"),
    [(0.0, 1, 10, 10), (0.0, 1, 20, 16), (1.0, 1, 10, 1), (0.125, 1, 10, 8), (1.0, 8, 5, 5)],
)
def test_no_more_workers_train_than_find_a_place(share: float, processors: float, asked: int, workers: int) -> None:
    found, needs = places(asked, EngineConfig(gpus_per_worker=share), [Node("one", 16.0, processors, 64 << 30)])
    assert (found, needs.gpus) == (workers, share)


def test_a_cluster_without_any_is_told_at_once() -> None:
    with pytest.raises(Unreachable, match="no node of the cluster has 1 graphics processors"):
        places(2, EngineConfig(gpus_per_worker=1.0), [Node("one", 16.0, 0.0, 64 << 30)])


@without_one
def test_one_that_torch_cannot_use_is_refused_with_the_remedy(simulated: Path, tmp_path: Path) -> None:
    options = JobOptions(config=load(None, [*TINY]), workers=0)
    asking = replace(options, config=load(None, [*TINY, SHARED]))
    with pytest.raises(Unreachable, match="finds no graphics processor that it can use") as caught:
        train(str(simulated), str(tmp_path / "model"), pairs=PAIRS, options=asking)
    assert "engine.gpus_per_worker to 0" in caught.value.remedy
    train(str(simulated), str(tmp_path / "model"), pairs=PAIRS, options=options)
    assert json.loads((tmp_path / "model" / "card.json").read_text())["cost"]["device"] == "cpu"
    with pytest.raises(SpectroFlowError, match="finds no graphics processor that it can use"):
        transfer(str(tmp_path / "model"), str(simulated), str(tmp_path / "out"), pairs=PAIRS, options=asking)
    done = transfer(str(tmp_path / "model"), str(simulated), str(tmp_path / "out"), pairs=PAIRS, options=options)
    assert done.rows.ok > 0


@without_one
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_more_workers_than_graphics_processors_do_not_wait_for_ever(simulated: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    # Ray is told of a processor that is not there, and gives it to two of the three; these then miss it.
    ray.init(
        num_cpus=3,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        options = JobOptions(config=load(None, [*TINY, SHARED]), workers=3)
        with pytest.raises(SpectroFlowError, match="finds no graphics processor that it can use"):
            train(str(simulated), str(tmp_path), pairs=PAIRS, options=options)
    finally:
        ray.shutdown()
    assert {path.name for path in tmp_path.rglob("error-*.json")} == {"error-0.json", "error-1.json"}
