"""What a job did, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from spectroflow.errors import QualityGateFailed, TooManyFailures

Status = Literal["done", "nothing to do", "dry run", "too many failures", "quality gate failed", "damaged"]

_EXIT_CODES: dict[Status, int] = {
    "too many failures": TooManyFailures.exit_code,
    "quality gate failed": QualityGateFailed.exit_code,
    "damaged": 3,
}


@dataclass(frozen=True, slots=True)
class Rows:
    """How the records of a job ended; the last three add up to the first."""

    total: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            self.total + other.total, self.ok + other.ok, self.failed + other.failed, self.skipped + other.skipped
        )


@dataclass(slots=True)
class Summary:
    """The result of a command.

    Attributes
    ----------
    command, run, status
        What was run, under which name, and how it ended.
    rows
        Its records.
    seconds
        Wall time.
    output
        Where the result is.
    details
        Whatever else the command has to tell; goes into ``--json`` as it is.
    lines
        Sentences for people, printed below the table.
    """

    command: str
    run: str = ""
    status: Status = "done"
    rows: Rows = field(default_factory=Rows)
    seconds: float = 0.0
    output: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The exit code that the status stands for."""
        return _EXIT_CODES.get(self.status, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints."""
        rows = self.rows
        return {
            "command": self.command,
            "run": self.run,
            "status": self.status,
            "rows": {"total": rows.total, "ok": rows.ok, "failed": rows.failed, "skipped": rows.skipped},
            "seconds": round(self.seconds, 3),
            "output": self.output,
            **self.details,
        }

    def table(self) -> list[tuple[str, str]]:
        """Return labelled values for people."""
        rows = self.rows
        result: list[tuple[str, str]] = [("status", self.status)]
        if self.run:
            result.append(("run", self.run))
        if rows.total:
            result.append(
                ("records", f"{rows.total:,} = {rows.ok:,} ok + {rows.failed:,} failed + {rows.skipped:,} skipped")
            )
        result.append(("time", f"{self.seconds:.1f} s"))
        if self.output:
            result.append(("output", self.output))
        return result
