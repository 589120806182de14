"""The catalogue: every source that was ever seen, and what became of it.

It is one Arrow table, saved as one Parquet file by the run that made it. The next run compares what a
listing shows with it and opens only what is new or changed.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spectroflow.errors import ArchiveError
from spectroflow.sources.objects import is_container
from spectroflow.storage import Location

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("container", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.float64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("present", pa.bool_(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("modalities", pa.list_(pa.string()), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("remedy", pa.string(), nullable=False),
        pa.field("duplicate_of", pa.string(), nullable=False),
        pa.field("said", pa.string(), nullable=False),
    ]
)
"""One row per source, sorted by ``source``. ``code`` is ``OK``, ``DUPLICATE``, a failure, or one of:"""

UNCLAIMED = "UNCLAIMED"
"""No format claims the file: a source, but not a spectrum."""

CONTAINER = "CONTAINER"
"""An archive of files; its members are sources of their own."""

UNKNOWN = "unknown"
"""The modality under which records are planned whose modality nobody knows."""

_FORMATS_KEY = b"formats"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All sources that were ever seen.

    Attributes
    ----------
    table
        Columns as in :data:`SCHEMA`, sorted by ``source``. ``present`` is false for files that vanished.
    formats
        Fingerprint of the set of formats; unclaimed files are looked at again when it changes.
    """

    table: pa.Table
    formats: str = ""

    @classmethod
    def empty(cls) -> Catalogue:
        """Return a catalogue in which nothing was seen yet."""
        return cls(SCHEMA.empty_table())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def to_parquet(self) -> bytes:
        """Return the catalogue as a Parquet file; equal catalogues give equal bytes."""
        sink = io.BytesIO()
        metadata = {_FORMATS_KEY: self.formats.encode()}
        pq.write_table(self.table.replace_schema_metadata(metadata), sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes, *, where: str = "") -> Catalogue:
        """Read a catalogue; raise :class:`ArchiveError` if it is none."""
        try:
            table = pq.read_table(pa.BufferReader(data))
        except pa.ArrowInvalid as error:
            raise ArchiveError(
                f"the catalogue of sources cannot be read ({error})", where=where, remedy="Restore an earlier version."
            ) from None
        if table.schema.names != SCHEMA.names:
            raise ArchiveError(
                "the catalogue of sources has other columns than this version of SpectroFlow writes",
                where=where,
                remedy="Use the version that wrote it.",
            )
        formats = (table.schema.metadata or {}).get(_FORMATS_KEY, b"").decode()
        return cls(table.cast(SCHEMA).replace_schema_metadata(None), formats)

    def save(self, location: Location) -> None:
        """Write the catalogue."""
        location.write_bytes(self.to_parquet(), durable=True)

    @classmethod
    def load(cls, location: Location) -> Catalogue:
        """Read a catalogue that :meth:`save` wrote."""
        try:
            return cls.from_parquet(location.read_bytes(), where=str(location))
        except FileNotFoundError:
            raise ArchiveError(
                "the catalogue of sources is missing", where=str(location), remedy="Restore an earlier version."
            ) from None

    def unclaimed(self) -> dict[str, int]:
        """Return how many present files no format claims, by extension, most frequent first."""
        mask = pc.and_(pc.equal(self.table["code"], UNCLAIMED), self.table["present"])
        names = self.table.filter(mask)["name"].to_pylist()
        counts = Counter(_extension(name) for name in names)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _extension(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    if is_container(base):
        return "archive of files"
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else "(none)"
