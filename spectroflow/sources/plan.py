"""What a conversion has to do: the sources that are new or changed, as rows per modality.

The planned rows are a pure function of the sources, the manifest and the previous catalogue. Each gets
exactly one row of the archive, whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.formats.registry import fingerprint
from spectroflow.modality import Modality
from spectroflow.sources.catalogue import UNCLAIMED, UNKNOWN, Catalogue
from spectroflow.sources.compare import NOT_ROWS, BoolArray, Comparison, is_true
from spectroflow.sources.examine import unknown_modality
from spectroflow.sources.listing import list_sources, with_missing
from spectroflow.sources.look import Listener, Looker
from spectroflow.sources.manifest import Entry, Manifest
from spectroflow.sources.reading import SourceReader
from spectroflow.sources.resolve import ROW_SCHEMA, Merged, merge, planned_rows, settle_duplicates
from spectroflow.sources.walk import walk
from spectroflow.storage import Location


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """How many sources there are, by what happened to them since the last run.

    ``new + changed + unchanged`` is the number of files that are there; archives of files are among
    them in ``containers``, files that no format claims in ``unclaimed``.
    """

    objects: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    unclaimed: int = 0
    containers: int = 0
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What a conversion has to do.

    Attributes
    ----------
    catalogue
        To be saved by the run, and given to the next.
    rows
        Planned rows of each modality, columns as in :data:`ROW_SCHEMA`, sorted by source and record.
        What nobody knows the modality of, whole or broken, is under ``unknown``.
    replaced
        Sources whose earlier records these rows supersede.
    vanished
        Sources that were there last time and are not now. Their records stay.
    counts
        Of sources.
    unclaimed
        Files that no format claims, by extension.
    warnings
        Sentences that a person should read.
    """

    catalogue: Catalogue
    rows: dict[str, pa.Table]
    replaced: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    counts: PlanCounts = PlanCounts()
    unclaimed: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of planned rows of all modalities."""
        return sum(table.num_rows for table in self.rows.values())


def plan_sources(
    sources: Sequence[str],
    modalities: Mapping[str, Modality],
    *,
    previous: Catalogue | None = None,
    manifest: Manifest | None = None,
    exclude: Sequence[Location] = (),
    again: Collection[str] = (),
    max_file_bytes: int = 2 << 30,
    reader_memory: int = 1 << 30,
    reader_timeout: float = 30.0,
    listener: Listener | None = None,
) -> SourcePlan:
    """Find out what there is to do.

    Parameters
    ----------
    sources
        Files, folders, patterns and URLs; archives of files among them are looked into.
    modalities
        All that are known.
    previous
        What the last run saw.
    manifest
        What files are that do not say it themselves. Its own file is not a source. An entry holds until
        another manifest says something else.
    exclude
        Files and folders to leave out, as the archive itself.
    again
        Sources to take again although they have not changed.
    max_file_bytes
        Larger files are refused.
    reader_memory, reader_timeout
        Limits of readers that run in a child process, in bytes and seconds for each file.
    listener
        Told of progress.

    Raises
    ------
    InvalidInput
        A source does not exist, or a pattern matches nothing.
    Unreachable
        A bucket does not answer.
    """
    previous = previous or Catalogue.empty()
    left_out = [*exclude, manifest.location] if manifest else list(exclude)
    with SourceReader(max_file_bytes=max_file_bytes, memory=reader_memory, timeout=reader_timeout) as reader:
        listing = list_sources(walk(sources, exclude=left_out), previous, reader)
        missing: list[str] = []
        if manifest is not None:
            listing, missing = with_missing(listing, manifest, sources, left_out)
        comparison = Comparison(listing, previous, manifest, again, sources)
        looker = Looker(reader, modalities, max_file_bytes, listener)
        merged = merge(listing, previous.table, comparison, looker.look(listing, comparison))
    table, planned = settle_duplicates(merged, previous.table)
    rows = planned_rows(table, planned)
    pa.default_memory_pool().release_unused()
    if UNKNOWN in rows:
        rows[UNKNOWN] = _explained(rows[UNKNOWN], modalities)
    catalogue = Catalogue(table, fingerprint())
    names = table["source"]
    earlier = (merged.before >= 0) & planned
    had_rows = np.zeros(len(planned), dtype=bool)
    had_rows[earlier] = _has_rows(previous.table["code"].take(pa.array(merged.before[earlier])))
    vanished = previous.table.filter(pa.array(comparison.gone & is_true(previous.table["present"])))
    vanished = vanished.filter(pa.array(_has_rows(vanished["code"])))
    return SourcePlan(
        catalogue=catalogue,
        rows=rows,
        replaced=tuple(names.filter(pa.array(had_rows)).to_pylist()),
        vanished=tuple(vanished["source"].to_pylist()),
        counts=_count(merged, table, listing, comparison, vanished.num_rows, looker.bytes_read),
        unclaimed=catalogue.unclaimed(),
        warnings=tuple(_warnings(manifest, missing, vanished["source"].to_pylist())),
    )


def _has_rows(codes: pa.ChunkedArray) -> BoolArray:
    return ~is_true(pc.is_in(codes, value_set=pa.array(NOT_ROWS)))


def _explained(rows: pa.Table, modalities: Mapping[str, Modality]) -> pa.Table:
    """Give rows of unknown modality their reason and remedy."""
    reasons, remedies = rows["reason"].to_pylist(), rows["remedy"].to_pylist()
    for index, (status, said) in enumerate(zip(rows["status"].to_pylist(), rows["said"].to_pylist(), strict=True)):
        if status == "UNKNOWN_MODALITY":
            reasons[index], remedies[index] = unknown_modality(Entry.from_json(said), modalities)
    for name, values in (("reason", reasons), ("remedy", remedies)):
        rows = rows.set_column(rows.schema.get_field_index(name), ROW_SCHEMA.field(name), pa.array(values, pa.string()))
    return rows


def _count(
    merged: Merged, table: pa.Table, listing: pa.Table, comparison: Comparison, vanished: int, bytes_read: int
) -> PlanCounts:
    present = is_true(table["present"])
    new = int(np.count_nonzero(comparison.before < 0))
    changed = int(np.count_nonzero(merged.fresh & present & (merged.before >= 0)))
    codes = table["code"].filter(table["present"])
    return PlanCounts(
        objects=listing.num_rows,
        new=new,
        changed=changed,
        unchanged=listing.num_rows - new - changed,
        vanished=vanished,
        unclaimed=int(pc.sum(pc.equal(codes, UNCLAIMED)).as_py() or 0),
        containers=int(pc.sum(pc.equal(codes, "CONTAINER")).as_py() or 0),
        bytes_read=bytes_read,
    )


def _warnings(manifest: Manifest | None, missing: list[str], vanished: list[str]) -> list[str]:
    found = []
    if missing:
        found.append(f"The manifest names {_some(missing)} which {_are(missing)} not there.")
    if manifest is not None and manifest.repeated:
        found.append(f"The manifest lists {_some(list(manifest.repeated))} more than once.")
    found += [
        f"The manifest has a column {each} It is kept as metadata." for each in (manifest.doubtful if manifest else ())
    ]
    if vanished:
        found.append(f"{_some(vanished)} {_are(vanished)} not there any more; the records stay.")
    return found


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, ...)"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
