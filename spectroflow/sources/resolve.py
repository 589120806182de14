"""Merging what was seen, finding duplicates, and laying out the planned rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.sources import catalogue
from spectroflow.sources.catalogue import CONTAINER, UNKNOWN
from spectroflow.sources.compare import NOT_ROWS, BoolArray, Comparison, integers, is_true

ROW_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("record", pa.int32(), nullable=False),
        pa.field("records", pa.int32(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("remedy", pa.string(), nullable=False),
        pa.field("duplicate_of", pa.string(), nullable=False),
        pa.field("said", pa.string(), nullable=False),
    ]
)
"""Columns of planned rows. ``status`` is ``OK`` for what has yet to be read, else its final status name;
``record`` counts from 0 within a source that has ``records`` of them; ``said`` is the manifest's entry."""


@dataclass(frozen=True, slots=True)
class Merged:
    """All sources after this look.

    Attributes
    ----------
    table
        The new catalogue's rows, sorted by source, duplicates not yet settled.
    fresh
        Which of them are new or changed.
    before
        Their rows in the previous catalogue, or -1.
    """

    table: pa.Table
    fresh: BoolArray
    before: npt.NDArray[np.int64]


def merge(listing: pa.Table, previous: pa.Table, comparison: Comparison, found: pa.Table) -> Merged:
    """Put together what was opened now, what is as it was, what is gone, and what this run does not look at."""
    opened = np.flatnonzero(comparison.must_open)
    as_before = comparison.unchanged_content(opened, found)
    fresh = comparison.must_open.copy()
    fresh[opened[as_before]] = False
    # One pool of results to take from: earlier ones, new ones, and the row of an archive of files.
    names = [*found.schema.names, "duplicate_of"]
    container = {**dict.fromkeys(names, ""), "modalities": [], "code": CONTAINER}
    pool = pa.concat_tables(
        [
            previous.select(names),
            found.append_column(catalogue.SCHEMA.field("duplicate_of"), pa.array([""] * found.num_rows, pa.string())),
            pa.Table.from_pylist([container], schema=pa.schema([catalogue.SCHEMA.field(name) for name in names])),
        ]
    )
    index = comparison.before.copy()
    index[opened[~as_before]] = previous.num_rows + np.flatnonzero(~as_before)
    index[is_true(pc.equal(listing["code"], CONTAINER))] = pool.num_rows - 1
    there = {name: listing[name] for name in ("source", "name", "container", "size", "modified", "etag")}
    there["present"] = pa.array(np.ones(listing.num_rows, dtype=bool))
    del found  # each column is let go of as soon as its results are taken, so that a large look is not there twice
    for name in names:
        there[name] = pool[name].take(pa.array(index))
        pool = pool.drop_columns([name])
    pa.default_memory_pool().release_unused()
    others = previous.filter(pa.array(comparison.unlisted))
    still = is_true(others["present"]) & ~comparison.gone[comparison.unlisted]
    place = others.schema.get_field_index("present")
    others = others.set_column(place, catalogue.SCHEMA.field("present"), pa.array(still))
    now = pa.table([there[name] for name in catalogue.SCHEMA.names], schema=catalogue.SCHEMA)
    if not others.num_rows:
        return Merged(now, fresh, comparison.before)  # the listing is sorted already
    table = pa.concat_tables([now, others]).combine_chunks()
    order = pc.sort_indices(table["source"])
    rows = integers(order)
    return Merged(
        table.take(order),
        np.concatenate([fresh, np.zeros(others.num_rows, dtype=bool)])[rows],
        np.concatenate([comparison.before, np.flatnonzero(comparison.unlisted)])[rows],
    )


def settle_duplicates(merged: Merged, previous: pa.Table) -> tuple[pa.Table, BoolArray]:
    """Decide which of several sources with one content is the spectrum.

    The one that the archive already holds wins, then the first by name. A source that was a duplicate
    becomes the spectrum when the one it repeated has changed.

    Returns
    -------
    The catalogue's rows with ``code`` and ``duplicate_of`` settled, and which rows are to be planned.
    """
    table = merged.table
    ok, duplicate = (is_true(pc.equal(table["code"], name)) for name in ("OK", "DUPLICATE"))
    present = is_true(table["present"])
    planned = merged.fresh & ~is_true(pc.is_in(table["code"], value_set=pa.array(NOT_ROWS)))
    archived = ~merged.fresh & ok
    eligible = (ok | duplicate) & (present | archived)
    rows = np.flatnonzero(eligible)
    if rows.size == 0:
        return table, planned
    was_ok = np.zeros(table.num_rows, dtype=bool)
    known = merged.before >= 0
    was_ok[known] = is_true(pc.equal(previous["code"].take(pa.array(merged.before[known])), "OK"))
    rank = np.where(archived, 0, np.where(was_ok, 1, 2))[rows]
    content = _ranks(table["content"])[rows]
    kinds = _ranks(pc.binary_join(table["modalities"], ","))[rows]
    group = content * (int(kinds.max()) + 1) + kinds
    order = np.lexsort((rows, rank, group))
    first = np.concatenate([[True], np.diff(group[order]) != 0])
    winner = np.empty(rows.size, dtype=np.int64)
    winner[order] = rows[order][first][np.cumsum(first) - 1]
    loses = (winner != rows) & ~archived[rows]
    planned[rows[(winner == rows) & duplicate[rows] & ~merged.fresh[rows]]] = True
    if not loses.any() and not duplicate.any():
        return table, planned
    settled = np.full(table.num_rows, 2)
    settled[rows] = np.where(loses, 1, 0)
    code = pc.choose(pa.array(settled), "OK", "DUPLICATE", table["code"].combine_chunks())
    source_of = np.full(table.num_rows, -1, dtype=np.int64)
    source_of[rows[loses]] = winner[loses]
    duplicate_of = pc.fill_null(table["source"].take(pa.array(source_of, mask=source_of < 0)), "")
    for name, values in (("code", code), ("duplicate_of", duplicate_of)):
        table = table.set_column(table.schema.get_field_index(name), catalogue.SCHEMA.field(name), values)
    return table, planned


def _ranks(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return a number for each value that is the same where the values are.

    Ranking sorts in place; a dictionary would hold every distinct value once more.
    """
    return integers(pc.rank(values, tiebreaker="dense").cast(pa.int64()))


def planned_rows(table: pa.Table, planned: BoolArray) -> dict[str, pa.Table]:
    """Return one row per record of the planned sources, by modality, sorted by source and record."""
    # Copies are avoided where nothing would change: a first run plans every row of a large catalogue.
    chosen = (table if planned.all() else table.filter(pa.array(planned))).combine_chunks()
    parents = integers(pc.list_parent_indices(chosen["modalities"]))
    counts = integers(pc.list_value_length(chosen["modalities"]))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if counts.size else counts
    modality = pc.list_flatten(chosen["modalities"])
    wide = chosen if (counts == 1).all() else chosen.take(pa.array(parents))
    unknown = pc.and_(pc.equal(modality, UNKNOWN), pc.equal(wide["code"], "OK"))
    columns = {name: wide[name] for name in ROW_SCHEMA.names if name in wide.schema.names}
    columns["modality"] = modality
    columns["record"] = pa.array((np.arange(parents.size) - starts[parents]).astype(np.int32))
    columns["records"] = pa.array(counts[parents].astype(np.int32))
    columns["status"] = pc.if_else(unknown, "UNKNOWN_MODALITY", wide["code"])
    rows = pa.table([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)
    names = sorted(pc.unique(rows["modality"]).to_pylist())
    if len(names) == 1:
        return {names[0]: rows}
    return {name: rows.filter(pc.equal(rows["modality"], name)).combine_chunks() for name in names}
