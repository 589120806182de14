"""What the last digits of a run depend on besides its input, configuration and code; recorded in the run.

Linear algebra chooses its kernels by processor and threads, so two runs whose surroundings differ may differ by
rounding.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from spectroflow.engine.preflight import environment
from spectroflow.engine.processor import Processor
from spectroflow.engine.writing import write_in_run
from spectroflow.storage import Location

SURROUNDINGS_FOLDER = "made_with"

_SETS = ("avx512f", "avx2", "avx", "sse4_2", "sve", "asimd")
"""Instruction sets by which libraries choose their kernels, the widest first, as Linux names them."""


def record_surroundings(run_dir: Location, processor: Processor) -> None:
    """Write down what this process computes with, once for all processes that have the same."""
    data = json.dumps(surroundings(processor), indent=1, sort_keys=True).encode()
    name = hashlib.blake2b(data, digest_size=6).hexdigest()
    place = run_dir / SURROUNDINGS_FOLDER / f"{name}.json"
    if not place.is_object() or place.read_bytes() != data:
        write_in_run(place, data, durable=True)


def recorded_surroundings(run_dir: Location) -> list[dict[str, str]]:
    """Return what all processes of a run computed with, each kind once."""
    folder = run_dir / SURROUNDINGS_FOLDER
    found = []
    for name in sorted(name for name in folder.list() if name.endswith(".json")):
        # Others may be writing, and a file that a power failure has cut tells nothing.
        with suppress(FileNotFoundError, ValueError):
            found.append(json.loads((folder / name).read_bytes()))
    return found


def surroundings(processor: Processor) -> dict[str, str]:
    """Return versions, instruction set, threads of linear algebra, and the device that a processor computes on.

    A processor that may compute on something else than the CPU says so in its attribute ``device``.
    """
    return {
        **environment(),
        "machine": platform.machine(),
        "processor": _of_processor("model name", "CPU part"),
        "instruction_set": _instruction_set(),
        "threads": str(_threads()),
        "device": _device(processor),
    }


def _instruction_set() -> str:
    flags = _of_processor("flags", "Features").split()
    return next((name for name in _SETS if name in flags), "unknown")


def _of_processor(*keys: str) -> str:
    """Return what Linux says of the first processor under the first of some keys, elsewhere ``unknown``."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(keys)), "unknown")


def _device(processor: Processor) -> str:
    device = str(getattr(processor, "device", "cpu"))
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch and device == "cuda" and torch.cuda.is_available() else device


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else os.cpu_count() or 1
