"""The writer of a unit: its own keys only, every byte hashed, nothing after the unit is done.

Four processes that each write a part of one shard lose rows without any error. Here that cannot
happen: a unit declares the keys of its whole shards before it starts, and the writer refuses every
other key. What it wrote goes into the unit's marker and makes the archive verifiable.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from spectroflow.errors import ArchiveError, SpectroFlowError
from spectroflow.storage.location import Location
from spectroflow.storage.zarr_store import LocationStore


class UnitAlreadyDone(SpectroFlowError):
    """Another worker finished this unit; what this one still had to write is not needed."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written under one key: its size in bytes and its BLAKE2b-128 digest in hexadecimal."""

    size: int
    digest: str

    @classmethod
    def of(cls, data: bytes | memoryview) -> Written:
        """Describe what is written."""
        return cls(memoryview(data).nbytes, digest_bytes(data))

    def fits(self, data: bytes) -> bool:
        """Say whether these are the bytes that were written."""
        return len(data) == self.size and digest_bytes(data) == self.digest


def digest_bytes(data: bytes | memoryview) -> str:
    """Return the digest that markers hold and ``verify`` compares: BLAKE2b, 128 bits, hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class CheckedWriter:
    """Writes the outputs of one unit.

    Parameters
    ----------
    root
        The archive, or the run's output.
    allowed
        Every key, relative to ``root``, that the unit may write.
    is_done
        Asked before each write, and on local disks again before it gets its name; once it is true nothing
        more is written.
    behind
        How many writes may go on in threads while the unit computes what it writes next; 0 for none. Hashing,
        writing and forcing to disk all leave Python free, so that they cost a unit of many shards almost no time.
    on_written
        Hears after each write, in the thread that wrote, how many objects are written by then.

    Notes
    -----
    Between the last question and the write another worker may still finish the unit: on local disks that
    is the renaming of one file, on object storage the requests on their way, ``behind`` of them at most and one more.
    Both then write the bytes of the same unit, which are equal by law 3, so the window is harmless unless the
    code or the machine differs between the two; ``verify`` finds out.
    """

    def __init__(
        self,
        root: Location,
        allowed: frozenset[str],
        is_done: Callable[[], bool] = lambda: False,
        *,
        behind: int = 0,
        on_written: Callable[[int], None] = lambda count: None,  # noqa: ARG005
    ) -> None:
        self.root = root
        self.allowed = allowed
        self.written: dict[str, Written] = {}
        self._is_done = is_done
        self._lock = threading.Lock()
        self._behind = behind
        self._on_written = on_written
        self._threads: ThreadPoolExecutor | None = None
        self._pending: dict[str, Future[None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wait(self._pending.values())
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
        if error is None:
            self.settle()

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write one whole object. Where writes go on behind, ``data`` must not change afterwards.

        Raises
        ------
        ArchiveError
            The key does not belong to this unit.
        UnitAlreadyDone
            Another worker finished the unit.
        """
        self._require(key)
        self.require_open(key)
        if not self._behind:
            self._write(key, data)
            return
        while key in self._pending or len(self._pending) >= self._behind:
            self._settle_oldest()
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(self._behind, "write-behind")
            self._pending[key] = self._threads.submit(self._write, key, data)

    def settle(self) -> None:
        """Return once everything that was put is written; raise what a write raised."""
        while self._pending:
            self._settle_oldest()

    def has(self, key: str) -> bool:
        """Say whether an object was put, once it is written; what else goes on behind is not waited for."""
        while key in self._pending:
            self._settle_oldest()
        return key in self.written

    def _settle_oldest(self) -> None:
        with self._lock:
            key, oldest = next(iter(self._pending.items()), (None, None))
        if key is None or oldest is None:
            return
        try:
            oldest.result()
        finally:
            # Only now: whoever asks for the key meanwhile waits for it too.
            with self._lock:
                if self._pending.get(key) is oldest:
                    del self._pending[key]

    def discard(self, key: str) -> None:
        """Delete one object of this unit, as zarr does with a shard that holds fill values only."""
        self._require(key)
        self.settle()
        self.require_open(key)
        (self.root / key).delete()
        with self._lock:
            self.written.pop(key, None)

    def zarr_store(self, prefix: str) -> CheckedStore:
        """Return a zarr store for the group at ``prefix`` whose writes go through this writer."""
        return CheckedStore(self, prefix)

    def require_open(self, key: str) -> None:
        """Raise :class:`UnitAlreadyDone` where another worker finished the unit."""
        if self._is_done():
            raise UnitAlreadyDone("another worker finished this unit", where=key)

    def _write(self, key: str, data: bytes | memoryview) -> None:
        record = Written.of(data)
        (self.root / key).write_bytes(data, durable=True, at_last=lambda: self.require_open(key))
        with self._lock:
            self.written[key] = record
            count = len(self.written)
        self._on_written(count)

    def _require(self, key: str) -> None:
        if key not in self.allowed:
            raise ArchiveError(
                "this unit does not own that key, so it was not written",
                where=key,
                remedy="A unit writes whole shards of its own rows; report this as a bug.",
            )


class CheckedStore(LocationStore):
    """A zarr store that writes through a :class:`CheckedWriter` and reads everything but leftovers.

    zarr reads a shard before it writes one, to keep what is not overwritten. A unit writes whole shards,
    so what an earlier attempt left under its keys is as good as absent here: it costs no reading, and a
    damaged shard can be written anew.
    """

    def __init__(self, writer: CheckedWriter, prefix: str, *, read_only: bool = False) -> None:
        super().__init__(writer.root / prefix, read_only=read_only)
        self._writer = writer
        self._prefix = prefix.strip("/")

    def with_read_only(self, read_only: bool = False) -> CheckedStore:
        """Return the same store, with or without the right to write."""
        return CheckedStore(self._writer, self._prefix, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key; None for one that the unit owns and has not written yet."""
        full = f"{self._prefix}/{key}"
        if full in self._writer.allowed and not await self._do(lambda: self._writer.has(full)):
            return None
        return await super().get(key, prototype, byte_range)

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write a key of the unit."""
        self._writer.put(f"{self._prefix}/{key}", data)

    def discard(self, key: str) -> None:
        """Delete a key of the unit."""
        self._writer.discard(f"{self._prefix}/{key}")
