"""Versions: the list of segments and layers that make up the archive at a moment.

``versions/000017.json`` is written once, exclusively, and never changes. The highest number is the
archive. Everything else that is stored is immutable and counts only if a version names it.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectroflow.archive.segment import Origin
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location

FORMAT = 1
_NAME = re.compile(r"^(\d{6,})\.json$")


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

    def segment(self, name: str) -> SegmentEntry:
        """Return the entry of a segment; raise :class:`ArchiveError` if the version has none of that id."""
        for entry in self.segments:
            if entry.id == name:
                return entry
        raise ArchiveError(f"version {self.number} has no segment {name!r}", remedy="Run spectroflow inspect.")

    def layers_of(self, segment: str, kind: str) -> list[LayerEntry]:
        """Return the layers of one kind of a segment, oldest first."""
        return [layer for layer in self.layers if layer.segment == segment and layer.kind == kind]


def version_location(root: Location, number: int) -> Location:
    """Return where a version is stored."""
    return root / "versions" / f"{number:06d}.json"


def version_numbers(root: Location) -> list[int]:
    """Return the numbers of all versions, ascending; names that are not versions do not count."""
    return sorted(int(match[1]) for name in (root / "versions").list() if (match := _NAME.match(name)))


def read_version(root: Location, number: int) -> Version:
    """Read one version.

    Raises
    ------
    ArchiveError
        There is none of that number, it is damaged, or a newer SpectroFlow wrote it.
    """
    location = version_location(root, number)
    try:
        version = Version.model_validate_json(location.read_bytes())
    except FileNotFoundError:
        known = version_numbers(root)
        raise ArchiveError(
            f"there is no version {number}",
            where=str(root),
            remedy=f"Versions are {known[0]} to {known[-1]}." if known else "The archive is empty.",
        ) from None
    except ValidationError as error:
        raise ArchiveError(
            f"the version cannot be read ({error.error_count()} errors, first: {error.errors()[0]['msg']})",
            where=str(location),
            remedy="Open an earlier version, or upgrade SpectroFlow if a newer one wrote it.",
        ) from None
    if version.format > FORMAT:
        raise ArchiveError(
            f"it has format {version.format}, and this SpectroFlow reads up to {FORMAT}",
            where=str(location),
            remedy="Upgrade SpectroFlow.",
        )
    return version


def latest_version(root: Location) -> Version:
    """Return the archive as it is now; version 0, which is empty, where nothing was committed yet."""
    numbers = version_numbers(root)
    return read_version(root, numbers[-1]) if numbers else Version()
