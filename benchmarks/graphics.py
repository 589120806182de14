"""What a graphics processor brings to training and to generation, beside a core of the same machine.

In full on the RRUFF pack that ``SPECTROFLOW_TEST_DATA`` names; with ``--quick`` on simulated spectra. Nothing is
taken where torch can use no graphics processor.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmarks import common
from benchmarks.model_work import archive_with_lines, one_core, options, tell, training_data, work_folder
from spectroflow.config import TrainConfig
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.training import InlineHooks, plan_networks, train_network

DIRECTION = ("raman", "ir")
BATCH = 64
SIDE_BY_SIDE = (1, 4, 8)
GOALS: list[common.Goal] = []


def measure(quick: bool) -> dict[str, float]:
    """Return all figures."""
    if not torch.cuda.is_available():
        tell("torch can use no graphics processor here: nothing is measured")
        return {}
    chosen = options(quick)
    with work_folder("graphics") as folder:
        archive = archive_with_lines(folder, quick, chosen)
        if archive is None:
            return {}
        data = training_data(archive, chosen)
    return figures_of(data, chosen.config.train, batches=2 if quick else 8)


def figures_of(data: TrainingData, config: TrainConfig, batches: int) -> dict[str, float]:
    """Return the figures of one set of spectra."""
    few = config.model_copy(update={"folds": 3, "metric_steps": 4})
    return training(data, config) | together(data, config) | generation(data, few, batches)


def training(data: TrainingData, config: TrainConfig) -> dict[str, float]:
    """Return how long one network takes, and its loss across modalities on the folds that it sees."""
    folds, plan = data.folds(config.folds, config.seed), plan_networks(config)[0]
    figures: dict[str, float] = {}
    for name, device, mixed in (("cpu", "cpu", False), ("float32", "cuda", False), ("bfloat16", "cuda", True)):
        tell(f"train {name}")
        chosen = config.model_copy(update={"mixed_precision": mixed})
        warm = chosen.model_copy(update={"epochs": 1})
        with one_core():
            train_network(data, folds, plan, warm, device=device, hooks=InlineHooks())
            began = time.perf_counter()
            trained = train_network(data, folds, plan, chosen, device=device, hooks=InlineHooks())
        figures[f"network_{name}_s"] = time.perf_counter() - began
        figures[f"network_{name}_across"] = trained.figures["across"]
    return figures


def together(data: TrainingData, config: TrainConfig) -> dict[str, float]:
    """Return epochs per second, of all together, where several processes share the graphics processor."""
    figures: dict[str, float] = {}
    config = config.model_copy(update={"epochs": max(1, config.epochs // 5)})
    spawning = torch.multiprocessing.get_context("spawn")
    for count in SIDE_BY_SIDE:
        tell(f"{count} side by side")
        start = spawning.Barrier(count + 1)
        workers = [spawning.Process(target=one_of_several, args=(data, config, n, start)) for n in range(count)]
        for worker in workers:
            worker.start()
        start.wait(timeout=300)
        began = time.perf_counter()
        for worker in workers:
            worker.join()
        figures[f"epochs_per_s_{count}"] = config.epochs * count / (time.perf_counter() - began)
    return figures


def one_of_several(data: TrainingData, config: TrainConfig, number: int, start: object) -> None:
    """Train one network once all others are ready to begin."""
    torch.set_num_threads(1)
    plans, folds = plan_networks(config), data.folds(config.folds, config.seed)
    warm = config.model_copy(update={"epochs": 1})
    train_network(data, folds, plans[number % len(plans)], warm, device="cuda", hooks=InlineHooks())
    start.wait()  # type: ignore[attr-defined]
    train_network(data, folds, plans[number % len(plans)], config, device="cuda", hooks=InlineHooks())


def generation(data: TrainingData, config: TrainConfig, batches: int) -> dict[str, float]:
    """Return spectra per second on one core, without and with a graphics processor for the networks."""
    tell("generate")
    quickly = config.model_copy(update={"epochs": 1, "stop_every": 1})
    hooks, folds = InlineHooks(), data.folds(quickly.folds, quickly.seed)
    trained = [train_network(data, folds, plan, quickly, device="cuda", hooks=hooks) for plan in plan_networks(quickly)]
    generator = fit_generator(data, trained, quickly, directions=[DIRECTION])
    files = generator.files()
    table = data.spectra[DIRECTION[0]]
    rows = np.arange(batches * BATCH) % len(table)
    figures: dict[str, float] = {}
    answers = {}
    for device in ("cpu", "cuda"):
        there = Generator.from_files(files, device=device)

        def generate(generator: Generator = there) -> np.ndarray:
            made = generator.generate(table.values[rows], table.valid[rows], table.lines[rows], *DIRECTION, batch=BATCH)
            return made.intensity

        with one_core():
            generate()
            began = time.perf_counter()
            answers[device] = generate()
        figures[f"spectra_per_s_{device}"] = len(rows) / (time.perf_counter() - began)
    figures["largest_difference"] = float(np.abs(answers["cpu"] - answers["cuda"]).max())
    return figures


if __name__ == "__main__":
    common.main("graphics", measure, GOALS, __doc__)
