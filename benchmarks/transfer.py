"""Generating spectra: how many a core makes in a second, and whether cutting the work changes a byte.

In full with a generator of default size that remembers the RRUFF pack (trained for one epoch: speed does not
depend on what the weights are); with ``--quick`` with a small one that remembers simulated spectra.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from benchmarks import common
from benchmarks.model_work import archive_with_lines, options, tell, work_folder
from spectroflow.jobs.model_files import load_generator
from spectroflow.jobs.train import train
from spectroflow.models.generator import Generated, Generator
from spectroflow.storage import Location

DIRECTION = ("raman", "ir")
BATCH = 64
GOALS = [common.Goal("bytes_equal_at_batch_cuts", least=1), common.Goal("largest_change_at_other_places", most=1e-4)]


def measure(quick: bool) -> dict[str, float]:
    """Return all figures; none where real spectra are needed and missing."""
    chosen = options(quick, train={"epochs": 1, "stop_every": 1})
    with work_folder("transfer") as folder:
        archive = archive_with_lines(folder, quick, chosen)
        if archive is None:
            return {}
        place = folder / ("small-transfer-model" if quick else "transfer-model")
        tell("train")
        train(str(archive), str(place), pairs=[DIRECTION], options=chosen)
        began = time.process_time()
        generator = load_generator(Location.parse(place))
        figures = {"load_cpu_s": time.process_time() - began}
    return figures | speed(generator, 2 * BATCH if quick else 8 * BATCH) | cuts(generator)


def speed(generator: Generator, count: int) -> dict[str, float]:
    """Return CPU times of a first spectrum, for which the experts are fitted, and of many after it."""
    tell("speed")
    began = time.process_time()
    generate(generator, np.arange(1))
    first = time.process_time() - began
    rows = np.arange(count) % len(generator.data.spectra[DIRECTION[0]])
    seconds = common.cpu_seconds(lambda: generate(generator, rows))
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "first_spectrum_cpu_s": first,
        "spectra_per_core_s": count / seconds,
        "remembered_spectra": float(sum(map(len, generator.data.spectra.values()))),
        "networks": float(len(generator.networks)),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
    }


def cuts(generator: Generator) -> dict[str, float]:
    """Return whether work cut at multiples of a batch gives the same bytes, and how far other places move a value."""
    tell("cuts")
    rows = np.arange(min(3 * BATCH + 7, len(generator.data.spectra[DIRECTION[0]])))
    whole = generate(generator, rows)
    parts = [generate(generator, rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    equal = all(
        np.concatenate([getattr(part, name) for part in parts]).tobytes() == getattr(whole, name).tobytes()
        for name in ("intensity", "uncertainty", "confidence", "latent")
    )
    moved = generate(generator, np.roll(rows, 5)).intensity
    change = np.abs(moved - np.roll(whole.intensity, 5, axis=0)).max()
    return {"bytes_equal_at_batch_cuts": float(equal), "largest_change_at_other_places": float(change)}


def generate(generator: Generator, rows: np.ndarray) -> Generated:
    """Generate from some of the spectra that the generator remembers, as if they were new."""
    table = generator.data.spectra[DIRECTION[0]]
    return generator.generate(table.values[rows], table.valid[rows], table.lines[rows], *DIRECTION, batch=BATCH)


if __name__ == "__main__":
    common.main("transfer", measure, GOALS, __doc__)
