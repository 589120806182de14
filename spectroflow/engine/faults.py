"""Places where a test can kill this process, to prove that nothing is lost there.

``SPECTROFLOW_FAULT=point:name:attempt`` kills the process with SIGKILL when it reaches that point;
``*`` stands for any name or attempt, and several faults are separated by commas. The name is that of the
unit at the points of a unit, and that of the run, whose attempt is always 1, at those of a run:

- ``before-data``, ``between-arrays`` (one object is written, another is not), ``after-data``,
  ``before-marker``, ``after-marker``;
- ``after-plan`` (it is saved, nothing else is), ``before-finalize`` (no marker was verified),
  ``in-finalize`` (all were), ``after-sweep`` (no figures are written), ``after-finalize`` (they are),
  ``before-commit`` and ``after-commit`` (around the exclusive creation of the version).
"""

from __future__ import annotations

import os
import signal

VARIABLE = "SPECTROFLOW_FAULT"
IN_UNIT = ("before-data", "between-arrays", "after-data", "before-marker", "after-marker")
IN_RUN = ("after-plan", "before-finalize", "in-finalize", "after-sweep", "after-finalize")
AROUND_COMMIT = ("before-commit", "after-commit")
POINTS = (*IN_UNIT, *IN_RUN, *AROUND_COMMIT)


def reach(point: str, name: str, attempt: int = 1) -> None:
    """Die here if the environment asks for it."""
    faults = os.environ.get(VARIABLE)
    if faults and any(_matches(fault, point, name, attempt) for fault in faults.split(",")):
        die()


def die() -> None:
    """End this process as the kernel would: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _matches(fault: str, point: str, name: str, attempt: int) -> bool:
    wanted = [*fault.split(":"), "*", "*"][:3]
    return wanted[0] == point and wanted[1] in {"*", name} and wanted[2] in {"*", str(attempt)}
