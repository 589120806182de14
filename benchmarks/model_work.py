"""Archives and models that benchmarks of the generator measure: real ones in full, simulated ones when quick."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks import common
from spectroflow.archive import Archive
from spectroflow.config import Config, parse
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate
from spectroflow.jobs.training_data import TrainingInput
from spectroflow.models.data import TrainingData

SMALL = {
    "simulate": {"materials": 10, "samples": 4},
    "train": {"folds": 3, "epochs": 2, "hidden": 32, "latent": 8, "decoder_lines": 16, "metric_steps": 4},
    "evaluate": {"bootstrap": 100},
}
RRUFF = {"convert": {"manifest_columns": {"sample_id": "rruff_id", "label": "group"}}}


@contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """Give a folder to work in: below ``SPECTROFLOW_BENCH_WORK``, where work is continued, or one that is removed."""
    kept = os.environ.get("SPECTROFLOW_BENCH_WORK")
    if kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix=f"spectroflow-{name}-") as temporary:
            yield Path(temporary)


def options(quick: bool, **sections: dict[str, object]) -> JobOptions:
    """Return the options of a benchmark: defaults in full, a small model in this process when quick."""
    base = SMALL if quick else RRUFF
    tree = {name: {**base.get(name, {}), **sections.get(name, {})} for name in {*base, *sections}}
    config: Config = parse(tree)
    if quick:
        torch.set_num_threads(1)  # small tensors: more threads only wait for each other
    return JobOptions(config=config, workers=0 if quick else None)


PACK, FURTHER = "rruff", "rruff_more"
"""The RRUFF pack, and further Raman spectra that have no partner in another modality."""


def real_pack(name: str = PACK) -> Path | None:
    """Return the folder of a pack of real spectra, if there is one."""
    folder = common.test_data()
    return folder / name if folder is not None and (folder / name / "manifest.csv").is_file() else None


def archive_with_lines(folder: Path, quick: bool, chosen: JobOptions, packs: Sequence[str] = (PACK,)) -> Path | None:
    """Return an archive with fitted lines, made if it is not there; None where real spectra are needed and missing."""
    archive = folder / ("simulated" if quick else "archive")
    if quick:
        if not archive.exists():
            simulate(str(archive), form="archive", options=chosen)
    else:
        found = [pack for pack in map(real_pack, packs) if pack is not None]
        if len(found) < len(packs):
            return None
        tell("convert")
        for pack in found:
            convert([str(pack)], str(archive), manifest=str(pack / "manifest.csv"), options=chosen)
    tell("fit")
    fit(str(archive), options=chosen)
    return archive


def training_data(
    archive: Path, chosen: JobOptions, modalities: tuple[str, ...] = ("ir", "raman", "xrd")
) -> TrainingData:
    """Return what a model is trained on."""
    opened = Archive(str(archive))
    return TrainingInput(opened.root, opened.version.number, modalities, None, chosen.config).load()


@contextmanager
def one_core() -> Iterator[None]:
    """Let torch use one core, as a worker does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tell(step: str) -> None:
    """Say what is being done, beside the result."""
    sys.stderr.write(f"{step}\n")
    sys.stderr.flush()
