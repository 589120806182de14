"""Opening what is new or changed, each source once, several at a time where they are far away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from spectroflow.modality import Modality
from spectroflow.sources import catalogue
from spectroflow.sources.catalogue import UNCLAIMED, UNKNOWN
from spectroflow.sources.compare import Comparison, integers
from spectroflow.sources.examine import Examined, examine
from spectroflow.sources.manifest import Entry
from spectroflow.sources.objects import split_member
from spectroflow.sources.reading import SourceReader

FRESH_SCHEMA = pa.schema(
    [
        catalogue.SCHEMA.field(name)
        for name in ("digest", "content", "format", "modalities", "code", "reason", "remedy", "said")
    ]
)
"""What opening a source adds to what the listing says of it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How many sources of those that must be opened are, with their bytes, and how many cannot be read."""

    files_done: int = 0
    files: int = 0
    bytes_done: int = 0
    bytes: int = 0
    failed: int = 0


Listener = Callable[[Looked], None]
"""Told of progress."""

_READERS = 16
_BATCH = 4096
_TELL_EVERY = 64


@dataclass(slots=True)
class Looker:
    """Opens sources.

    Attributes
    ----------
    reader
        Reads them; far ones are read by threads with a reader each.
    modalities
        All that are known.
    max_file_bytes
        Larger files are refused.
    listener
        Told of progress.
    bytes_read
        So far.
    """

    reader: SourceReader
    modalities: Mapping[str, Modality]
    max_file_bytes: int
    listener: Listener | None = None
    bytes_read: int = 0

    def look(self, listing: pa.Table, comparison: Comparison) -> pa.Table:
        """Return what each source that must be opened is, in the order of the listing."""
        wanted = np.flatnonzero(comparison.must_open)
        batches = []
        done = failed = seen = 0
        total = int(np.maximum(integers(listing["size"])[wanted], 0).sum())
        for start in range(0, len(wanted), _BATCH):
            rows = wanted[start : start + _BATCH]
            jobs = [
                {**row, "said": said, "was_row": bool(was)}
                for row, said, was in zip(
                    listing.take(pa.array(rows)).to_pylist(),
                    comparison.said(rows),
                    comparison.was_row[rows],
                    strict=True,
                )
            ]
            found = []
            for job, each in zip(jobs, self._in_order(jobs), strict=True):
                found.append({name: getattr(each, name) for name in FRESH_SCHEMA.names[:-1]} | {"said": job["said"]})
                self.bytes_read += job["size"] if each.digest else 0
                seen += max(0, job["size"])
                failed += each.code not in {"OK", UNCLAIMED}
                done += 1
                if self.listener is not None and (done % _TELL_EVERY == 0 or done == len(wanted)):
                    self.listener(Looked(done, len(wanted), seen, total, failed))
            batches.append(pa.RecordBatch.from_pylist(found, schema=FRESH_SCHEMA))
        return pa.Table.from_batches(batches, FRESH_SCHEMA)

    def _in_order(self, jobs: list[dict[str, Any]]) -> Iterator[Examined]:
        if not any(_is_far(job) for job in jobs):
            yield from (self._one(self.reader, job) for job in jobs)
            return
        # Latency, not bandwidth, is what a bucket costs; the window keeps memory bounded.
        remaining = iter(jobs)
        with ThreadPoolExecutor(_READERS) as pool:
            window = deque(self._begin(pool, job) for job in islice(remaining, _READERS))
            while window:
                yield window.popleft()()
                window.extend(self._begin(pool, job) for job in islice(remaining, 1))

    def _begin(self, pool: ThreadPoolExecutor, job: dict[str, Any]) -> Callable[[], Examined]:
        if not _is_far(job):
            return lambda: self._one(self.reader, job)
        future: Future[Examined] = pool.submit(
            self._one, SourceReader(max_file_bytes=self.max_file_bytes, sandbox=self.reader.sandbox), job
        )
        return future.result

    def _one(self, reader: SourceReader, job: dict[str, Any]) -> Examined:
        entry = Entry.from_json(job["said"])
        if job["code"]:
            return Examined(
                modalities=(UNKNOWN,), code=job["code"], reason=job["reason"], remedy="Check the file's origin."
            )
        found = examine(
            reader,
            job["source"],
            job["name"],
            job["size"],
            entry=entry,
            modalities=self.modalities,
            max_file_bytes=self.max_file_bytes,
        )
        if found.code == UNCLAIMED and job["was_row"]:
            return Examined(
                found.digest,
                modalities=(UNKNOWN,),
                code="NOT_A_SPECTRUM",
                reason="it held a spectrum when it was last read, and no format claims it now",
                remedy="Restore the file.",
            )
        return found


def _is_far(job: dict[str, Any]) -> bool:
    """Say whether a thread of its own pays; members share the archive that the one reader keeps open."""
    location, member = split_member(job["source"])
    return member is None and not location.is_local
