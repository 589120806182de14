"""What a job gives the engine: a processor that does one unit at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from spectroflow.engine.unit import Unit
from spectroflow.storage import CheckedWriter


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker needs.

    Attributes
    ----------
    cpus, gpus
        Cores and graphics processors; fractions share one.
    memory_bytes
        Peak resident memory; 0 where nobody planned it.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one row is not ok: what a person needs to find it and to mend it.

    Attributes
    ----------
    row
        Row of the unit's group.
    code
        Name of the status, one of :data:`spectroflow.status.FAILED` or ``SKIPPED``.
    source
        The file, URL and record it came from.
    reason, remedy
        What happened, and what to do about it.
    digest
        Of the content of the source, where it could be read.
    """

    row: int
    code: str
    source: str = ""
    reason: str = ""
    remedy: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What became of the rows of a unit.

    Attributes
    ----------
    codes
        Status name -> rows; adds up to the rows of the unit.
    failures
        The rows that are neither ok nor worth no mention.
    metrics
        A JSON object that the processor's ``merge`` can add to another.
    """

    codes: dict[str, int]
    failures: list[Failure] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)


class Processor(Protocol):
    """One kind of work.

    It is made on the driver, pickled, and sent to each worker, so its class lies in a module that
    workers can import, and it opens nothing before :meth:`setup`. What it writes depends on its own
    fields and on the rows alone: not on the worker, the order, the attempt or how units were cut.
    """

    resources: Resources

    def setup(self) -> None:
        """Open what is needed for all units; called once in each worker."""

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return every key below the archive's root that the unit may write.

        Keys that the unit then does not write are deleted, so that nothing of a killed attempt stays.
        """
        ...

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Do one unit, writing through ``writer`` only.

        Parameters
        ----------
        unit
            The rows to do.
        writer
            Refuses keys that :meth:`keys` did not name.
        skip
            Row -> status name for rows whose record must not be touched, only given that status.

        Raises
        ------
        Exception
            Something is wrong that concerns more than single records: the unit is tried again, then
            the run stops. What is wrong with one record is that row's status instead.
        """
        ...

    def probe(self, unit: Unit, rows: range) -> None:
        """Do the computing of some rows of a unit without writing, to find the row that kills its process."""
        ...

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """Return the sum of the metrics of two sets of units; ``{}`` is the metrics of none."""
        ...
