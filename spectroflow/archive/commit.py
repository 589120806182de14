"""Committing: the next version, created exclusively, or nothing."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from spectroflow.archive.version import (
    LayerEntry,
    SegmentEntry,
    Version,
    decode_version,
    encode_version,
    latest_version,
    version_location,
)
from spectroflow.engine import faults
from spectroflow.errors import CommitConflict, Unreachable
from spectroflow.storage import AlreadyExists, Location

Change = Callable[[Version], Version]
"""Makes the wanted version out of the newest; raises CommitConflict; returns its argument for no change."""

ATTEMPTS = 60


def commit(root: Location, change: Change, *, command: str, run: str) -> Version:
    """Commit a change of the archive.

    The change is applied to the newest version. If another run takes the next number first, its
    version is read and the change applied to that, so that a fit beside a conversion both stay.

    Parameters
    ----------
    root
        The archive.
    change
        A pure function from the newest version to the wanted one.
    command, run
        Who commits.

    Returns
    -------
    Version
        The committed version, or the newest one if the change made no difference: a run that was
        killed just after its commit finds its work done.

    Raises
    ------
    CommitConflict
        The change cannot follow what another run committed.
    Unreachable
        Other runs were faster every time.
    """
    for attempt in range(ATTEMPTS):
        base = latest_version(root)
        wanted = change(base)
        if wanted == base:
            return base
        version = wanted.model_copy(
            update={
                "number": base.number + 1,
                "parent": base.number,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": command,
                "run": run,
            }
        )
        try:
            return publish(root, version)
        except AlreadyExists:
            time.sleep(random.uniform(0.0, 0.02 * min(attempt + 1, 20)))
    raise Unreachable(
        f"{ATTEMPTS} attempts to commit each found that another run was faster",
        where=str(root),
        remedy="Run the same command again; its work is kept.",
    )


def publish(root: Location, version: Version) -> Version:
    """Create the file of a version, and return it as it is read back.

    Raises
    ------
    AlreadyExists
        Another version has that number.
    """
    data = encode_version(version)
    faults.reach("before-commit", version.run)
    version_location(root, version.number).create_exclusive(data)
    faults.reach("after-commit", version.run)
    return decode_version(data, version.number)


def add_segments(
    version: Version,
    segments: Iterable[SegmentEntry],
    *,
    superseded: Mapping[str, Iterable[int]] | None = None,
    catalogue: str | None = None,
    attributes: Mapping[str, object] | None = None,
) -> Version:
    """Return the version with more segments; what is there already is not added twice.

    Raises
    ------
    CommitConflict
        Superseded rows are of a segment that the version no longer has.
    """
    if catalogue and catalogue in version.catalogues:
        # Committed before; its segments may have been compacted since.
        return version
    known = {entry.id for entry in version.segments}
    for name in superseded or {}:
        if name not in known:
            raise CommitConflict(
                f"segment {name!r}, which holds records that this run replaces, is no longer part of the archive",
                where=catalogue or "",
                remedy="Another run compacted or removed it; run the same command again on the new version.",
            )
    new = [entry for entry in segments if entry.id not in known]
    catalogues = version.catalogues
    if catalogue and catalogue not in catalogues:
        catalogues = (*catalogues, catalogue)
    return version.model_copy(
        update={
            "segments": (*version.segments, *new),
            "catalogues": catalogues,
            "superseded": merge_superseded(version.superseded, superseded or {}),
            # As JSON has them, so that a version read back equals the one that was made.
            "attributes": {**version.attributes, **json.loads(json.dumps(dict(attributes or {})))},
        }
    )


def add_layers(version: Version, layers: Iterable[LayerEntry]) -> Version:
    """Return the version with more layers.

    Raises
    ------
    CommitConflict
        A layer describes a segment that the version no longer has.
    """
    segments = {entry.id for entry in version.segments}
    known = {layer.id for layer in version.layers}
    new = [layer for layer in layers if layer.id not in known]
    for layer in new:
        if layer.segment not in segments:
            raise CommitConflict(
                f"segment {layer.segment!r} is no longer part of the archive",
                where=layer.id,
                remedy="Another run compacted or removed it; run the same command again on the new version.",
            )
    return version.model_copy(update={"layers": (*version.layers, *new)})


def merge_superseded(
    known: Mapping[str, Iterable[tuple[int, int]]], added: Mapping[str, Iterable[int]]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return spans of superseded rows with single rows added; touching spans become one."""
    result = {segment: tuple((int(a), int(b)) for a, b in spans) for segment, spans in known.items()}
    for segment, rows in added.items():
        spans = sorted([*result.get(segment, ()), *((row, row + 1) for row in rows)])
        merged: list[tuple[int, int]] = []
        for start, stop in spans:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        if merged:
            result[segment] = tuple(merged)
    return result
