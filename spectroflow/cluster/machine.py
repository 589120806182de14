"""What this machine has."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from spectroflow.cluster.check import Check, enough

SHOWN = ("numpy", "numba", "zarr", "pyarrow", "torch", "fsspec")
LEAST_MEMORY = 2 << 30
LEAST_SHARED_MEMORY = 256 << 20
LEAST_SCRATCH = 1 << 30


def python() -> Iterator[Check]:
    """Look at the interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    new = sys.version_info >= (3, 11)
    yield enough(new, "python", found, otherwise="failed", remedy="Python 3.11 or later is needed.")


def packages() -> Iterator[Check]:
    """Look for every package that SpectroFlow cannot do without."""
    missing = [name for name in required() if installed_version(name) is None]
    if missing:
        yield Check("packages", "failed", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
        return
    versions = ", ".join(f"{name} {installed_version(name)}" for name in SHOWN)
    yield Check("packages", "ok", f"spectroflow {installed_version('spectroflow')}: {versions}")
    absent = [
        name
        for name, module in (("s3", "s3fs"), ("gs", "gcsfs"), ("vendor", "spc_io"))
        if not importlib.util.find_spec(module)
    ]
    if absent:
        yield Check(
            "extras", "note", f"not installed: {', '.join(absent)}", f"pip install 'spectroflow[{','.join(absent)}]'"
        )


def required() -> list[str]:
    """Return the names of the packages that the distribution requires, without those of extras."""
    requirements = metadata.requires("spectroflow") or []
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in requirements if "extra ==" not in line]
    return [match[0] for match in names if match]


def ray() -> Iterator[Check]:
    """Look whether Ray can be imported."""
    version = installed_version("ray")
    if version is None:
        yield Check("ray", "failed", "not installed", "pip install 'ray[default,train]'")
        return
    try:
        import ray as module
    except Exception as error:
        yield Check(
            "ray", "failed", f"cannot be imported ({error})", "Install it again; work still runs with --workers 0."
        )
        return
    yield Check("ray", "ok", str(module.__version__))


def cores() -> Iterator[Check]:
    """Count the cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _cgroup_cpus()
    usable = min(allowed, limit) if limit else allowed
    yield Check("cores", "ok", f"{usable:g} usable of {os.cpu_count()}")


def memory() -> Iterator[Check]:
    """Measure memory, and the shared memory that Ray's object store lies in."""
    total = _memory_bytes()
    found = f"{total / 2**30:.1f} GiB"
    yield enough(total >= LEAST_MEMORY, "memory", found, otherwise="note", remedy="Give it 2 GiB or more.")
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        found = f"{free / 2**30:.1f} GiB free in {shared}"
        remedy = "Start the container with a larger /dev/shm (docker run --shm-size=1g)."
        yield enough(free >= LEAST_SHARED_MEMORY, "shared memory", found, otherwise="note", remedy=remedy)


def scratch() -> Iterator[Check]:
    """Measure the space for temporary files."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    yield enough(free >= LEAST_SCRATCH, "scratch", found, otherwise="note", remedy="Set TMPDIR to a larger disk.")


def gpu() -> Iterator[Check]:
    """Look for graphics processors that torch can use."""
    import torch

    if not torch.cuda.is_available():
        yield Check("gpu", "note", f"none that torch {torch.__version__} can use; everything runs on the CPU")
        return
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        yield Check("gpu", "ok", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max")
    return min(installed, int(limit)) if limit.isdecimal() else installed


def _cgroup_cpus() -> float:
    """Return the share of cores that a container grants, 0 where there is no limit (cgroup v2 only)."""
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return ""
