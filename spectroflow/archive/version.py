"""Versions: the list of segments and layers that make up the archive at a moment.

``versions/000017.json`` is written once, exclusively, and never changes. The highest number is the
archive. Everything else that is stored is immutable and counts only if a version names it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectroflow.archive import sealed
from spectroflow.archive.segment import Origin
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location

FORMAT = 1
_NAME = re.compile(r"([0-9]{6}|[1-9][0-9]{6,})\.json")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentEntry(_Entry):
    """One segment of a version: its id, modality, rows, rows per shard, origin and the run that wrote it."""

    id: str
    modality: str
    rows: int
    shard_rows: int
    origin: Origin
    run: str
    source_segment: str | None = None
    ok: int = 0


class LayerEntry(_Entry):
    """One layer of a version: what kind of result, of which segment, by which configuration and run."""

    id: str
    kind: str
    segment: str
    config: str
    run: str


class Version(_Entry):
    """What the archive is.

    Attributes
    ----------
    format
        Of this file and of what it names; a reader refuses a newer one.
    number, parent
        This version and the one it followed.
    created, command, run
        When, by which command and by which run it was committed.
    segments, layers
        What belongs to it.
    superseded
        Rows, by segment, that newer records replace, as ``[start, stop)`` spans.
    catalogues
        Runs whose catalogue of sources counts, oldest first.
    attributes
        Facts of the whole archive, such as the model that generated it.
    digest
        Of all other fields as they are stored; see :func:`spectroflow.archive.sealed.digest_of`.
    """

    format: int = FORMAT
    number: int = 0
    parent: int = 0
    created: str = ""
    command: str = ""
    run: str = ""
    segments: tuple[SegmentEntry, ...] = ()
    layers: tuple[LayerEntry, ...] = ()
    superseded: dict[str, tuple[tuple[int, int], ...]] = Field(default_factory=dict)
    catalogues: tuple[str, ...] = ()
    attributes: dict[str, Any] = Field(default_factory=dict)
    digest: str = ""

    def segment(self, name: str) -> SegmentEntry:
        """Return the entry of a segment; raise :class:`ArchiveError` if the version has none of that id."""
        for entry in self.segments:
            if entry.id == name:
                return entry
        raise ArchiveError(f"version {self.number} has no segment {name!r}", remedy="Run spectroflow inspect.")

    def layers_of(self, segment: str, kind: str) -> list[LayerEntry]:
        """Return the layers of one kind of a segment, oldest first."""
        return [layer for layer in self.layers if layer.segment == segment and layer.kind == kind]


def encode_version(version: Version) -> bytes:
    """Return the bytes of a version's file, with the digest of its content."""
    tree = version.model_dump(mode="json", exclude={"digest"})
    return sealed.encode({**tree, "digest": sealed.digest_of(tree)})


def version_location(root: Location, number: int) -> Location:
    """Return where a version is stored."""
    return root / "versions" / f"{number:06d}.json"


def version_numbers(root: Location) -> list[int]:
    """Return the numbers of all versions, ascending; names that are not versions do not count."""
    numbers = (int(match[1]) for name in (root / "versions").list() if (match := _NAME.fullmatch(name)))
    return sorted(number for number in numbers if number > 0)


def read_version(root: Location, number: int) -> Version:
    """Read one version.

    Raises
    ------
    ArchiveError
        There is none of that number, it is damaged, or a newer SpectroFlow wrote it.
    """
    location = version_location(root, number)
    try:
        return location.read_decoded(lambda data: decode_version(data, number, str(location)))
    except FileNotFoundError:
        known = version_numbers(root)
        raise ArchiveError(
            f"there is no version {number}",
            where=str(root),
            remedy=f"Versions are {known[0]} to {known[-1]}." if known else "The archive is empty.",
        ) from None


def decode_version(data: bytes, number: int, where: str = "") -> Version:
    """Read the bytes of a version's file; raise :class:`ArchiveError` as :func:`read_version` does."""
    try:
        tree = json.loads(data)
        written = int(tree.get("format", 0))
    except (ValueError, TypeError, AttributeError):
        raise _damaged("it is not what was written", where) from None
    if written > FORMAT:
        raise ArchiveError(
            f"it has format {written}, and this SpectroFlow reads up to {FORMAT}",
            where=where,
            remedy="Upgrade SpectroFlow.",
        )
    seal = tree.pop("digest", None)
    try:
        version = Version.model_validate(tree)
        if seal != sealed.digest_of(tree):
            raise _damaged("its digest does not fit its content", where)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}", where) from None
    if version.number != number:
        raise _damaged(f"it says that it is version {version.number}", where)
    return version.model_copy(update={"digest": seal})


def _damaged(reason: str, where: str) -> ArchiveError:
    return ArchiveError(
        f"this version is damaged: {reason}",
        where=where,
        remedy="Open an earlier version with --version, or make one the newest with spectroflow restore.",
    )


def latest_version(root: Location) -> Version:
    """Return the archive as it is now; version 0, which is empty, where nothing was committed yet."""
    numbers = version_numbers(root)
    return read_version(root, numbers[-1]) if numbers else Version()
