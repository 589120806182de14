"""What memory a worker took, and whether the kernel killed for it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def peak_rss() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def oom_kills() -> int:
    """Return how many processes the kernel has killed for memory, in this container or on this machine.

    A process that dies while this number rises did most likely die of it: SIGKILL itself tells no
    reason. The container's own count is taken where there is one; 0 where nobody counts.
    """
    for counter in _COUNTERS:
        try:
            lines = counter.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
