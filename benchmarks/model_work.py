"""Archives and models that benchmarks of the generator measure: real ones in full, simulated ones when quick."""

from __future__ import annotations

import csv
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
from spectroflow.jobs.library import build_library
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
    if quick:
        archive = folder / "simulated"
        if not archive.exists():
            simulate(str(archive), form="archive", options=chosen)
    else:
        if None in map(real_pack, packs):
            return None
        archive = archive_of(folder, chosen, packs)
    tell("fit")
    fit(str(archive), options=chosen)
    return archive


def archive_of(folder: Path, chosen: JobOptions, packs: Sequence[str] = (PACK,)) -> Path:
    """Return an archive of packs of real spectra that are there."""
    archive = folder / "archive"
    tell("convert")
    for pack in filter(None, map(real_pack, packs)):
        convert([str(pack)], str(archive), manifest=str(pack / "manifest.csv"), options=chosen)
    return archive


def known_structures(folder: Path, chosen: JobOptions) -> str | None:
    """Return a library of the structures that come with the real spectra, as an open database would have them."""
    pack = real_pack()
    if pack is None:
        return None
    tell("library")
    with (pack / "manifest.csv").open(newline="") as file:
        patterns = [row for row in csv.DictReader(file) if row["modality"] == "xrd"]
    listed = folder / "structures.csv"
    with listed.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "rruff_id", "group"])
        for row in patterns:
            structure = (pack / row["path"]).with_suffix(".cif")
            if structure.exists():
                writer.writerow([structure, row["rruff_id"], row["group"]])
    build_library([str(pack / "xrd")], str(folder / "library"), manifest=str(listed), options=chosen)
    return str(folder / "library")


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
