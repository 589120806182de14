"""What the shared options of a command line ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spectroflow.errors import UsageError

if TYPE_CHECKING:
    from spectroflow.jobs import JobOptions


def _silent(event: object) -> None:
    """Take an event and show nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """The shared options, as they were given."""

    command: str
    config: str | None = None
    overrides: Sequence[str] = ()
    where: str | None = None
    dry_run: bool = False
    workers: str | None = None
    max_failed: str | None = None
    json: bool = False
    cluster: str | None = None
    debug: bool = False
    log_format: str = "text"
    listener: Callable[[Any], None] = field(default=_silent, compare=False)

    def listening(self, listener: Callable[[Any], None]) -> Request:
        """Return the same request with somebody who hears the events of the run."""
        return replace(self, listener=listener)

    def options(self, *, modalities: Sequence[str] | None = None, overrides: Sequence[str] = ()) -> JobOptions:
        """Return what a job takes.

        Parameters
        ----------
        modalities
            From ``--modality``, where the command has it.
        overrides
            ``section.key=value`` strings of options that stand for a configuration value; they win.
        """
        from spectroflow.config import load
        from spectroflow.jobs import JobOptions

        return JobOptions(
            config=load(self.config, [*self.overrides, *overrides]),
            where=self.where,
            dry_run=self.dry_run,
            workers=parse_workers(self.workers),
            max_failed=self.max_failed,
            modalities=tuple(modalities or ()),
            listener=self.listener,
        )


def parse_workers(text: str | None) -> int | tuple[int, int] | None:
    """Read ``--workers``: ``N`` is exact, ``A..B`` a range, None leaves it to the engine."""
    if text is None:
        return None
    low, separator, high = text.partition("..")
    if low.isdecimal() and not separator:
        return int(low)
    if low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high):
        return int(low), int(high)
    raise UsageError(
        f"--workers {text!r} is neither a number nor a range", remedy="For example: --workers 4 or --workers 2..16."
    )


def pair(sources: Sequence[str] | None, targets: Sequence[str] | None) -> list[tuple[str, str]]:
    """Join ``--from`` and ``--to`` in the order in which they were given; none of either means all pairs."""
    sources, targets = sources or (), targets or ()
    if len(sources) != len(targets):
        raise UsageError(
            f"there are {len(sources)} --from and {len(targets)} --to", remedy="Give one --to for each --from."
        )
    return list(zip(sources, targets, strict=True))
