"""Compaction: many small segments of one kind become one, with their layers, without superseded rows.

Every night leaves a segment; opening a thousand of them costs more than reading them. Compaction is a
run like any other: a plan, units that write whole shards, markers with digests, and a commit. The old
segments stay until no kept version names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from spectroflow.archive.arrays import choose_shard_rows
from spectroflow.archive.commit import commit, merge_superseded
from spectroflow.archive.layer import LINES, layer_path
from spectroflow.archive.merging import MergeProcessor, create_merged, kept_rows
from spectroflow.archive.segment import Origin, spectra_path
from spectroflow.archive.stored import StoredGroup, comparable, read_group
from spectroflow.archive.version import LayerEntry, SegmentEntry, Version
from spectroflow.config import ArchiveConfig, digest
from spectroflow.engine import Estimate, Group, Plan
from spectroflow.errors import CommitConflict
from spectroflow.storage import Location

SMALL_SHARDS = 16
"""Segments of at most so many full shards of rows are worth merging."""

MOST_SHARDS = 1024
"""A merged segment gets no more than so many full shards of rows."""

DROPPED_SHARE = 0.25
"""A segment with this share of superseded rows is worth rewriting by itself."""

_OWN_ATTRIBUTES = frozenset({"segment", "status_codes"})


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(_Model):
    """A segment that is merged.

    Attributes
    ----------
    entry, superseded
        What the version says of it.
    layers
        Ids of all of its layers at that time.
    kept
        The layers that are merged, by what they are: kind, configuration and attributes. Of several that
        are the same, the newest.
    """

    entry: SegmentEntry
    superseded: tuple[tuple[int, int], ...]
    layers: tuple[str, ...]
    kept: dict[str, LayerEntry]

    @property
    def rows(self) -> int:
        """Rows that are kept."""
        return self.entry.rows - sum(stop - start for start, stop in self.superseded)


class Merge(_Model):
    """Segments that become one.

    Attributes
    ----------
    segment
        Name of the new segment.
    modality, origin
        What all members are.
    members
        In the order in which their rows follow each other.
    rows, shard_rows
        Of the new segment.
    """

    segment: str
    modality: str
    origin: Origin
    members: tuple[Member, ...]
    rows: int
    shard_rows: int

    def layer(self, key: str) -> LayerEntry:
        """Return a layer of the kind that a key stands for, the first member's that has one."""
        return next(member.kept[key] for member in self.members if key in member.kept)

    def layer_id(self, key: str) -> str:
        """Return the name of a layer of the new segment."""
        return f"{self.segment}-{key}"

    @property
    def layer_keys(self) -> list[str]:
        """What layers there are. All members have the same lines; of other kinds some may have none."""
        return sorted({key for member in self.members for key in member.kept})


def choose_merges(
    root: Location, version: Version, config: ArchiveConfig, *, small_rows: int | None = None
) -> list[Merge]:
    """Return what is worth merging in a version.

    Segments go together that have one modality and origin, the same arrays and attributes, and lines of
    the same configurations, so that nothing a fit has done is lost and nothing it has not done seems done.
    Layers of other kinds are kept, with rows that are not done where a segment had none. Segments that are aligned
    with those of another archive (``source_segment``) are left alone, and so are segments that another
    one of this archive is aligned with.

    Parameters
    ----------
    root, version
        The archive as it is.
    config
        How the new segments are cut.
    small_rows
        Rows up to which a segment counts as small; 16 full shards if not given.
    """
    small = small_rows if small_rows is not None else SMALL_SHARDS * config.shard_rows
    sources = {entry.source_segment for entry in version.segments}
    families: dict[str, list[Member]] = {}
    groups: dict[str, StoredGroup] = {}
    for entry in version.segments:
        layers = [layer for layer in version.layers if layer.segment == entry.id]
        superseded = version.superseded.get(entry.id, ())
        member = Member(entry=entry, superseded=superseded, layers=tuple(layer.id for layer in layers), kept={})
        worth = member.rows <= small or _wasteful(member)
        if not worth or entry.source_segment is not None or entry.id in sources:
            continue
        groups[entry.id] = read_group(root, spectra_path(entry.id))
        member = member.model_copy(update={"kept": {_layer_key(root, layer): layer for layer in layers}})
        families.setdefault(_family(member, groups[entry.id]), []).append(member)
    return [
        _merge(chosen, groups[chosen[0].entry.id], config)
        for members in families.values()
        for chosen in _batches(members, MOST_SHARDS * config.shard_rows)
    ]


def compaction_plan(
    version: Version, merges: Sequence[Merge], config: ArchiveConfig, *, written: int = 0, **fields: Any
) -> Plan:
    """Return the plan of a compaction.

    Parameters
    ----------
    version, merges, config
        What is merged, and how the result is cut.
    written
        Uncompressed bytes of the result, for the estimate.
    **fields
        Further ones of the plan, such as ``unit_shards``.
    """
    groups = [Group(name=merge.segment, rows=merge.rows, shard_rows=merge.shard_rows) for merge in merges]
    widest = config.shard_bytes * 4
    return Plan.of(
        job="compact",
        base_version=version.number,
        config={"archive": config.model_dump(mode="json")},
        groups=groups,
        payload={"merges": [merge.model_dump(mode="json") for merge in merges]},
        estimate=Estimate(
            bytes=written,
            memory_bytes=(250 << 20) + 3 * widest,
        ),
        **fields,
    )


def merge_processor(root: Location, merges: Iterable[Merge], config: ArchiveConfig) -> MergeProcessor:
    """Return what does the units of a compaction."""
    return MergeProcessor(root, {merge.segment: merge for merge in merges}, config)


def prepare_merges(root: Location, merges: Iterable[Merge], config: ArchiveConfig) -> None:
    """Write the metadata of the new segments and layers."""
    for merge in merges:
        create_merged(root, merge, config)


def commit_merges(root: Location, merges: Sequence[Merge], run: str, ok: Mapping[str, int]) -> Version:
    """Commit a compaction: the new segments and layers in place of the old ones.

    Rows that were superseded meanwhile are superseded in the new segments. A merge whose segments are
    gone, or got a layer meanwhile, is left out; the next compaction takes them.

    Parameters
    ----------
    root
        The archive.
    merges
        What was merged.
    run
        The run that did it.
    ok
        Rows that hold a spectrum, by name of the new segment.

    Raises
    ------
    CommitConflict
        Nothing of it can follow what others committed.
    """
    return commit(root, lambda base: _replace(base, merges, run, ok), command="compact", run=run)


def _replace(base: Version, merges: Sequence[Merge], run: str, ok: Mapping[str, int]) -> Version:
    result, reasons = base, []
    for merge in merges:
        if any(entry.id == merge.segment for entry in base.segments):
            reasons.append("")
            continue
        reason = _obstacle(base, merge)
        if reason:
            reasons.append(reason)
        else:
            result = _replace_one(result, merge, run, ok.get(merge.segment, 0))
    if result is base and any(reasons) and all(reasons):
        raise CommitConflict(
            f"what was compacted has changed meanwhile: {next(filter(None, reasons))}",
            where=run,
            remedy="Run spectroflow compact again; it starts from the new version.",
        )
    return result


def _obstacle(base: Version, merge: Merge) -> str:
    entries = {entry.id: entry for entry in base.segments}
    for member in merge.members:
        if entries.get(member.entry.id) != member.entry:
            return f"segment {member.entry.id} is no longer part of the archive"
        for layer in base.layers:
            if layer.segment == member.entry.id and layer.id not in member.layers:
                return f"layer {layer.id} was added to segment {member.entry.id}"
    return ""


def _replace_one(base: Version, merge: Merge, run: str, ok: int) -> Version:
    gone = {member.entry.id for member in merge.members}
    new = SegmentEntry(
        id=merge.segment,
        modality=merge.modality,
        rows=merge.rows,
        shard_rows=merge.shard_rows,
        origin=merge.origin,
        run=run,
        ok=ok,
    )
    first = next(i for i, entry in enumerate(base.segments) if entry.id in gone)
    before = [entry for entry in base.segments[:first] if entry.id not in gone]
    after = [entry for entry in base.segments[first:] if entry.id not in gone]
    layers = [
        merge.layer(key).model_copy(update={"id": merge.layer_id(key), "segment": merge.segment, "run": run})
        for key in merge.layer_keys
    ]
    late = superseded_since(base, merge)
    kept = {name: spans for name, spans in base.superseded.items() if name not in gone}
    return base.model_copy(
        update={
            "segments": (*before, new, *after),
            "layers": (*(layer for layer in base.layers if layer.segment not in gone), *layers),
            "superseded": merge_superseded(kept, {merge.segment: late}),
        }
    )


def superseded_since(version: Version, merge: Merge) -> list[int]:
    """Return the rows of a new segment whose old rows were superseded after the merge was planned."""
    result: list[int] = []
    offset = 0
    for member in merge.members:
        old = kept_rows(member)
        now = kept_rows(member, version.superseded.get(member.entry.id, ()))
        result += (offset + np.flatnonzero(~np.isin(old, now, assume_unique=True))).tolist()
        offset += member.rows
    return result


def _family(member: Member, group: StoredGroup) -> str:
    lines = sorted(key for key, layer in member.kept.items() if layer.kind == LINES)
    spectra = comparable(group, _OWN_ATTRIBUTES)
    return digest({"of": [member.entry.modality, member.entry.origin, spectra, lines]}, 32)


def _layer_key(root: Location, layer: LayerEntry) -> str:
    like = comparable(read_group(root, layer_path(layer.id, layer.kind)), _OWN_ATTRIBUTES)
    return f"{layer.kind}-{layer.config}-{digest({'like': like}, 8)}"


def _batches(members: Sequence[Member], most_rows: int) -> Iterable[list[Member]]:
    """Yield runs of members that together have not too many rows and are worth the work."""
    batch: list[Member] = []
    for member in [*members, None]:
        full = batch and (member is None or sum(m.rows for m in batch) + member.rows > most_rows)
        if full:
            if sum(m.rows for m in batch) and (len(batch) > 1 or _wasteful(batch[0])):
                yield batch
            batch = []
        if member is not None:
            batch.append(member)


def _wasteful(member: Member) -> bool:
    return member.rows <= member.entry.rows * (1 - DROPPED_SHARE)


def _merge(members: Sequence[Member], group: StoredGroup, config: ArchiveConfig) -> Merge:
    rows = sum(member.rows for member in members)
    shard_rows = choose_shard_rows(rows, group.row_bytes(), config)
    entry = members[0].entry
    described = {
        "members": [member.model_dump(mode="json") for member in members],
        "config": config.model_dump(mode="json"),
        "shard_rows": shard_rows,
    }
    return Merge(
        segment=f"{entry.modality}-{digest(described, 12)}",
        modality=entry.modality,
        origin=entry.origin,
        members=tuple(members),
        rows=rows,
        shard_rows=shard_rows,
    )
