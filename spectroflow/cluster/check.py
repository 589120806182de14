"""What one look at a machine, a storage or a cluster found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found.

    Attributes
    ----------
    name
        What was looked at.
    state
        ``note`` is worth knowing and stops nothing.
    found
        What is there.
    remedy
        What to do about it.
    exit_code
        Of the command, where the check failed.
    """

    name: str
    state: State
    found: str
    remedy: str = ""
    exit_code: int = 3


def enough(condition: bool, name: str, found: str, *, otherwise: State, remedy: str) -> Check:
    """Return a check that is ok where a condition holds, and else has another state and a remedy."""
    return Check(name, "ok", found) if condition else Check(name, otherwise, found, remedy)
