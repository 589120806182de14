"""What the bytes of a run depend on besides its input, configuration and code; every worker records it in the run.

With the same surroundings a run writes the same bytes; with others it may differ by rounding.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from pathlib import Path

from spectroflow.engine.preflight import environment
from spectroflow.engine.processor import Processor
from spectroflow.storage import Location

SURROUNDINGS_FOLDER = "made_with"

_SETS = ("avx512f", "avx2", "avx", "sse4_2", "sve", "asimd")
"""Instruction sets by which libraries choose their kernels, the widest first, as Linux names them."""


def record_surroundings(run_dir: Location, processor: Processor) -> None:
    """Write down what this process computes with, once for all processes that have the same."""
    data = json.dumps(surroundings(processor), indent=1, sort_keys=True).encode()
    name = hashlib.blake2b(data, digest_size=6).hexdigest()
    place = run_dir / SURROUNDINGS_FOLDER / f"{name}.json"
    if not place.exists():
        place.write_bytes(data)


def recorded_surroundings(run_dir: Location) -> list[dict[str, str]]:
    """Return what all processes of a run computed with, each kind once."""
    folder = run_dir / SURROUNDINGS_FOLDER
    return [json.loads((folder / name).read_bytes()) for name in sorted(folder.list())]


def surroundings(processor: Processor) -> dict[str, str]:
    """Return versions, instruction set, threads of linear algebra, and the device that a processor computes on.

    A processor that may compute on something else than the CPU says so in its attribute ``device``.
    """
    return {
        **environment(),
        "machine": platform.machine(),
        "instruction_set": _instruction_set(),
        "threads": str(_threads()),
        "device": str(getattr(processor, "device", "cpu")),
    }


def _instruction_set() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return "unknown"
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    return next((name for name in _SETS if name in flags), "unknown")


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else os.cpu_count() or 1
