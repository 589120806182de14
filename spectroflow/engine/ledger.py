"""The ledger of a run: one durable marker per finished unit, written last and once.

A unit is done when its marker exists, and never because its output does. A marker holds what the
unit wrote (sizes and digests), what became of its rows, and the fingerprint of the plan it belongs
to; it ends with a digest of itself, so that a truncated or altered one is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from spectroflow.engine.rollup import RollupReader, discard_rollups
from spectroflow.errors import ArchiveError, InvalidInput
from spectroflow.storage import AlreadyExists, Location, UnitAlreadyDone, Written

FOLDER = "done"
SUFFIX = ".json"

_SEAL = ',"seal":"'
_READERS = 32
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Marker:
    """What the ledger knows of a finished unit.

    Attributes
    ----------
    unit, attempt
        The unit, and which attempt of the driver finished it.
    rows, codes
        Rows of the unit, and status name -> rows, which adds up to them.
    metrics
        What the processor measured.
    keys
        Every object the unit wrote, with size and digest.
    fingerprint
        Of the plan.
    seconds
        Work of the finishing attempt.
    failures
        The unit's file of failed and skipped rows; None where there is none.
    """

    unit: str
    attempt: int
    rows: int
    codes: dict[str, int]
    metrics: dict[str, Any]
    keys: dict[str, Written]
    fingerprint: str
    seconds: float
    failures: Written | None = None

    def to_bytes(self) -> bytes:
        """Return the marker as one line of JSON, sealed with its own digest."""
        tree = {name: getattr(self, name) for name in self.__slots__}
        tree["keys"] = {key: asdict(entry) for key, entry in self.keys.items()}
        tree["failures"] = asdict(self.failures) if self.failures else None
        body = json.dumps(tree, separators=(",", ":"))[:-1]
        return f'{body}{_SEAL}{_digest(body)}"}}'.encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "") -> Marker:
        """Read a marker; raise :class:`ArchiveError` where it is not whole."""
        try:
            text = data.decode()
            body, separator, seal = text.rpartition(_SEAL)
            if not separator or seal != f'{_digest(body)}"}}':
                raise ValueError
            tree = json.loads(text)
            del tree["seal"]
            tree["keys"] = {key: Written(**entry) for key, entry in tree["keys"].items()}
            if tree.get("failures"):
                tree["failures"] = Written(**tree["failures"])
            return cls(**tree)
        except (ValueError, TypeError, KeyError):
            raise ArchiveError(
                "this marker is damaged", where=where, remedy="Run the same command again; the unit is done anew."
            ) from None


class Ledger:
    """The markers of one run.

    Parameters
    ----------
    run_dir
        The folder of the run.
    fingerprint
        Of its plan; markers of another plan are damaged ones.
    """

    def __init__(self, run_dir: Location, fingerprint: str) -> None:
        self.run_dir = run_dir
        self.folder = run_dir / FOLDER
        self.fingerprint = fingerprint

    def is_done(self, unit_id: str) -> bool:
        """Say whether the unit has a marker now, read from the storage."""
        return self._place(unit_id).is_object()

    def mark(self, marker: Marker) -> None:
        """Write a marker, durably.

        Raises
        ------
        UnitAlreadyDone
            Another worker finished this unit first; its marker stays.
        """
        try:
            self._place(marker.unit).create_exclusive(marker.to_bytes())
        except AlreadyExists:
            raise UnitAlreadyDone("another worker finished this unit", where=marker.unit) from None

    def read(self, unit_id: str) -> Marker:
        """Return the marker of a unit.

        Raises
        ------
        ArchiveError
            It is missing, damaged, or of another unit or plan.
        """
        place = self._place(unit_id)
        try:
            return place.read_decoded(lambda data: self._checked(unit_id, data))
        except FileNotFoundError:
            raise ArchiveError(
                "this unit has no marker", where=unit_id, remedy="Run the same command again; it resumes."
            ) from None

    def _checked(self, unit_id: str, data: bytes) -> Marker:
        place = self._place(unit_id)
        marker = Marker.from_bytes(data, where=str(place))
        if marker.unit != unit_id or marker.fingerprint != self.fingerprint:
            raise ArchiveError(
                "this marker belongs to another unit or plan", where=str(place), remedy="Run the same command again."
            )
        return marker

    def forget(self, unit_id: str) -> None:
        """Delete a marker that cannot be trusted, so that the unit is done again."""
        discard_rollups(self.run_dir)
        self._place(unit_id).delete(missing_ok=True)

    def names(self) -> set[str]:
        """Return the unit ids of all markers; whoever asks keeps those that the plan knows."""
        return {name.removesuffix(SUFFIX) for name in self.folder.list() if name.endswith(SUFFIX)}

    def read_all(self, unit_ids: Iterable[str]) -> Iterator[tuple[str, Marker | ArchiveError]]:
        """Yield each unit's marker, or why there is none, in the order asked for.

        On object storage markers whose copies are in rollups are not read themselves, and of the others many
        are read at once. A bounded number is held at a time.
        """
        if self.folder.is_local:
            for unit_id in unit_ids:
                yield unit_id, self._read_or_error(unit_id, None)
            return
        sizes = self._sizes()
        rollups = RollupReader(self.run_dir)
        pending = iter(unit_ids)
        with ThreadPoolExecutor(_READERS) as readers:
            while batch := list(islice(pending, _BATCH)):
                copies = [rollups.take(unit_id, sizes.get(unit_id, -1)) for unit_id in batch]
                yield from zip(batch, readers.map(self._read_or_error, batch, copies), strict=True)

    def _sizes(self) -> dict[str, int]:
        """Return the bytes of each marker that is there, by unit."""
        try:
            listing = self.folder.walk()
            return {info.path.removesuffix(SUFFIX): info.size for info in listing if info.path.endswith(SUFFIX)}
        except InvalidInput:
            return {}

    def _read_or_error(self, unit_id: str, copy: bytes | None) -> Marker | ArchiveError:
        if copy is not None:
            with suppress(ArchiveError):
                return self._checked(unit_id, copy)
        try:
            return self.read(unit_id)
        except ArchiveError as error:
            return error

    def _place(self, unit_id: str) -> Location:
        return self.folder / f"{unit_id}{SUFFIX}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
