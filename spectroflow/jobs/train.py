"""The train job: a generator from an archive, on Ray Train or in this process."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import spectroflow
from spectroflow.archive import Archive
from spectroflow.config import digest
from spectroflow.engine.events import Event
from spectroflow.errors import InvalidInput
from spectroflow.jobs.model_files import device_of, is_whole, load_generator, save_generator, worker_resources
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.sizing import available_cores
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.jobs.tensorboard import TensorBoardLog
from spectroflow.jobs.training_data import TrainingInput, modalities_for
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import describe, fit_generator
from spectroflow.models.evaluation import evaluate_species
from spectroflow.models.training import Figures, plan_networks, train_networks
from spectroflow.storage import Location

STATES = "training"
"""Folder, below the model, of the states that an interrupted training continues from."""


@dataclass(frozen=True, kw_only=True)
class NetworkProgress(Event):
    """One look at one network of the ensemble during training."""

    network: str
    epoch: int
    epochs: int
    figures: dict[str, float]


@dataclass(slots=True)
class LocationHooks:
    """Gives the training loop a place among workers and keeps states below the model directory.

    Attributes
    ----------
    folder
        Where states are kept; it is named after what decides them, so that a changed configuration begins anew.
    epochs
        For the progress that is reported.
    listener
        Told of progress.
    log
        For TensorBoard, or None.
    """

    folder: Location
    epochs: int
    listener: Callable[[Event], None]
    rank: int = 0
    world_size: int = 1
    log: TensorBoardLog | None = None

    def report(self, network: str, epoch: int, figures: Figures) -> None:
        """Tell how a network does."""
        if self.log:
            self.log.write(network, epoch, figures)
        self.listener(NetworkProgress(network=network, epoch=epoch, epochs=self.epochs, figures=dict(figures)))

    def save(self, network: str, state: bytes) -> None:
        """Keep the state of a network."""
        (self.folder / f"{network}.safetensors").write_bytes(state, durable=True)

    def load(self, network: str) -> bytes | None:
        """Return the state that was kept last."""
        try:
            return (self.folder / f"{network}.safetensors").read_bytes()
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a training has cost, over all calls that continued it; kept beside its states."""

    file: Location
    calls: int
    wall_seconds: float
    cpu_seconds: float
    began: tuple[float, float]

    @classmethod
    def earlier(cls, states: Location) -> Spent:
        """Return what earlier calls spent, and start the clocks of this one."""
        file = states / "cost.json"
        try:
            kept = json.loads(file.read_bytes())
        except (FileNotFoundError, ValueError):
            kept = {"calls": 0, "wall_seconds": 0.0, "driver_cpu_seconds": 0.0}
        clocks = (time.perf_counter(), time.process_time())
        return cls(file, kept["calls"], kept["wall_seconds"], kept["driver_cpu_seconds"], clocks)

    def total(self) -> dict[str, float]:
        """Return calls and seconds until now; a call that was killed is not counted."""
        return {
            "calls": self.calls + 1,
            "wall_seconds": round(self.wall_seconds + time.perf_counter() - self.began[0], 1),
            "driver_cpu_seconds": round(self.cpu_seconds + time.process_time() - self.began[1], 1),
        }

    def keep(self) -> None:
        """Write it down for the next call."""
        self.file.write_bytes(json.dumps(self.total()).encode())


def train(archive: str, model: str, *, pairs: Sequence[tuple[str, str]] = (), options: JobOptions) -> Summary:
    """Train a generator.

    Parameters
    ----------
    archive
        What to learn from.
    model
        Directory to write. States of an interrupted training below it are continued.
    pairs
        Directions; all that have enough paired materials if empty.

    Raises
    ------
    InvalidInput
        There are too few pairs, or a modality is missing.
    ModelError
        The loss became NaN; the last good state is kept.
    """
    began = time.perf_counter()
    opened = Archive(archive)
    target = Location.parse(model)
    names = modalities_for(opened, pairs, options.config)
    source = TrainingInput(opened.root, opened.version.number, names, options.where, options.config)
    data = source.load()
    directions = list(pairs) or learnable(data, options.config.train.folds)
    log = TensorBoardLog.beside(target) if options.config.train.tensorboard else None
    data.require_pairs(directions, options.config.train.folds)
    rows = Rows(total=sum(map(len, data.spectra.values())), ok=sum(map(len, data.spectra.values())))
    fingerprint = _fingerprint(data, directions, options)
    facts = describe(data) | {"offered": source.offered()}
    choice = [
        f"of {offered:,} {name} spectra {len(data.spectra[name]):,} are learned from, some of each material: "
        f"train.most_spectra is {options.config.train.most_spectra:,}"
        for name, offered in facts["offered"].items()
        if offered > options.config.train.most_spectra
    ]
    if options.dry_run:
        lines = [f"would train {len(plan_networks(options.config.train))} networks on {facts['materials']} materials"]
        lines += choice
        return Summary("train", status="dry run", rows=rows, output=str(target), details={"data": facts}, lines=lines)
    if is_whole(target) and load_generator(target).card.get("fingerprint") == fingerprint:
        return Summary("train", status="nothing to do", output=str(target), lines=["the same model is there"])
    workers = _workers(options)
    states = target / STATES / fingerprint[:12]
    spent = Spent.earlier(states)
    try:
        if workers:
            workers = _train_on_ray(source, states, workers, options, log)
        hooks = LocationHooks(states, options.config.train.epochs, options.listener, log=log)
        # What Ray's workers have trained is only collected here, where there may be no graphics processor.
        device = "cpu" if workers else device_of(worker_resources(options.config.engine))
        trained = train_networks(data, options.config.train, device=device, hooks=hooks)
        generator = fit_generator(
            data,
            trained,
            options.config.train,
            directions=directions,
            card=_card(opened, fingerprint, directions) | {"offered": facts["offered"]},
        )
    finally:
        spent.keep()
    generator.card["cost"] = {
        **spent.total(),
        "networks_cpu_seconds": round(sum(network.cpu_seconds for network in trained), 1),
        "workers": workers,
        "device": "cuda" if options.config.engine.gpus_per_worker else "cpu",
        "machine": platform.machine(),
    }
    generator.card["held_out_r"] = evaluate_species(generator, tracks=["spectrum"], batch=options.config.transfer.batch)
    save_generator(generator, target)
    (target / STATES).delete_tree()
    return Summary(
        "train",
        run=f"train-{fingerprint[:12]}",
        rows=rows,
        seconds=time.perf_counter() - began,
        output=str(target),
        details={
            "data": facts,
            "directions": [f"{s} to {t}" for s, t in directions],
            "networks": {network.plan.name: network.figures for network in trained},
        },
        lines=[f"{len(trained)} networks on {facts['materials']} materials, " + _what(directions), *choice],
    )


def learnable(data: TrainingData, folds: int) -> list[tuple[str, str]]:
    """Return the directions that have enough paired materials; none where there is one modality alone.

    Raises
    ------
    InvalidInput
        None has; the message is that of the first.
    """
    enough = []
    problem: InvalidInput | None = None
    for direction in data.directions():
        try:
            data.require_pairs([direction], folds)
            enough.append(direction)
        except InvalidInput as error:
            problem = problem or error
    if not enough and len(data.spectra) > 1:
        raise problem or InvalidInput(
            "no sample was measured in two modalities, so there is nothing to relate",
            remedy="Give sample ids with convert --manifest.",
        )
    return enough


def _what(directions: Sequence[tuple[str, str]]) -> str:
    if not directions:
        return "one modality: reconstruction only, nothing to generate"
    return "directions " + ", ".join(f"{s} to {t}" for s, t in directions)


def _workers(options: JobOptions) -> int:
    """Return the number of Ray Train workers; 0 trains in this process.

    Networks do not depend on each other, so each worker takes a share of them and no gradients travel.
    """
    if options.workers is not None:
        return options.workers[1] if isinstance(options.workers, tuple) else options.workers
    if options.config.train.epochs * options.config.train.folds <= 20:
        return 0
    networks = len(plan_networks(options.config.train))
    return networks if "RAY_ADDRESS" in os.environ else min(available_cores(), networks)


def _train_on_ray(
    source: TrainingInput, states: Location, workers: int, options: JobOptions, log: TensorBoardLog | None
) -> int:
    """Let Ray Train's workers train every network and keep its state; the caller then finds them finished."""
    from spectroflow.jobs.train_on_ray import train_on_ray

    return train_on_ray(source, states, workers, options, log)


def _fingerprint(data: TrainingData, directions: Sequence[tuple[str, str]], options: JobOptions) -> str:
    return digest(
        {
            "data": describe(data),
            "train": options.config.train.model_dump(mode="json", exclude={"tensorboard"}),
            "modalities": {name: modality.model_dump(mode="json") for name, modality in data.modalities.items()},
            "directions": [list(direction) for direction in directions],
            "version": spectroflow.__version__,
        },
        length=32,
    )


def _card(opened: Archive, fingerprint: str, directions: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "archive": str(opened.root),
        "archive_version": opened.version.number,
        "directions": [f"{s} to {t}" for s, t in directions],
        "spectroflow": spectroflow.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
