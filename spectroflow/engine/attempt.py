"""What a worker does with one unit: write, check, quarantine, and the marker last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from spectroflow.engine import faults
from spectroflow.engine.ledger import Ledger, Marker
from spectroflow.engine.memory import peak_rss
from spectroflow.engine.processor import Failure, Processor, UnitResult
from spectroflow.engine.quarantine import write_failures
from spectroflow.engine.unit import Unit
from spectroflow.errors import ArchiveError
from spectroflow.status import code_of
from spectroflow.storage import CheckedWriter, Location, UnitAlreadyDone, whole_shards

_WRITES_BEHIND = 2
"""One shard is forced to disk while another is hashed, and the unit computes a third."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the driver hears of a finished unit; the rest is in its marker.

    Attributes
    ----------
    unit
        Its id.
    rows, codes
        Its rows, and status name -> rows.
    seconds
        Work of the attempt.
    size
        Bytes that it wrote.
    memory
        Peak resident memory of the worker so far, in bytes; 0 where the unit was found done.
    line
        The marker as it was written; empty where the unit was found done.
    """

    unit: str
    rows: int
    codes: dict[str, int]
    seconds: float
    size: int
    memory: int = 0
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class Workshop:
    """All that a worker needs to do units of one run; sent to it once.

    Attributes
    ----------
    root
        The archive that keys are relative to.
    run_dir, fingerprint
        The folder of the run and the digest of its plan.
    processor
        What does the work.
    verify_fraction
        Share of units whose output is read back and compared before the marker is written.
    """

    root: Location
    run_dir: Location
    fingerprint: str
    processor: Processor
    verify_fraction: float = 0.0

    def attempt(self, unit: Unit, number: int, skip: Mapping[int, str]) -> Outcome:
        """Do one unit from its first byte to its marker.

        A unit that has its marker already is not touched. Losing the race for the marker is no error:
        the unit is done, by somebody else.

        Parameters
        ----------
        unit
            What to do.
        number
            Which attempt of the driver this is, from 1.
        skip
            Row -> status name for rows that must not be touched.
        """
        ledger = Ledger(self.run_dir, self.fingerprint)
        if ledger.is_done(unit.id):
            return _outcome(ledger.read(unit.id))
        began = time.monotonic()
        faults.reach("before-data", unit.id, number)

        keys = self.processor.keys(unit)

        def on_written(count: int) -> None:
            if count < len(keys):
                faults.reach("between-arrays", unit.id, number)

        writer = CheckedWriter(
            self.root, keys, lambda: ledger.is_done(unit.id), behind=_WRITES_BEHIND, on_written=on_written
        )
        try:
            with writer, whole_shards():
                result = self.processor.process(unit, writer, skip)
            result = _accounted(unit, result, skip)
            faults.reach("after-data", unit.id, number)
            for key in sorted(writer.allowed - writer.written.keys()):
                writer.discard(key)
            if _sampled(unit.id, self.verify_fraction):
                _read_back(self.root, writer)
            failures = write_failures(
                self.run_dir, unit.id, result.failures, at_last=lambda: writer.require_open(unit.id)
            )
            marker = Marker(
                unit=unit.id,
                attempt=number,
                rows=len(unit),
                codes=dict(sorted(result.codes.items())),
                metrics=result.metrics,
                keys=dict(sorted(writer.written.items())),
                fingerprint=self.fingerprint,
                seconds=round(time.monotonic() - began, 6),
                failures=failures,
            )
            faults.reach("before-marker", unit.id, number)
            ledger.mark(marker)
        except UnitAlreadyDone:
            return _outcome(ledger.read(unit.id))
        faults.reach("after-marker", unit.id, number)
        return replace(_outcome(marker), memory=peak_rss(), line=marker.to_bytes())

    def recall(self, unit_id: str) -> Outcome | None:
        """Return the outcome of a unit that has its marker, else None."""
        ledger = Ledger(self.run_dir, self.fingerprint)
        return _outcome(ledger.read(unit_id)) if ledger.is_done(unit_id) else None

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute some rows of a unit without writing anything."""
        with whole_shards():
            self.processor.probe(unit, rows)


def _accounted(unit: Unit, result: UnitResult, skip: Mapping[int, str]) -> UnitResult:
    """Check that every row is accounted for, and explain the rows that were not to be touched."""
    for name in result.codes:
        try:
            code_of(name)
        except KeyError:
            raise ArchiveError(
                f"the processor gave the unknown status {name!r}", where=unit.id, remedy="Report this as a bug."
            ) from None
    total = sum(result.codes.values())
    if total != len(unit):
        raise ArchiveError(
            f"the processor accounts for {total} of {len(unit)} rows", where=unit.id, remedy="Report this as a bug."
        )
    strangers = [failure.row for failure in result.failures if failure.row not in unit.rows]
    if strangers:
        raise ArchiveError(
            f"the processor reports row {strangers[0]}, which is not in the unit",
            where=unit.id,
            remedy="Report this as a bug.",
        )
    explained = {failure.row for failure in result.failures}
    added = [
        Failure(row, code, reason="computing this record ended its process", remedy="Look at its source file.")
        for row, code in sorted(skip.items())
        if row not in explained
    ]
    return UnitResult(result.codes, [*result.failures, *added], result.metrics)


def _read_back(root: Location, writer: CheckedWriter) -> None:
    for key, written in writer.written.items():
        if not written.fits((root / key).read_bytes()):
            raise OSError(f"{root / key} does not read back as it was written")


def _sampled(unit_id: str, fraction: float) -> bool:
    """Say whether a unit is in the sample: always the same ones, whoever asks."""
    draw = int.from_bytes(hashlib.blake2b(unit_id.encode(), digest_size=4).digest(), "big")
    return draw < fraction * 2**32


def _outcome(marker: Marker) -> Outcome:
    size = sum(written.size for written in marker.keys.values())
    return Outcome(marker.unit, marker.rows, marker.codes, marker.seconds, size)
