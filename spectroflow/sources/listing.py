"""What is there now: one table of every source, with archives of files opened only if they changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.errors import RecordError
from spectroflow.formats.zarr_arrays import ROOTS
from spectroflow.sources.catalogue import CONTAINER, Catalogue
from spectroflow.sources.manifest import Manifest
from spectroflow.sources.objects import SourceObject, is_container
from spectroflow.sources.reading import SourceReader
from spectroflow.sources.stores import gathered
from spectroflow.sources.walk import led_to
from spectroflow.storage import Location

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("container", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.float64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
_BATCH = 8192


def list_sources(found: Iterable[SourceObject], previous: Catalogue, reader: SourceReader) -> pa.Table:
    """Return all sources, sorted by ``source``, each once.

    ``code`` is empty for files, ``CONTAINER`` for archives of files, and a failure for what must not be
    opened; ``reason`` then says why.
    """
    known = _Containers(previous)
    batches: list[pa.RecordBatch] = []
    pieces: list[pa.Table] = []
    rows: list[tuple[object, ...]] = []
    for each in found:
        if not is_container(each.name):
            rows.append((each.source, each.name, "", each.size, each.modified, each.etag, "", ""))
        elif known.unchanged(each):
            rows.append((each.source, each.name, "", each.size, each.modified, each.etag, CONTAINER, ""))
            pieces.append(known.members(each.source))
        else:
            rows.extend(_expanded(each, reader))
        if len(rows) >= _BATCH:
            batches.append(_batch(rows))
            rows = []
    batches.append(_batch(rows))
    del rows
    table = pa.concat_tables([pa.Table.from_batches(batches, SCHEMA), *pieces])
    # Each step lets go of what it copied, so that a large listing is there twice at most.
    del batches, pieces
    table = table.combine_chunks()
    pa.default_memory_pool().release_unused()
    return _once_each(table)


def _once_each(table: pa.Table) -> pa.Table:
    """Return the sources sorted, each once; a walk gives them so unless several arguments lead to the same ones."""
    names = table["source"].combine_chunks()
    if pc.all(pc.greater(names[1:], names[:-1])).as_py() in {True, None}:
        return table
    table = table.take(pc.sort_indices(table["source"]))
    names = table["source"].combine_chunks()
    first = np.ones(len(names), dtype=bool)
    first[1:] = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(first)).combine_chunks()


def with_missing(
    listing: pa.Table, manifest: Manifest, sources: Sequence[str], exclude: Sequence[Location]
) -> tuple[pa.Table, list[str]]:
    """Add the files that a manifest names and that should be below the given sources, but are not there.

    Returns
    -------
    The listing, and the names that were added. Files elsewhere are none of this run's business.
    """
    named = pa.array(sorted(manifest.entries), pa.string())
    absent = named.filter(pc.invert(pc.is_in(named, value_set=listing["source"].combine_chunks())))
    outside = [str(each).rstrip("/") for each in exclude]
    missing = [
        name
        for name in absent.filter(pa.array(led_to(absent, sources))).to_pylist()
        if not any(name == each or name.startswith(each + "/") for each in outside)
    ]
    if not missing:
        return listing, []
    reason = "the manifest names it, but it is not there"
    rows: list[tuple[object, ...]] = [
        (name, name.rsplit("/", 1)[-1], "", -1, 0.0, "", "SOURCE_MISSING", reason) for name in missing
    ]
    table = pa.concat_tables([listing, pa.Table.from_batches([_batch(rows)], SCHEMA)]).combine_chunks()
    return table.take(pc.sort_indices(table["source"])), missing


def _batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, type=each.type) for column, each in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _expanded(each: SourceObject, reader: SourceReader) -> Iterator[tuple[object, ...]]:
    own = (each.source, each.name, "", each.size, each.modified, each.etag)
    try:
        members = list(reader.container(each.source).members())
    except RecordError as error:
        yield (*own, error.code, error.message)
        return
    if any(member.found.name in ROOTS for member in members):
        yield (*own, "", "")  # the zip is a Zarr store itself
        return
    refused = {member.found.source: member.refused for member in members if member.refused}
    yield (*own, CONTAINER, "")
    for found in gathered(sorted((member.found for member in members), key=lambda found: found.source)):
        inside = (why for name, why in refused.items() if name.startswith(found.source + "/"))
        why = refused.get(found.source) or next(inside, "")
        code = "HOSTILE_FILE" if why else ""
        yield (found.source, found.name, each.source, found.size, found.modified, found.etag, code, why)


class _Containers:
    """The archives of files in the previous catalogue."""

    def __init__(self, previous: Catalogue) -> None:
        self._table = previous.table
        rows = previous.table.filter(pc.equal(previous.table["code"], CONTAINER))
        self._known = {
            row["source"]: (row["size"], row["modified"], row["etag"])
            for row in rows.select(["source", "size", "modified", "etag"]).to_pylist()
        }

    def unchanged(self, found: SourceObject) -> bool:
        return self._known.get(found.source) == (found.size, found.modified, found.etag)

    def members(self, source: str) -> pa.Table:
        inside = pc.and_(pc.equal(self._table["container"], source), self._table["present"])
        rows = self._table.filter(inside).select(SCHEMA.names)
        # The catalogue's code says what became of a member; here only a refusal to open it counts.
        refused = pc.equal(rows["code"], "HOSTILE_FILE")
        for column in ("code", "reason"):
            rows = rows.set_column(
                SCHEMA.get_field_index(column), SCHEMA.field(column), pc.if_else(refused, rows[column], "")
            )
        return rows.cast(SCHEMA)
