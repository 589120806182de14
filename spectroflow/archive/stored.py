"""Groups as they are stored: their arrays and attributes, and shards checked before they are decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from zarr.core.buffer.core import default_buffer_prototype
from zarr.storage import MemoryStore

from spectroflow.archive import sealed
from spectroflow.archive.arrays import GROUP_METADATA, METADATA_DIGEST, Array, ArraySpec, Layout
from spectroflow.archive.segment import records_key
from spectroflow.engine import Failure, Group, Ledger, Marker, Plan, load_plan, run_folder
from spectroflow.engine.quarantine import decode_failures, failures_path
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location, Written

_REMEDY = "Run spectroflow verify; restore the object from a backup, or convert its sources again."


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """The metadata of one group, found whole.

    Attributes
    ----------
    path
        Relative to the archive.
    attributes
        Of the group, without the digest of its metadata.
    arrays
        Its arrays, ``status`` last.
    objects
        The metadata objects by key relative to the group.
    """

    path: str
    attributes: dict[str, Any]
    arrays: tuple[ArraySpec, ...]
    objects: dict[str, bytes] = field(repr=False)

    def layout(self, path: str, rows: int, shard_rows: int, chunk_rows: int) -> Layout:
        """Return the same arrays at another place, with other rows."""
        return Layout(path, rows, shard_rows, chunk_rows, self.arrays)

    def row_bytes(self) -> list[int]:
        """Return the uncompressed bytes of one row of each array."""
        return [spec.row_bytes for spec in self.arrays]


def read_group(root: Location, path: str) -> StoredGroup:
    """Read the metadata of a group.

    Raises
    ------
    ArchiveError
        It is missing or was altered.
    """
    place = root / path / GROUP_METADATA
    try:
        return place.read_decoded(lambda data: _decode_group(path, data))
    except FileNotFoundError:
        raise ArchiveError("the metadata of this group is missing", where=str(place), remedy=_REMEDY) from None
    except (ValueError, KeyError, TypeError):
        raise ArchiveError("the metadata of this group was altered", where=str(place), remedy=_REMEDY) from None


def _decode_group(path: str, data: bytes) -> StoredGroup:
    tree = sealed.decode(data)
    attributes = tree["attributes"]
    digest = attributes.pop(METADATA_DIGEST)
    consolidated: dict[str, Any] = tree["consolidated_metadata"]["metadata"]
    specs = [_spec(name, consolidated[name]) for name in consolidated]
    if digest != sealed.digest_of(tree):
        raise ValueError("its digest does not fit its content")
    objects = {f"{name}/{GROUP_METADATA}": sealed.encode(consolidated[name]) for name in consolidated}
    arrays = tuple(sorted(specs, key=lambda spec: (spec.name == "status", spec.name)))
    return StoredGroup(path, attributes, arrays, {**objects, GROUP_METADATA: data})


def _spec(name: str, tree: Mapping[str, Any]) -> ArraySpec:
    sharding = tree["codecs"][0]["configuration"]
    compressors = [codec["configuration"]["cname"] for codec in sharding["codecs"] if codec["name"] == "blosc"]
    fill = tree["fill_value"]
    return ArraySpec(
        name,
        tuple(tree["shape"][1:]),
        tree["data_type"],
        float("nan") if fill == "NaN" else fill,
        tuple(tree["dimension_names"]),
        tuple(sharding["chunk_shape"][1:]),
        noisy=compressors == ["lz4"],
    )


@dataclass(slots=True)
class Witness:
    """What the run that wrote a segment or layer testifies of its objects.

    Attributes
    ----------
    root
        The archive.
    run
        The run.
    folder
        Where the segment or layer is, relative to the archive.
    """

    root: Location
    run: str
    folder: str
    _group: Group | None = field(default=None, repr=False)
    _plan: Plan | None = field(default=None, repr=False)
    _marker: Marker | None = field(default=None, repr=False)

    def read(self, key: str, shard: int) -> bytes | None:
        """Return an object that holds a part of a shard, checked; None for one that was not written.

        Raises
        ------
        ArchiveError
            It is missing or was altered, or no marker vouches for it.
        """
        written = self._vouching(shard).keys.get(key)
        return None if written is None else self._read(self.root / key, written)

    def failures(self, shard: int) -> list[Failure]:
        """Return what the run noted of failed and skipped rows of the unit that a shard belongs to, checked.

        Raises
        ------
        ArchiveError
            It is missing or was altered.
        """
        marker = self._vouching(shard)
        if marker.failures is None:
            return []
        place = run_folder(self.root, self.run) / failures_path(marker.unit)
        return decode_failures(self._read(place, marker.failures))

    def _read(self, place: Location, written: Written) -> bytes:
        def as_written(data: bytes) -> bytes:
            if not written.fits(data):
                raise ArchiveError("this object was altered", where=str(place), remedy=_REMEDY)
            return data

        try:
            return place.read_decoded(as_written)
        except FileNotFoundError:
            raise ArchiveError("this object is missing", where=str(place), remedy=_REMEDY) from None

    def _vouching(self, shard: int) -> Marker:
        """Return the marker of the unit that a shard belongs to."""
        unit_id = self._unit_id(shard)
        if self._marker is None or self._marker.unit != unit_id:
            self._marker = self._ledger().read(unit_id)
        return self._marker

    def _unit_id(self, shard: int) -> str:
        plan = self._loaded()
        if self._group is None:
            self._group = self._find_group(plan, shard)
        return self._group.unit(shard // plan.unit_shards, plan.unit_shards).id

    def _find_group(self, plan: Plan, shard: int) -> Group:
        """Return the group whose units wrote the folder; jobs name groups as they like, markers tell."""
        ledger = self._ledger()
        number = shard // plan.unit_shards
        for group in plan.groups:
            if number < group.count(plan.unit_shards):
                marker = ledger.read(group.unit(number, plan.unit_shards).id)
                if any(key.startswith(f"{self.folder}/") for key in marker.keys):
                    return group
        raise ArchiveError(f"the run {self.run} did not write it", where=self.folder, remedy="Run spectroflow verify.")

    def _ledger(self) -> Ledger:
        return Ledger(run_folder(self.root, self.run), self._loaded().fingerprint)

    def _loaded(self) -> Plan:
        if self._plan is None:
            self._plan = load_plan(run_folder(self.root, self.run))
        return self._plan


def read_shard(witness: Witness, group: StoredGroup, layout: Layout, shard: int) -> dict[str, Array]:
    """Return one shard of every array of a group, every object checked against its digest."""
    to_buffer = default_buffer_prototype().buffer.from_bytes
    objects = dict(group.objects)
    for array in layout.arrays:
        key = array.shard_key(shard)
        data = witness.read(f"{group.path}/{key}", shard)
        if data is not None:
            objects[key] = data
    store = MemoryStore({key: to_buffer(data) for key, data in objects.items()}, read_only=True)
    opened = zarr.open_group(store, mode="r")
    start, stop = layout.span(shard)
    return {a.name: np.asarray(cast("zarr.Array[Any]", opened[a.name])[start:stop]) for a in layout.arrays}


def read_records(witness: Witness, segment: str, shard: int) -> pa.Table:
    """Return the record table of one shard, checked against its digest."""
    key = records_key(segment, shard)
    data = witness.read(key, shard)
    if data is None:
        raise ArchiveError("no marker names this record table", where=key, remedy=_REMEDY)
    return pq.read_table(pa.BufferReader(data))


def without_chunks(spec: ArraySpec) -> ArraySpec:
    """Return what two arrays must have in common to be joined: all but how they are chunked and compressed."""
    return replace(spec, inner_chunks=None, noisy=True)


def comparable(group: StoredGroup, ignored: frozenset[str]) -> str:
    """Return a text that is equal for groups whose rows can be joined, some attributes left out."""
    attributes = {key: value for key, value in group.attributes.items() if key not in ignored}
    specs = [repr(without_chunks(spec)) for spec in group.arrays]
    return json.dumps([attributes, specs], sort_keys=True)
