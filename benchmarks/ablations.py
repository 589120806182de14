"""What each part of the generator is worth: the same spectra asked again with one part taken away.

Two tables. In the first, single networks are trained anew for every row, without two of five folds of
materials in turn, for few epochs: it compares rows and is no measure of the finished model. In the second,
networks are trained once and the experts of the blend are changed. Both are asked for materials that were
in no training; differences are paired, spectrum by spectrum, with 95 % bootstrap intervals over materials.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import presenting
from benchmarks.ablation_blend import rows
from benchmarks.ablation_networks import DIRECTIONS, VARIANTS, Scores, Variant, judge, materials_of
from benchmarks.honest_table import markdown
from benchmarks.model_work import archive_with_lines, options, tell, training_data, work_folder
from spectroflow.config import TrainConfig, digest
from spectroflow.jobs import JobOptions
from spectroflow.jobs.model_files import load_generator
from spectroflow.jobs.train import train
from spectroflow.metrics import Interval, bootstrap_interval, paired_difference
from spectroflow.models.data import TrainingData
from spectroflow.models.ensemble import describe
from spectroflow.storage import Location

EPOCHS = 20
HELD = (0, 1)
BLENDED = (("raman", "ir"), ("ir", "raman"))


def measure(quick: bool) -> tuple[dict[str, float], str]:
    """Return all figures and both tables."""
    budget = {} if quick else {"train": {"epochs": EPOCHS, "stop_every": EPOCHS}}
    chosen = options(quick, **budget)
    with work_folder("ablations") as folder:
        archive = archive_with_lines(folder, quick, chosen)
        if archive is None:
            return {}, "Real spectra are needed: set SPECTROFLOW_TEST_DATA."
        figures, first = networks(archive, folder / "ablations", quick, chosen)
        more, second = blends(archive, folder, quick, chosen)
        (folder / "ablations.md").write_text(f"{first}\n{second}")
    return figures | more, f"{first}\n{second}"


def networks(archive: Path, kept: Path, quick: bool, chosen: JobOptions) -> tuple[dict[str, float], str]:
    """Train and judge every variant of a single network; scores that are kept are not found again."""
    data = training_data(archive, chosen, ("ir", "raman"))
    config = chosen.config.train
    held = HELD[:1] if quick else HELD
    variants = VARIANTS[:5:4] if quick else VARIANTS
    columns = [(s, t, measure) for s, t in DIRECTIONS for measure in ("r", "f1")] + [(s, s, "r") for s, _ in DIRECTIONS]
    materials = {(s, t): materials_of(data, config, held, s, t) for s, t, _ in columns}
    figures: dict[str, float] = {}
    base: Scores = {}
    lines: list[list[str]] = []
    for variant in variants:
        tell(f"networks: {variant.title}")
        scores = _judged(kept, variant, data, config, held)
        base = base or scores
        cells = []
        for key in columns:
            source, target, name = key
            interval = bootstrap_interval(scores[key], materials[source, target], samples=0)
            figures[f"{variant.key}_{name}_{source}_{target}"] = interval.mean
            change = ""
            if scores is not base:
                change = _change(paired_difference(scores[key], base[key], materials[source, target]))
            cells.append(f"{interval.mean:.3f}{change}")
        lines.append([variant.title, *cells])
    titles = [f"{s} to {t}, {'r' if name == 'r' else 'F1'}" for s, t, name in columns[:4]]
    titles += [f"{s} rebuilt, r" for s, _ in DIRECTIONS]
    return figures, markdown(["single network", *titles], lines)


def blends(archive: Path, folder: Path, quick: bool, chosen: JobOptions) -> tuple[dict[str, float], str]:
    """Judge the generator with other experts in its blend."""
    place = folder / ("small-ablation-model" if quick else "ablation-model")
    tell("train")
    train(str(archive), str(place), pairs=list(BLENDED), options=chosen)
    generator = load_generator(Location.parse(place))
    figures: dict[str, float] = {}
    cells: dict[str, list[str]] = {}
    directions = BLENDED[:1] if quick else BLENDED
    for direction in directions:
        tell(f"blends: {direction[0]} to {direction[1]}")
        found = rows(generator, direction)
        pairs = generator.data.pairs(*direction)
        materials = [generator.data.materials[m] for m in generator.data.material[direction[0]][pairs[:, 0]]]
        for key, (title, scores) in found.items():
            interval = bootstrap_interval(scores, materials, samples=0)
            figures[f"{key}_r_{direction[0]}_{direction[1]}"] = interval.mean
            change = "" if key == "blend" else _change(paired_difference(scores, found["blend"][1], materials))
            cells.setdefault(title, []).append(f"{interval.mean:.3f}{change}")
    titles = ["generator", *(f"{s} to {t}, r" for s, t in directions)]
    return figures, markdown(titles, [[title, *row] for title, row in cells.items()])


def _judged(kept: Path, variant: Variant, data: TrainingData, config: TrainConfig, held: Sequence[int]) -> Scores:
    kept.mkdir(exist_ok=True)
    parts: list[Scores] = []
    for k in held:
        made_of = {"train": config.model_dump(mode="json"), "data": describe(data), "held": k}
        path = kept / f"{variant.key}-{digest(made_of, 12)}.npz"
        if not path.exists():
            scores = judge(data, variant, config, [k])
            np.savez(path, **{" ".join(key): values for key, values in scores.items()})
        with np.load(path) as found:
            parts.append({(s, t, m): found[name] for name in found.files for s, t, m in [name.split(" ")]})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _change(difference: Interval) -> str:
    if not np.isfinite(difference.low):
        return ""
    return f" ({difference.mean:+.3f}, {difference.low:+.3f} to {difference.high:+.3f})"


if __name__ == "__main__":
    presenting.main("ablations", measure, {}, ())
