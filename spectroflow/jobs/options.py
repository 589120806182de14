"""What every job can be told."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from spectroflow.config import Config
from spectroflow.engine.events import Event
from spectroflow.errors import UsageError


def _silent(event: Event) -> None:
    """Take an event and do nothing with it."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options that all jobs share.

    Attributes
    ----------
    config
        The resolved configuration.
    where
        A filter on the record table.
    modalities
        Only these; all if empty.
    dry_run
        Plan, say what would be done, and do nothing.
    workers
        Worker processes: 0 runs in this process, None decides by the amount of work.
    max_failed
        Failed records that are still success: a number (``"10"``) or a share (``"1%"``); None for any.
    listener
        Is told every event of the run.
    """

    config: Config = field(default_factory=Config)
    where: str | None = None
    modalities: tuple[str, ...] = ()
    dry_run: bool = False
    workers: int | tuple[int, int] | None = None
    max_failed: str | None = None
    listener: Callable[[Event], None] = _silent

    def refuse_where(self, command: str, remedy: str) -> None:
        """Raise :class:`UsageError` if a filter was given to a command that works on whole segments or files."""
        if self.where:
            raise UsageError(f"{command} cannot be limited with --where", remedy=remedy)

    def allows_failures(self, failed: int, total: int) -> bool:
        """Say whether so many failed records are still success.

        Raises
        ------
        UsageError
            ``max_failed`` is neither a number nor a share.
        """
        if self.max_failed is None:
            return True
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", self.max_failed)
        if not match:
            raise UsageError(
                f"--max-failed {self.max_failed!r} is neither a number nor a share", remedy="For example: 10 or 1%."
            )
        limit = float(match[1])
        return failed <= (limit * total / 100 if match[2] else limit)
