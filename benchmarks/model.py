"""The generator: how good it is for minerals it has never seen, beside what it must beat, and what training costs.

    python -m benchmarks.model [--quick] [--json] [--only pack|further]... [--with FILE]...

In full on the RRUFF pack that ``SPECTROFLOW_TEST_DATA`` names; with ``--quick`` on a simulated archive, whose
figures say nothing about real minerals and are therefore not judged. All figures are means over materials, of
five folds; ``docs/evaluation.md`` says what each protocol and track means. The part ``further``, keys that end in
``_further``, is of a generator that learned from further Raman spectra without a partner, too, asked for the same
pairs. A folder named by ``SPECTROFLOW_BENCH_WORK`` keeps archive, models and tables, so that an interrupted run is
continued.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import presenting
from benchmarks.honest_table import tables
from benchmarks.model_work import (
    FURTHER,
    PACK,
    archive_with_lines,
    known_structures,
    options,
    tell,
    training_data,
    work_folder,
)
from benchmarks.training_overhead import overhead
from spectroflow.jobs import JobOptions
from spectroflow.jobs.evaluate import evaluate
from spectroflow.jobs.train import train

LEAST = {
    "r_raman_ir": 0.75,
    "r_raman_ir_elements": 0.80,
    "r_raman_ir_formula": 0.84,
    "f1_raman_ir": 0.30,
    "r_ir_raman": 0.47,
    "r_ir_raman_elements": 0.50,
    "f1_ir_raman": 0.32,
    "r_xrd_ir": 0.52,
    "r_xrd_ir_elements": 0.66,
    "r_xrd_ir_library": 0.72,
    "r_xrd_raman": 0.26,
    "r_xrd_raman_library": 0.38,
    "r_raman_xrd_library": 0.58,
    "r_ir_xrd_library": 0.58,
    "top1_structure_elements": 0.82,
    "top10_structure": 0.40,
    "top1_structure_xrd": 0.95,
    "r_raman_ir_sample": 0.94,
    "r_ir_raman_sample": 0.87,
}
GOALS = {
    **{key: (">=", least) for key, least in LEAST.items()},
    "train_overhead_us_per_sample": ("<=", 150.0),
    "train_minutes": ("<=", 40.0),
}


NOTHING = "Real spectra are needed: set SPECTROFLOW_TEST_DATA."
PROTOCOLS = ("species", "sample")
"""Those that goals speak of; ``spectroflow evaluate --protocol paper`` on the same model takes one more training."""


def pack(quick: bool) -> tuple[dict[str, float], str]:
    """Return the figures of the RRUFF pack, or of the simulated archive, and the tables of the evaluation."""
    chosen = options(quick)
    with work_folder("model") as folder:
        archive = archive_with_lines(folder, quick, chosen)
        if archive is None:
            return {}, NOTHING
        model = folder / ("small-model" if quick else "model")
        tell("train")
        pairs = [("raman", "ir"), ("ir", "raman"), ("xrd", "ir")] if quick else []
        train(str(archive), str(model), pairs=pairs, options=chosen)
        # Over all calls, where the training was continued.
        cost = json.loads((model / "card.json").read_text())["cost"]
        figures = {"train_minutes": cost["wall_seconds"] / 60}
        tell("overhead")
        figures |= overhead(training_data(archive, chosen), chosen.config.train)
        library = None if quick else known_structures(folder, chosen)
        tell("evaluate")
        judged, protocols = judge(model, archive, PROTOCOLS, library, chosen)
        told = tables(protocols)
        (folder / "tables.md").write_text(told)
        return figures | judged, told


def further(quick: bool) -> tuple[dict[str, float], str]:
    """Return what a generator reaches on the same pairs that learned from further Raman spectra, too.

    Nothing where it is to be quick.
    """
    if quick:
        return {}, ""
    chosen = options(quick)
    with work_folder("model") as folder:
        place = folder / "further"
        archive = archive_with_lines(place, quick, chosen, (PACK, FURTHER))
        if archive is None:
            return {}, NOTHING
        tell("train with further spectra")
        train(str(archive), str(place / "model"), options=chosen)
        tell("evaluate")
        figures, protocols = judge(place / "model", archive, ("species",), known_structures(folder, chosen), chosen)
        told = "# Trained with the further Raman spectra, too\n\n" + tables(protocols)
        (place / "tables.md").write_text(told)
        return {f"{key}_further": value for key, value in figures.items()}, told


def judge(
    model: Path, archive: Path, names: Sequence[str], library: str | None, chosen: JobOptions
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the figures of some protocols, and all that was said of them."""
    figures: dict[str, float] = {}
    protocols: dict[str, Any] = {}
    for name in names:
        told = evaluate(str(model), str(archive), protocol=name, library=library, options=chosen).details
        protocols |= told["protocols"]
        figures |= with_structures(told.get("library", {}))
    return figures | accuracy(protocols), protocols


def accuracy(protocols: Mapping[str, Any]) -> dict[str, float]:
    """Return the means over materials by their keys, and how far the generator is above its best baseline."""
    figures: dict[str, float] = {}
    for direction, told in protocols["species"].items():
        short = direction.replace(" to ", "_")
        for track, contested in told["over_best_baseline"].items():
            known = "" if track == "spectrum" else f"_{track}"
            model = told["predictors"]["model" if track == "spectrum" else f"{track}/model"]
            for measure_, difference in contested.items():
                put(figures, f"{measure_}_{short}{known}", model[measure_]["mean"])
                put(figures, f"{measure_}_{short}{known}_over_baseline", difference["mean"])
                put(figures, f"{measure_}_{short}{known}_over_baseline_low", difference["low"])
                put(figures, f"{measure_}_{short}{known}_over_baseline_high", difference["high"])
        for bound in ("oracle", "replicate"):
            put(figures, f"r_{short}_{bound}", told["predictors"][bound]["r"]["mean"])
    for direction, told in protocols.get("sample", {}).items():
        short = direction.replace(" to ", "_")
        for who in ("model", "nearest", "soft", "replicate"):
            name = "" if who == "model" else f"_{who}"
            put(figures, f"r_{short}_sample{name}", told["predictors"][who]["r"]["mean"])
    return figures


def with_structures(directions: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures with a library: XRD alone for what starts from it, elements known for the others."""
    figures: dict[str, float] = {}
    for direction, tracks in directions.items():
        short = direction.replace(" to ", "_")
        told = tracks["spectrum" if direction.startswith("xrd") else "elements"]
        put(figures, f"r_{short}_library", told["r"]["mean"])
        put(figures, f"r_{short}_library_left_out", told["left_out_r"])
        if "over_lookup" in told:
            put(figures, f"r_{short}_lookup", told["lookup_r"]["mean"])
            put(figures, f"r_{short}_library_over_lookup", told["over_lookup"]["mean"])
            put(figures, f"r_{short}_library_over_lookup_low", told["over_lookup"]["low"])
    if "raman to xrd" in directions:
        figures["top1_structure_elements"] = directions["raman to xrd"]["elements"]["top1"]
        figures["top1_structure_elements_lookup"] = directions["raman to xrd"]["elements"]["lookup_top1"]
        figures["top10_structure"] = directions["raman to xrd"]["spectrum"]["top10"]
    if "xrd to raman" in directions:
        figures["top1_structure_xrd"] = directions["xrd to raman"]["spectrum"]["top1"]
    return figures


def put(figures: dict[str, float], key: str, value: float | None) -> None:
    """Add a figure unless there is none."""
    if value is not None:
        figures[key] = value


if __name__ == "__main__":
    presenting.in_parts("model", {"pack": pack, "further": further}, GOALS, GOALS)
