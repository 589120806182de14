"""Training on Ray Train: each worker takes a share of the networks and keeps their states."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from spectroflow.config import EngineConfig
from spectroflow.engine.events import Event
from spectroflow.engine.preflight import Node, capacity, require_resources
from spectroflow.engine.processor import Resources
from spectroflow.engine.ray_cluster import connect, nodes
from spectroflow.errors import ModelError, SpectroFlowError, Unreachable
from spectroflow.jobs.model_files import device_of, worker_resources
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.tensorboard import TensorBoardLog
from spectroflow.jobs.train import LocationHooks, NetworkProgress
from spectroflow.jobs.training_data import TrainingInput
from spectroflow.models.training import train_networks
from spectroflow.storage import Location

RESTARTS = 3
"""Times that Ray Train begins again after a worker or a node died; finished networks are kept."""

_POLL_SECONDS = 2.0


def train_on_ray(
    source: TrainingInput, states: Location, workers: int, options: JobOptions, log: TensorBoardLog | None = None
) -> int:
    """Train every network of the ensemble and keep its state below ``states``.

    Parameters
    ----------
    source
        What each worker reads for itself.
    states
        Where states are kept; every node must see it.
    workers
        Ray Train workers; fewer where the nodes do not hold so many.
    log
        Where each worker writes for TensorBoard, or None.

    Returns
    -------
    int
        How many workers there were.

    Raises
    ------
    ModelError
        A worker's training failed for a reason that trying again does not remove.
    Unreachable
        Workers died more often than Ray Train restarts them.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    connect(workers + 1)
    workers, needs = places(workers, source.config.engine, nodes())
    per_worker = {"CPU": needs.cpus} | ({"GPU": needs.gpus} if needs.gpus else {})
    _clear_errors(states, workers)
    trainer = TorchTrainer(
        _train_share,
        train_loop_config={"source": source, "states": states, "log": log, "needs": needs},
        # No gradients travel, and workers that share a graphics processor could not speak through it.
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=needs.gpus > 0, resources_per_worker=per_worker),
        run_config=RunConfig(name="ray-train", failure_config=FailureConfig(max_failures=RESTARTS), **_storage(states)),
    )
    try:
        with _relaying(states, workers, options.listener):
            trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise Unreachable(
            f"training failed {RESTARTS + 1} times ({str(error).splitlines()[0]})",
            where=str(states),
            remedy="Look at the memory of the workers; the same command continues with the networks that are done.",
        ) from error
    for rank in range(workers):
        with contextlib.suppress(FileNotFoundError):
            told = json.loads((states / f"error-{rank}.json").read_bytes())
            raise ModelError(told["message"], where=told["where"], remedy=told["remedy"])
    return workers


def places(workers: int, config: EngineConfig, here: list[Node]) -> tuple[int, Resources]:
    """Return how many workers train at the same time on the nodes of a cluster, and what each asks for.

    Ray Train waits for all of its workers, so there are no more than find a core, and a graphics processor if they ask.
    """
    needs = worker_resources(config)
    require_resources(needs, here)
    return min(workers, capacity(needs, here)), needs


def _train_share(config: dict[str, Any]) -> None:
    """Run in a Ray Train worker: train this worker's share of the networks."""
    import ray.train
    import torch

    context = ray.train.get_context()
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    source, states = config["source"], config["states"]
    rank = context.get_world_rank()

    def tell(event: Event) -> None:
        told = {key: value for key, value in event.to_json().items() if key != "event"}
        (states / f"progress-{rank}.json").write_bytes(json.dumps(told).encode())

    hooks = LocationHooks(states, source.config.train.epochs, tell, rank, context.get_world_size(), config["log"])
    try:
        trained = train_networks(source.load(), source.config.train, device=device_of(config["needs"]), hooks=hooks)
    except SpectroFlowError as error:
        told = {"message": error.message, "where": error.where, "remedy": error.remedy}
        (states / f"error-{rank}.json").write_bytes(json.dumps(told).encode())
        trained = []
    ray.train.report({"networks": len(trained)})


def _storage(states: Location) -> dict[str, Any]:
    """Return where Ray Train keeps its own small state: beside ours."""
    if states.is_local:
        return {"storage_path": str(states)}
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    from spectroflow.storage.remote import file_system

    handler = PyFileSystem(FSSpecHandler(file_system(states.protocol, repeats=True)))
    return {"storage_path": states.path, "storage_filesystem": handler}


def _clear_errors(states: Location, workers: int) -> None:
    for rank in range(workers):
        (states / f"error-{rank}.json").delete()
        (states / f"progress-{rank}.json").delete()


@contextlib.contextmanager
def _relaying(states: Location, workers: int, listener: Callable[[Event], None]) -> Iterator[None]:
    """Tell the listener what workers last wrote of their progress, every two seconds."""
    ended = threading.Event()
    seen: dict[int, bytes] = {}

    def relay() -> None:
        while not ended.wait(_POLL_SECONDS):
            for rank in range(workers):
                with contextlib.suppress(FileNotFoundError, ValueError):
                    data = (states / f"progress-{rank}.json").read_bytes()
                    if data != seen.get(rank):
                        seen[rank] = data
                        listener(NetworkProgress(**json.loads(data)))

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
