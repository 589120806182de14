"""The parts of the convert benchmark that need a process of their own.

    python -m benchmarks.convert_work PART ARGUMENT...

Each prints one JSON object; CPU time is that of the process, without its imports and its first compilation.
"""

from __future__ import annotations

import csv
import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

REAL_COLUMNS = {"sample_id": "rruff_id", "label": "group"}


def write_spectra(folder: Path, count: int, points: int) -> None:
    """Write RRUFF-like Raman files, no two alike, a thousand to a folder."""
    axis = np.linspace(100.0, 1300.0, points)
    for number in range(count):
        rng = np.random.default_rng(number)
        values = rng.normal(100.0, 3.0, points) + 4000.0 / (1.0 + ((axis - rng.uniform(200, 1200)) / 8.0) ** 2)
        rows = "".join(f"{x:.4f}, {y:.3f}\n" for x, y in zip(axis.tolist(), values.tolist(), strict=True))
        path = folder / f"{number // 1000:04d}" / f"Synthetic__S{number:06d}__Raman__532__Raman_Data_RAW__{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"##NAMES=Material {number % 997}\n##RRUFFID=S{number:06d}\n{rows}##END=\n")


def write_many(folder: Path, count: int, points: int) -> None:
    """Write files as :func:`write_spectra` does, faster: 200 spectra again and again, each with its own last point."""
    write_spectra(folder, min(count, 200), points)
    whole = [path.read_text().removesuffix("##END=\n") for path in sorted(folder.rglob("*.txt"))]
    for number in range(len(whole), count):
        path = folder / f"{number // 1000:04d}" / f"Synthetic__S{number:06d}__Raman__532__Raman_Data_RAW__{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{whole[number % len(whole)]}1301.0000, {number}.000\n##END=\n")


def _convert(source: str, archive: str, manifest: str | None, workers: int, listener: Any = None) -> Any:
    from spectroflow.config import parse
    from spectroflow.jobs.convert import convert
    from spectroflow.jobs.options import JobOptions

    tree: dict[str, Any] = {"engine": {"verify_fraction": 0.0} | ({"unit_shards": 1} if workers else {})}
    if manifest:
        tree["convert"] = {"manifest_columns": REAL_COLUMNS}
    asked = (workers, workers) if workers else 0  # all of them before the first unit
    options = JobOptions(parse(tree), workers=asked, **({"listener": listener} if listener else {}))
    return convert([source], archive, manifest=manifest, options=options)


def _warm(scratch: Path) -> None:
    """Convert three files, so that everything is imported and compiled."""
    shutil.rmtree(scratch, ignore_errors=True)
    write_spectra(scratch / "in", 3, 60)
    axis = "".join(f"{x / 10:.1f} {x % 17}\n" for x in range(50, 200))
    (scratch / "in" / "warm_xrd.xy").write_text(axis)
    _convert(str(scratch / "in"), str(scratch / "archive"), None, 0)
    shutil.rmtree(scratch)


def convert(source: str, archive: str, manifest: str = "") -> dict[str, float]:
    """Convert everything below a folder, inline; an archive that exists is brought up to date."""
    _warm(Path(archive + ".warm"))
    started, cpu = time.perf_counter(), time.process_time()
    summary = _convert(source, archive, manifest or None, 0)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - started,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": summary.rows.total,
        "ok": summary.rows.ok,
    }


def loadtxt(source: str, manifest: str = "") -> dict[str, float]:
    """Only read the numbers of the same files with numpy."""
    if manifest:
        with Path(manifest).open(newline="") as file:
            paths = [Path(manifest).parent / row["path"] for row in csv.DictReader(file)]
    else:
        paths = sorted(Path(source).rglob("*.txt"))
    np.loadtxt(paths[0], delimiter=",", comments="##", encoding="utf-8")
    cpu = time.process_time()
    points = 0
    for path in paths:
        delimiter = None if path.suffix == ".xy" else ","
        points += len(np.loadtxt(path, delimiter=delimiter, comments="##", encoding="utf-8"))
    return {"cpu_s": time.process_time() - cpu, "rows": len(paths), "points": points}


def on_ray(source: str, archive: str, workers: str) -> dict[str, float]:
    """Convert on Ray; spectra per second from when all workers are warm to the last unit.

    A worker is warm once it has done what it was first given: two units, of one shard each.
    """
    count = int(workers)
    marks: list[tuple[float, int]] = []

    def listen(event: Any) -> None:
        if event.name() == "unit_done":
            marks.append((time.monotonic(), event.rows))

    summary = _convert(source, archive, None, count, listen)
    warm = marks[2 * count - 1 :]
    rows = sum(done for _, done in warm[1:])
    return {"rows_per_s": rows / (warm[-1][0] - warm[0][0]), "units": len(warm) - 1, "rows": summary.rows.total}


def fuzz(count: str, seed: str, data: str = "") -> dict[str, Any]:
    """Read damaged files with 256 MB above what whole ones take; count what breaks a bound."""
    from benchmarks.fuzzing import Fuzzer, memory_limit, seeds, warmed
    from benchmarks.mutations import mutations

    fuzzer, whole = Fuzzer(), seeds(Path(data) if data else None)
    warmed(fuzzer, whole)
    with memory_limit():
        fuzzer.read_all(mutations(whole, int(count), int(seed)))
    fuzzer.close()
    return {
        "files": fuzzer.outcomes.total(),
        "failures": fuzzer.failures[:20],
        "failed": len(fuzzer.failures),
        "slowest_s": fuzzer.slowest,
        "outcomes": fuzzer.outcomes,
        "formats": len({seed.format for seed in whole}),
    }


if __name__ == "__main__":
    parts = {"convert": convert, "loadtxt": loadtxt, "on_ray": on_ray, "fuzz": fuzz}
    print(json.dumps(parts[sys.argv[1]](*sys.argv[2:])))
