"""The arrays of segments and layers: how they are cut into shards, created, written and read."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, BloscShuffle
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore

from spectroflow.archive import sealed
from spectroflow.config import ArchiveConfig
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location, LocationStore

Array = npt.NDArray[Any]

GROUP_METADATA = "zarr.json"
METADATA_DIGEST = "metadata_digest"
"""Attribute of a group: the digest of its metadata, without this attribute."""

# Intensities are noise: a fast codec gets all there is to get. Axes repeat from row to row, and lz4 finds that
# better than zstd does up to level 3, in a fifth of the time (measured on real Raman, infrared and X-ray axes).
_NOISY = BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle)
_REGULAR = BloscCodec(cname="lz4", clevel=9, shuffle=BloscShuffle.shuffle)


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array whose first axis is the rows of a segment.

    Attributes
    ----------
    name
        Name in the zarr group.
    inner
        Lengths of the axes after the first.
    dtype, fill
        Element type and the value where nothing was written.
    dimensions
        Names of all axes, ``spectrum`` first.
    inner_chunks
        Chunk lengths of the axes after the first; whole axes where not given.
    noisy
        Whether values are measured noise, which hardly compresses.
    """

    name: str
    inner: tuple[int, ...]
    dtype: str
    fill: float | int
    dimensions: tuple[str, ...]
    inner_chunks: tuple[int, ...] | None = None
    noisy: bool = True

    @property
    def row_bytes(self) -> int:
        """Uncompressed bytes of one row."""
        return int(np.prod(self.inner, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def shard_key(self, shard: int) -> str:
        """Return the key of a shard, relative to the group. One shard holds whole rows."""
        return "/".join([self.name, "c", str(shard), *("0" for _ in self.inner)])


@dataclass(frozen=True, slots=True)
class Layout:
    """A zarr group of row-aligned arrays, all cut into shards of the same rows.

    Attributes
    ----------
    path
        Of the group, relative to the archive.
    rows
        Length of the first axis.
    shard_rows, chunk_rows
        Rows in a shard and in a chunk of it.
    arrays
        The arrays of the group.
    """

    path: str
    rows: int
    shard_rows: int
    chunk_rows: int
    arrays: tuple[ArraySpec, ...]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.shard_rows)

    @property
    def total_bytes(self) -> int:
        """Uncompressed bytes of all arrays."""
        return self.rows * sum(array.row_bytes for array in self.arrays)

    def span(self, shard: int) -> tuple[int, int]:
        """Return the first row of a shard and the one after its last."""
        return shard * self.shard_rows, min(self.rows, (shard + 1) * self.shard_rows)

    def keys(self, shard: int) -> frozenset[str]:
        """Return the keys, relative to the archive, that hold one shard of every array."""
        return frozenset(f"{self.path}/{array.shard_key(shard)}" for array in self.arrays)

    def create(self, root: Location, attributes: Mapping[str, Any]) -> None:
        """Write the metadata of the group, consolidated.

        It is made in memory and put key by key, the group's own last: a kill half way leaves nothing
        that opens, and doing it again finds the same bytes.

        Raises
        ------
        ArchiveError
            The group exists and is another one; what was written into it could not be read any more.
        """
        objects = self._metadata(attributes)
        for key in sorted(objects, key=lambda name: (name == GROUP_METADATA, name)):
            place = root / self.path / key
            try:
                place.read_decoded(partial(_require_equal, objects[key], str(place)))
            except FileNotFoundError:
                place.write_bytes(objects[key], durable=True)

    def write(self, store: LocationStore, shard: int, values: Mapping[str, Array]) -> None:
        """Write one whole shard of every array.

        Parameters
        ----------
        store
            Of the unit that owns the shard.
        shard
            Its number.
        values
            One array of shape ``(rows of the shard, ...)`` per name; it may end at a chunk's edge along the
            points where only fill values would follow, which gives the same bytes with less work.
        """
        start, stop = self.span(shard)
        group = store.group()
        for array in self.arrays:
            data = values[array.name]
            if not _fits(data.shape, (stop - start, *array.inner), array):
                raise ArchiveError(
                    f"array {array.name!r} has shape {data.shape}, not {(stop - start, *array.inner)}",
                    where=self.path,
                    remedy="Report this as a bug.",
                )
            region = (slice(start, stop), *(slice(0, length) for length in data.shape[1:]))
            cast("zarr.Array[Any]", group[array.name])[region] = data

    def _metadata(self, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the metadata objects by key; the group's holds its own digest, and through it the arrays'."""
        memory = MemoryStore()
        group = zarr.create_group(memory, attributes=dict(attributes))
        for array in self.arrays:
            self._create_array(group, array)
        with warnings.catch_warnings():
            # Consolidated metadata of format 3 is zarr-python's own convention; xarray and others read it.
            warnings.simplefilter("ignore", ZarrUserWarning)
            zarr.consolidate_metadata(memory)
        trees = {key: json.loads(value.to_bytes()) for key, value in memory._store_dict.items()}
        own = trees[GROUP_METADATA]
        own["attributes"][METADATA_DIGEST] = sealed.digest_of(own)
        return {key: sealed.encode(tree) for key, tree in trees.items()}

    def _create_array(self, group: zarr.Group, array: ArraySpec) -> None:
        inner_chunks = array.inner_chunks or array.inner
        inner_shard = tuple(-(-n // c) * c for n, c in zip(array.inner, inner_chunks, strict=True))
        group.create_array(
            array.name,
            shape=(self.rows, *array.inner),
            shards=(self.shard_rows, *inner_shard),
            chunks=(fitting_chunk(self.shard_rows, self.chunk_rows), *inner_chunks),
            dtype=array.dtype,
            fill_value=array.fill,
            dimension_names=array.dimensions,
            compressors=_NOISY if array.noisy else _REGULAR,
        )


def _fits(shape: tuple[int, ...], whole: tuple[int, ...], array: ArraySpec) -> bool:
    """Say whether values fill a shard, or all of it but whole chunks at the end of its points."""
    if shape == whole:
        return True
    chunk = (array.inner_chunks or array.inner)[:1]
    shorter = len(shape) == len(whole) and shape[:1] + shape[2:] == whole[:1] + whole[2:]
    return shorter and 0 < shape[1] < whole[1] and shape[1] % chunk[0] == 0


def _require_equal(wanted: bytes, where: str, found: bytes) -> None:
    if found != wanted:
        raise ArchiveError(
            "it exists already, with other shards or attributes",
            where=where,
            remedy="Resume with the configuration and packages that the run began with, or delete the folder.",
        )


def fitting_chunk(shard_rows: int, chunk_rows: int) -> int:
    """Return the rows of a chunk: the divisor of ``shard_rows`` that is nearest in ratio to ``chunk_rows``.

    A segment's shards are cut once, and the configuration may ask for other chunks when a layer is added.
    """
    divisors = {d for n in range(1, math.isqrt(shard_rows) + 1) if shard_rows % n == 0 for d in (n, shard_rows // n)}
    return min(divisors, key=lambda d: (max(d, chunk_rows) / min(d, chunk_rows), d))


def choose_shard_rows(rows: int, row_bytes: Sequence[int], config: ArchiveConfig) -> int:
    """Return the rows of a shard: as configured, fewer where a shard of any array would be too large.

    Parameters
    ----------
    rows
        Rows of the segment; a shard is never much longer than that.
    row_bytes
        Uncompressed bytes of one row of each array.
    config
        Gives the most rows and bytes, and the chunk rows, of which the result is a multiple.
    """
    by_bytes = config.shard_bytes // max(1, *row_bytes)
    wanted = min(config.shard_rows, by_bytes, max(1, rows))
    if wanted <= config.chunk_rows:
        return max(1, wanted)
    rounded_up = -(-wanted // config.chunk_rows) * config.chunk_rows
    return (
        rounded_up
        if rounded_up <= min(config.shard_rows, by_bytes)
        else wanted // config.chunk_rows * config.chunk_rows
    )


def read_rows(root: Location, path: str, name: str, start: int, stop: int) -> Array:
    """Return rows ``start`` to ``stop`` of one array of the group at ``path``.

    Raises
    ------
    ArchiveError
        There is no such group or array, or a shard of it is damaged.
    """
    array = open_array(root, path, name)
    try:
        return root.read_anew(lambda: np.asarray(array[start:stop]))
    except (ValueError, RuntimeError) as error:
        raise ArchiveError(
            f"a shard of the array {name!r} in rows {start} to {stop} cannot be read ({error})",
            where=str(root / path),
            remedy="Run spectroflow verify on the archive.",
        ) from None


def open_array(root: Location, path: str, name: str) -> zarr.Array[Any]:
    """Open one array of a group for reading.

    Raises
    ------
    ArchiveError
        There is no such group or array.
    """
    try:
        return cast("zarr.Array[Any]", zarr.open_group(LocationStore(root / path, read_only=True), mode="r")[name])
    except (KeyError, FileNotFoundError):
        raise ArchiveError(
            f"the array {name!r} is missing", where=str(root / path), remedy="Run spectroflow verify on the archive."
        ) from None
    except (ValueError, TypeError) as error:
        raise ArchiveError(
            f"the metadata of this group cannot be read ({error})",
            where=str(root / path),
            remedy="Run spectroflow verify on the archive.",
        ) from None
