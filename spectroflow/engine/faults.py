"""Places where a test can kill this process, to prove that nothing is lost there.

``SPECTROFLOW_FAULT=point:unit:attempt`` kills the process with SIGKILL when it reaches that point;
``*`` stands for any unit or attempt, and several faults are separated by commas. Points are
``before-data``, ``between-arrays`` (after the first of several objects), ``after-data``,
``before-marker`` and ``after-marker`` in a unit, and ``in-finalize``, ``before-commit`` and
``after-commit`` in a run, which have the run's name for a unit and 1 for an attempt.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "SPECTROFLOW_FAULT"
POINTS = (
    "before-data",
    "between-arrays",
    "after-data",
    "before-marker",
    "after-marker",
    "in-finalize",
    "before-commit",
    "after-commit",
)


def reach(point: str, unit: str, attempt: int = 1) -> None:
    """Die here if the environment asks for it."""
    faults = os.environ.get(VARIABLE)
    if faults and any(_matches(fault, point, unit, attempt) for fault in faults.split(",")):
        die()


def die() -> None:
    """End this process as the kernel would: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _matches(fault: str, point: str, unit: str, attempt: int) -> bool:
    wanted = [*fault.split(":"), "*", "*"][:3]
    return wanted[0] == point and wanted[1] in {"*", unit} and wanted[2] in {"*", str(attempt)}
