"""A zarr store over a :class:`Location`, local or remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype

from spectroflow.storage.location import Location

T = TypeVar("T")

_CHUNKS_TOGETHER = 1 << 20


def whole_shards() -> AbstractContextManager[Any]:
    """Let zarr code all chunks of a shard in one go while the block lasts.

    By default each chunk is a task of its own, which for shards that are read and written whole costs a
    fifth of the time and gains nothing. The bytes are the same. The setting is one of the process.
    """
    return cast("AbstractContextManager[Any]", zarr.config.set({"codec_pipeline.batch_size": _CHUNKS_TOGETHER}))


class LocationStore(Store):
    """Reads and writes the keys of one zarr group below a location.

    Local reads and writes run where they are called; remote ones in a thread each, so that zarr can
    have many in flight.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, root: Location, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.root = root
        self._opened: zarr.Group | None = None

    def group(self) -> zarr.Group:
        """Return the group at the root, opened once: metadata are written before any unit and never change."""
        if self._opened is None:
            self._opened = zarr.open_group(self, mode="r" if self.read_only else "r+")
        return self._opened

    def with_read_only(self, read_only: bool = False) -> LocationStore:
        """Return the same store, with or without the right to write."""
        return type(self)(self.root, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, LocationStore) and self.root == other.root

    def __hash__(self) -> int:
        return hash((type(self), self.root))

    def __str__(self) -> str:
        return self.root.url

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key, or a part of them; None where there is no such key."""
        try:
            data = await self._do(lambda: _read(self.root / key, byte_range))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several parts of keys."""
        return list(await asyncio.gather(*(self.get(key, prototype, span) for key, span in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Say whether a key exists."""
        return await self._do((self.root / key).exists)

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key, atomically."""
        self._check_writable()
        data = value.as_numpy_array().data
        await self._do(lambda: self.put(key, data))

    async def delete(self, key: str) -> None:
        """Delete a key; no such key is no error."""
        self._check_writable()
        await self._do(lambda: self.discard(key))

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write the bytes of a key."""
        (self.root / key).write_bytes(data)

    def discard(self, key: str) -> None:
        """Delete the bytes of a key."""
        (self.root / key).delete()

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with a prefix."""
        if await self._do(self.root.exists):
            for entry in await self._do(lambda: list(self.root.walk())):
                if entry.path.startswith(prefix):
                    yield entry.path

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        folder = self.root / prefix if prefix else self.root
        for name in await self._do(folder.list):
            yield name

    async def _do(self, action: Callable[[], T]) -> T:
        return action() if self.root.is_local or self.root.is_memory else await asyncio.to_thread(action)


def _read(place: Location, byte_range: ByteRequest | None) -> bytes:
    """Read an object or a part of it, which must have as many bytes as were asked for.

    zarr asks for nothing that the object does not have, and decoders do not all look at how much they get.
    """
    start, end = _bounds(byte_range)
    if byte_range is None or isinstance(byte_range, OffsetByteRequest):
        return place.read_bytes(start, end)
    wanted = byte_range.suffix if isinstance(byte_range, SuffixByteRequest) else byte_range.end - byte_range.start

    def read_all() -> bytes:
        data = place.read_bytes(start, end)
        if len(data) != wanted:
            raise ValueError(f"{place} gives {len(data)} of the {wanted} bytes of a chunk or of an index")
        return data

    return place.read_anew(read_all)


def _bounds(request: ByteRequest | None) -> tuple[int | None, int | None]:
    if request is None:
        return None, None
    if isinstance(request, RangeByteRequest):
        return request.start, request.end
    if isinstance(request, OffsetByteRequest):
        return request.offset, None
    assert isinstance(request, SuffixByteRequest)
    return -request.suffix, None
