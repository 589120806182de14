"""The units of a compaction: rows of several segments and their layers, copied into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spectroflow import status
from spectroflow.archive.arrays import Array, Layout
from spectroflow.archive.layer import layer_path
from spectroflow.archive.records import encode_table
from spectroflow.archive.segment import records_key, spectra_path
from spectroflow.archive.stored import StoredGroup, Witness, read_group, read_records, read_shard
from spectroflow.config import ArchiveConfig
from spectroflow.engine import Failure, Resources, Unit, UnitResult
from spectroflow.errors import ArchiveError
from spectroflow.storage import CheckedWriter, Location

if TYPE_CHECKING:
    from spectroflow.archive.compact import Member, Merge

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one old shard that follow each other in a new one."""

    member: Member
    shard: int
    rows: Rows
    """Old rows, ascending."""
    first: int
    """New row of the first of them."""


@dataclass(slots=True)
class MergeProcessor:
    """Copies rows into new segments. Every object it reads is checked against its digest.

    Attributes
    ----------
    root
        The archive.
    merges
        What to do, by name of the new segment.
    config
        How the new segments are cut.
    """

    root: Location
    merges: dict[str, Merge]
    config: ArchiveConfig
    resources: Resources = field(default_factory=lambda: Resources(memory_bytes=700 << 20))
    _layouts: dict[str, list[tuple[str, Layout]]] = field(default_factory=dict, repr=False)
    _groups: dict[str, StoredGroup] = field(default_factory=dict, repr=False)
    _witnesses: dict[tuple[str, str], Witness] = field(default_factory=dict, repr=False)
    _last: dict[str, tuple[int, Any]] = field(default_factory=dict, repr=False)

    def setup(self) -> None:
        """Need nothing."""

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of all arrays and the record tables of the unit."""
        shards = range(unit.shard_start, unit.shard_stop)
        found = {records_key(unit.group, shard) for shard in shards}
        for _, layout in self._targets(self.merges[unit.group]):
            found.update(*(layout.keys(shard) for shard in shards))
        return frozenset(found)

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Copy the unit, shard by shard, and what was noted of its failed rows.

        Raises
        ------
        ArchiveError
            An object that is to be copied is damaged, or copying a row ended the process: a record is
            never given up for being moved.
        """
        if skip:
            raise ArchiveError(
                f"copying row {min(skip)} ended the process",
                where=unit.id,
                remedy="Look at the memory of the workers; nothing was changed.",
            )
        merge = self.merges[unit.group]
        codes: Counter[str] = Counter()
        failures: list[Failure] = []
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = self._targets(merge)[0][1].span(shard)
            pieces = list(self._pieces(merge, start, stop))
            for kind, layout in self._targets(merge):
                arrays = self._arrays(kind, layout, pieces)
                layout.write(writer.zarr_store(layout.path), shard, arrays)
                if kind == "":
                    codes.update(status.NAMES.get(int(code), str(code)) for code in arrays["status"])
            writer.put(records_key(merge.segment, shard), encode_table(self._records(pieces, start, stop)))
            failures += self._failures(pieces)
        return UnitResult(dict(codes), failures, {"ok": {merge.segment: codes["OK"]}})

    def probe(self, unit: Unit, rows: range) -> None:
        """Read what some rows are copied from."""
        merge = self.merges[unit.group]
        pieces = list(self._pieces(merge, rows.start, rows.stop))
        for kind, layout in self._targets(merge):
            self._arrays(kind, layout, pieces)

    @staticmethod
    def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """Add the numbers of spectra of each new segment."""
        total = Counter(first.get("ok", {}))
        total.update(second.get("ok", {}))
        return {"ok": dict(total)}

    def _targets(self, merge: Merge) -> list[tuple[str, Layout]]:
        """Return what is written: ``("", segment)``, then ``(key, layer)`` for each layer."""
        if merge.segment not in self._layouts:
            self._layouts[merge.segment] = [
                (kind, layout) for kind, layout, _ in merged_layouts(self.root, merge, self.config)
            ]
        return self._layouts[merge.segment]

    def _pieces(self, merge: Merge, start: int, stop: int) -> Iterator[_Piece]:
        """Yield where new rows ``start`` to ``stop`` come from, in order."""
        offset = 0
        for member in merge.members:
            if offset < stop and offset + member.rows > start:
                first, last = max(start - offset, 0), min(stop - offset, member.rows)
                rows = kept_rows(member)[first:last]
                shards = rows // member.entry.shard_rows
                for shard in np.unique(shards):
                    inside = np.flatnonzero(shards == shard)
                    yield _Piece(member, int(shard), rows[inside], offset + first + int(inside[0]))
            offset += member.rows

    def _arrays(self, kind: str, layout: Layout, pieces: list[_Piece]) -> dict[str, Array]:
        parts = [self._old_arrays(kind, layout, piece) for piece in pieces]
        return {array.name: np.concatenate([part[array.name] for part in parts]) for array in layout.arrays}

    def _old_arrays(self, kind: str, target: Layout, piece: _Piece) -> dict[str, Array]:
        entry = piece.member.entry
        if kind:
            layer = piece.member.kept.get(kind)
            if layer is None:
                # Nothing of this kind was done for these rows, which is what fill values say.
                return {a.name: np.full((len(piece.rows), *a.inner), a.fill, a.dtype) for a in target.arrays}
            path, witness = layer_path(layer.id, layer.kind), self._witness(layer.run, f"layers/{layer.id}")
        else:
            path, witness = spectra_path(entry.id), self._witness(entry.run, f"segments/{entry.id}")
        cached = self._last.get(kind)
        if cached is None or cached[0] != piece.shard or cached[1][0] != path:
            group = self._groups.get(path) or self._groups.setdefault(path, read_group(self.root, path))
            layout = group.layout(path, entry.rows, entry.shard_rows, entry.shard_rows)
            cached = piece.shard, (path, read_shard(witness, group, layout, piece.shard))
            # A new shard often begins where the old one that the last new one ended with goes on.
            self._last[kind] = cached
        local = piece.rows - piece.shard * entry.shard_rows
        return {name: values[local] for name, values in cached[1][1].items()}

    def _witness(self, run: str, folder: str) -> Witness:
        return self._witnesses.setdefault((run, folder), Witness(self.root, run, folder))

    def _records(self, pieces: list[_Piece], start: int, stop: int) -> pa.Table:
        tables = []
        for piece in pieces:
            entry = piece.member.entry
            table = read_records(self._witness(entry.run, f"segments/{entry.id}"), entry.id, piece.shard)
            tables.append(table.take(pa.array(piece.rows - piece.shard * entry.shard_rows)))
        table = pa.concat_tables(tables, promote_options="default").combine_chunks()
        place = table.column_names.index("row")
        return table.set_column(place, table.schema.field(place), pa.array(np.arange(start, stop)))

    def _failures(self, pieces: list[_Piece]) -> list[Failure]:
        found: list[Failure] = []
        for piece in pieces:
            new = {int(old): piece.first + i for i, old in enumerate(piece.rows)}
            entry = piece.member.entry
            noted = self._witness(entry.run, f"segments/{entry.id}").failures(piece.shard)
            found += [replace(failure, row=new[failure.row]) for failure in noted if failure.row in new]
        return found


def kept_rows(member: Member, superseded: Iterable[tuple[int, int]] | None = None) -> Rows:
    """Return the rows of a member that nothing superseded, ascending; at planning time if not told otherwise."""
    kept = np.ones(member.entry.rows, np.bool_)
    for start, stop in member.superseded if superseded is None else superseded:
        kept[start:stop] = False
    return np.flatnonzero(kept)


def merged_layouts(root: Location, merge: Merge, config: ArchiveConfig) -> list[tuple[str, Layout, StoredGroup]]:
    """Return what a merge writes: the new segment, then its layers, each with a group it is like."""
    like = read_group(root, spectra_path(merge.members[0].entry.id))
    size = merge.rows, merge.shard_rows, config.chunk_rows
    result = [("", like.layout(spectra_path(merge.segment), *size), like)]
    for key in merge.layer_keys:
        old = merge.layer(key)
        like = read_group(root, layer_path(old.id, old.kind))
        result.append((key, like.layout(layer_path(merge.layer_id(key), old.kind), *size), like))
    return result


def create_merged(root: Location, merge: Merge, config: ArchiveConfig) -> None:
    """Write the metadata of a new segment and its layers, with the attributes of the old ones."""
    for kind, layout, like in merged_layouts(root, merge, config):
        own = {"segment": merge.segment} if kind else {}
        layout.create(root, {**like.attributes, "status_codes": status.table(), **own})
