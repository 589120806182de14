"""What converting costs: beside only reading the text, on two workers, again, on many files, and on damaged ones.

    python -m benchmarks.convert [--quick] [--json] [--only PART]... [--with FILE]...

- ``ratio``: RRUFF text converted inline (catalogue, probe, read, check, digest, write, commit) beside
  ``numpy.loadtxt`` over the same files, each in a process of its own, in alternation, medians of process CPU time.
  Where ``SPECTROFLOW_TEST_DATA`` names the RRUFF pack it is that, else synthetic files like it.
- ``workers``: the same work on Ray with one worker and with two.
- ``many``: 100,000 files converted, and the second run that finds nothing to do; peak memory beside that of 10,000.
- ``fuzz``: 200,000 damaged files over all readers.

``--only`` measures some parts, and ``--with`` takes the figures of others from earlier results; without ``--only``,
what these lack is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import presenting
from benchmarks.convert_work import write_many, write_spectra

GOALS = {
    "cpu_ratio_to_loadtxt": ("<=", 1.0),
    "speedup_2_workers": (">=", 1.8),
    "rerun_unchanged_100k_cpu_s": ("<", 20.0),
    "rss_ratio_large_to_small": ("<=", 1.1),
    "fuzz_files": (">=", 200_000.0),
    "fuzz_failures": ("=", 0.0),
}
SCALED = frozenset(GOALS) - {"fuzz_failures"}
"""Figures that less work changes."""


def part(name: str, *arguments: object) -> dict[str, Any]:
    """Run a part in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.convert_work", name, *map(str, arguments)],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def ratio_to_loadtxt(folder: Path, quick: bool) -> dict[str, float]:
    """Convert and only read, in alternation."""
    data = os.environ.get("SPECTROFLOW_TEST_DATA", "")
    source, manifest = Path(data) / "rruff", Path(data) / "rruff" / "manifest.csv"
    if quick or not manifest.exists():
        source, manifest = folder / "text", Path()
        write_spectra(source, 150 if quick else 1500, 1500)
    listed = str(manifest) if manifest.name else ""
    ratios, seconds = [], []
    for _ in range(1 if quick else 5):
        shutil.rmtree(folder / "archive", ignore_errors=True)
        ours = part("convert", source, folder / "archive", listed)
        theirs = part("loadtxt", source, listed)
        ratios.append(ours["cpu_s"] / theirs["cpu_s"])
        seconds.append(ours["cpu_s"])
    return {
        "cpu_ratio_to_loadtxt": statistics.median(ratios),
        "convert_cpu_s": statistics.median(seconds),
        "convert_rows": float(ours["rows"]),
    }


def workers(folder: Path, quick: bool) -> dict[str, float]:
    """Convert with one worker and with two."""
    source = folder / "many"
    write_many(source, 9_000 if quick else 48_000, 200 if quick else 2000)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(1 if quick else 2):
        for count in (1, 2):
            shutil.rmtree(folder / "archive", ignore_errors=True)
            rates[count].append(part("on_ray", source, folder / "archive", count)["rows_per_s"])
    shutil.rmtree(source)
    return {
        "speedup_2_workers": statistics.median(b / a for a, b in zip(rates[1], rates[2], strict=True)),
        "spectra_per_s_1_worker": statistics.median(rates[1]),
        "spectra_per_s_2_workers": statistics.median(rates[2]),
    }


def many(folder: Path, quick: bool) -> dict[str, float]:
    """Convert few and many files, and the many again."""
    few, lots = (300, 1_500) if quick else (10_000, 100_000)
    write_spectra(folder / "few", few, 60)
    write_spectra(folder / "lots", lots, 60)
    small = part("convert", folder / "few", folder / "small")
    large = part("convert", folder / "lots", folder / "large")
    again = part("convert", folder / "lots", folder / "large")
    if again["rows"]:
        raise SystemExit(f"the second run converted {again['rows']} records")
    return {
        "rerun_unchanged_100k_cpu_s": again["cpu_s"],
        "rss_ratio_large_to_small": large["rss_mb"] / small["rss_mb"],
        "rss_large_mb": large["rss_mb"],
        "files_per_cpu_s": lots / large["cpu_s"],
    }


def fuzz(quick: bool) -> tuple[dict[str, float], str]:
    """Read damaged files in two processes, a share each."""
    from concurrent.futures import ThreadPoolExecutor

    data = os.environ.get("SPECTROFLOW_TEST_DATA", "")
    share = 1_000 if quick else 100_000
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda seed: part("fuzz", share, seed, data), (1, 2)))
    failed = [line for each in done for line in each["failures"]]
    outcomes = ", ".join(f"{code} {count}" for code, count in sorted(done[0]["outcomes"].items()))
    text = f"  damaged files of {done[0]['formats']} formats: {outcomes}" + "".join(f"\n  {line}" for line in failed)
    return {
        "fuzz_files": float(sum(each["files"] for each in done)),
        "fuzz_failures": float(sum(each["failed"] for each in done)),
        "fuzz_slowest_s": max(each["slowest_s"] for each in done),
    }, text


def in_folder(measure: Callable[[Path, bool], dict[str, float]]) -> presenting.Part:
    """Return a part that measures in a folder which is then removed."""

    def measured(quick: bool) -> tuple[dict[str, float], str]:
        with tempfile.TemporaryDirectory(prefix="spectroflow-convert-") as name:
            return measure(Path(name), quick), ""

    return measured


PARTS = {"ratio": in_folder(ratio_to_loadtxt), "workers": in_folder(workers), "many": in_folder(many), "fuzz": fuzz}

if __name__ == "__main__":
    presenting.in_parts("convert", PARTS, GOALS, SCALED)
