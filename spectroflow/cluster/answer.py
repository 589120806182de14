"""What the commands about machines answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command that moves no records.

    Attributes
    ----------
    command, status
        What was asked, and how it ended.
    header, rows
        A table for people.
    details
        The same for programs.
    lines
        Sentences below the table.
    seconds
        Wall time.
    exit_code
        As the command line documents them.
    """

    command: str
    status: str = "done"
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    details: dict[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    seconds: float = 0.0
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints, with the keys that all commands have."""
        return {
            "command": self.command,
            "run": "",
            "status": self.status,
            "rows": {"total": 0, "ok": 0, "failed": 0, "skipped": 0},
            "seconds": round(self.seconds, 3),
            "output": "",
            **self.details,
        }

    def table(self) -> list[Sequence[str]]:
        """Return the table, its header first."""
        return [self.header, *self.rows] if self.header else list(self.rows)
