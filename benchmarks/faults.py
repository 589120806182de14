"""Faults of every kind, and whether anything was lost.

    python -m benchmarks.faults [--quick] [--json]

A run is killed with SIGKILL, or its disk fills up, or its object store fails; it is resumed, disturbed again, and
so on until it is done. Then every object is compared with that of an undisturbed run, every record is
counted, the archive is verified and its versions are counted. ``kills`` is how many faults there were that end a
process or a node, ``failures`` how many runs ended otherwise than documented or differed in a byte or a
figure, ``lost_rows`` how many records were missing or there twice.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from benchmarks import faults_inline, presenting
from benchmarks.faults_ray import ray_kills
from benchmarks.faults_storage import disk_faults, marker_faults, object_store_faults
from benchmarks.faults_work import Tally

GOALS = {"kills": (">=", 540.0), "failures": ("=", 0.0), "lost_rows": ("=", 0.0)}
SCALED = frozenset({"kills"})


def measure(quick: bool) -> tuple[dict[str, float], str]:
    """Return the figures and the table."""
    # Ray's processes inherit this environment: workers find this package where the driver did.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Ray prints the end of each process to stdout, which is the table's.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    folder = Path(tempfile.mkdtemp(prefix="faults-benchmark-"))
    kills, storage, rng = Tally(), Tally(), random.Random(0)
    try:
        faults_inline.at_each_step(folder, kills)
        faults_inline.at_random(folder, kills, 10 if quick else 500, rng)
        disk_faults(folder, storage)
        marker_faults(folder, storage)
        object_store_faults(folder, storage, kinds=("503",) if quick else ())
        if not quick:
            faults_inline.real_jobs_at_random(folder, kills, 40, rng)
        with ray_kills(folder, kills, rng) as on_ray:
            on_ray.workers_at_each_step()
            if not quick:
                on_ray.driver_at_each_step()
                on_ray.nodes_at_each_step()
                on_ray.nodes_at_random(4)
                on_ray.at_random(40)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = {
        "kills": float(kills.kills.total()),
        "failures": float(kills.failures.total() + storage.failures.total()),
        "lost_rows": float(kills.lost_rows.total() + storage.lost_rows.total()),
        "kills_inline_at_random": float(kills.kills["process, at random"]),
        "kills_of_real_jobs_at_random": float(kills.kills["convert and fit, at random"]),
        "kills_on_ray_at_random": float(kills.kills["worker or driver, at random"]),
        "kills_of_nodes": float(sum(count for kind, count in kills.kills.items() if kind.startswith("node"))),
        "kinds_of_faults": float(len(kills.runs) + len(storage.runs)),
        "runs_killed_and_resumed": float(kills.runs.total()),
        "runs_on_faulty_storage": float(storage.runs.total()),
        "requests_disturbed": float(sum(count for kind, count in storage.kills.items() if kind.startswith("S3"))),
    }
    return figures, kills.table() + storage.table()


if __name__ == "__main__":
    presenting.main("faults", measure, GOALS, SCALED)
