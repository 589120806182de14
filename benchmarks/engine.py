"""What the engine costs: units per second, memory, resuming, and the work itself with and without it.

    python -m benchmarks.engine [--quick] [--json] [--only PART]... [--with FILE] [--slices N]

- ``scale``: 250,000 units that do nothing, on Ray with two workers: durable units per second, the driver's
  memory, and how long a resume takes that finds all of them done.
- ``io``: writing and reading 1,024-point spectra through the engine beside plain zarr-python with the same chunks.
- ``memory``: a worker's peak over 10^4 and 10^6 rows that it reads and writes.
- ``overhead``: a fit of 200,000 spectra through the engine on Ray with two workers, beside a bare loop in two
  processes over the same arrays, in four slices, each of them done by both, who goes first in turns.

Then a table of what 10^5 to 10^9 spectra would cost, from the coefficients measured here. ``--only`` measures some
parts and ``--with`` takes the figures of the others from an earlier result; slices of the fit add up over calls.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks import common, engine_fit, engine_io, engine_scale
from benchmarks.common import Goal
from spectroflow.engine import Group, unit_shards_for

GOALS = [
    Goal("driver_rss_mb", most=1000.0),
    Goal("units_per_s", least=100.0, quick=False),
    Goal("resume_250k_s", most=60.0, quick=False),
    Goal("overhead_ratio", most=1.05, quick=False),
    Goal("io_read_ratio", least=0.85, quick=False),
    Goal("io_write_ratio", least=0.85, quick=False),
    Goal("worker_rss_ratio_large_to_small", most=1.1, quick=False),
    Goal("object_store_mb", most=50.0),
]
PARTS = ("scale", "io", "memory", "overhead")


def main() -> None:
    """Measure what was asked for and print the table, or one JSON object."""
    parser = common.parser("engine", __doc__, PARTS)
    parser.add_argument("--slices", type=int, default=engine_fit.SLICES, help="slices of the fit to do now")
    options = parser.parse_args()
    figures = common.in_parts(
        options, PARTS, lambda part, earlier: measure(part, options.quick, options.slices, earlier)
    )
    report = common.result("engine", figures, GOALS, quick=options.quick)
    common.show(report, as_json=options.json, after=costs(figures) + "\n")


def measure(part: str, quick: bool, slices: int, earlier: dict[str, float]) -> dict[str, float]:
    """Return the figures of one part."""
    # Ray's processes inherit this environment: workers find this package where the driver did.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="engine-benchmark-"))
    try:
        match part:
            case "scale":
                return engine_scale.scale(folder, 1_000 if quick else 250_000)
            case "io":
                return engine_io.throughput(folder, shards=16 if quick else 64, rounds=2 if quick else 12)
            case "memory":
                return engine_scale.worker_memory(folder, 4_000 if quick else 10_000, 16_000 if quick else 1_000_000)
            case _:
                if quick:
                    return engine_fit.overhead(folder, slices=1, rows=512, earlier={})
                return engine_fit.overhead(folder, slices=slices, rows=engine_fit.SLICE_ROWS, earlier=earlier)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def costs(figures: dict[str, float]) -> str:
    """Return a table of what archives of 10^5 to 10^9 spectra cost, from the measured coefficients.

    A unit is as many shards of 1,024 spectra as make a minute of fitting; a fit writes three arrays, so three
    objects a shard and a marker a unit.
    """
    needed = {"units_per_s", "resume_250k_s", "marker_bytes", "fit_ms_per_spectrum"}
    if not needed <= figures.keys():
        return ""
    head = (
        f"{'spectra':<9}{'units':>11}{'objects':>13}{'markers':>12}{'driver':>11}{'fit on 64 cores':>17}{'resume':>11}"
    )
    lines = ["", head]
    for power in range(5, 10):
        spectra = 10**power
        shards = math.ceil(spectra / 1024)
        group = Group(name="spectra", rows=spectra, shard_rows=1024)
        units = math.ceil(shards / unit_shards_for([group], figures["fit_ms_per_spectrum"] / 1e3, workers=64))
        cells = (
            f"{units:,}",
            f"{3 * shards + units:,}",
            f"{units * figures['marker_bytes'] / 1e6:,.1f} MB",
            duration(units / figures["units_per_s"]),
            duration(spectra * figures["fit_ms_per_spectrum"] / 1e3 / 64),
            duration(units * figures["resume_250k_s"] / 250_000),
        )
        lines.append(
            f"10^{power:<6}" + "".join(f"{c:>{w}}" for c, w in zip(cells, (11, 13, 12, 11, 17, 11), strict=True))
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
