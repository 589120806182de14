"""Reading sources again: the bytes that were planned, or an error that says they changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from types import TracebackType
from typing import Self

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import HEAD_BYTES, Format, Probe, RawRecord
from spectroflow.formats.registry import get, is_isolated
from spectroflow.formats.zarr_arrays import ROOTS
from spectroflow.sources.containers import Container, open_container
from spectroflow.sources.fetch import fetch
from spectroflow.sources.objects import split_member
from spectroflow.sources.sandbox import Sandbox
from spectroflow.sources.stores import is_store, packed
from spectroflow.storage import Location

_OPEN_CONTAINERS = 4


def digest_of(data: bytes | memoryview) -> str:
    """Return the digest by which the catalogue knows content: BLAKE2b, 128 bits, hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def digests_of(data: bytes, start: int) -> tuple[str, str]:
    """Return the digest of a file and that of what it holds from ``start`` on, from one walk over its bytes.

    The file's is ``<digest>+<start>``: of its first ``start`` bytes and of the digest of the others.
    """
    content = digest_of(memoryview(data)[start:])
    return (f"{digest_of(data[:start] + content.encode())}+{start}", content) if start else (content, content)


def has_digest(data: bytes, digest: str) -> bool:
    """Say whether a file has one of the digests that :func:`digests_of` gives."""
    start = digest.partition("+")[2]
    return digests_of(data, int(start) if start else 0)[0] == digest


class SourceReader:
    """Reads sources by name and keeps the archives of files that it came by open.

    Parameters
    ----------
    max_file_bytes
        Larger files are refused.
    memory, timeout
        Limits of readers that run in a child process.
    sandbox
        One to share; by default the reader starts its own when a file needs it.

    Notes
    -----
    One reader serves one thread.
    """

    def __init__(
        self,
        *,
        max_file_bytes: int = 2 << 30,
        memory: int = 1 << 30,
        timeout: float = 30.0,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._most = max_file_bytes
        self.sandbox = sandbox or Sandbox(memory=memory, timeout=timeout)
        self._owns_sandbox = sandbox is None
        self._open: OrderedDict[str, Container] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every archive of files that is open, and end the child process if there is one."""
        while self._open:
            self._open.popitem()[1].close()
        if self._owns_sandbox:
            self.sandbox.close()

    def container(self, source: str) -> Container:
        """Return an archive of files, opened."""
        if source in self._open:
            self._open.move_to_end(source)
            return self._open[source]
        location, _ = split_member(source)
        self._open[source] = open_container(location)
        while len(self._open) > _OPEN_CONTAINERS:
            self._open.popitem(last=False)[1].close()
        return self._open[source]

    def head(self, source: str) -> bytes:
        """Return the first 64 KiB of a file; members of archives are read whole, of stores what they begin with."""
        location, member = split_member(source)
        if member is not None:
            return self.read(source)[:HEAD_BYTES]
        if is_store(source) and location.is_folder():
            begin = [name for name in ROOTS if (location / name).exists()]
            return packed(begin, lambda name: fetch(location / name))[:HEAD_BYTES]
        return fetch(location, 0, HEAD_BYTES)

    def read(self, source: str) -> bytes:
        """Return the bytes of a source; those of a Zarr store are a zip of its files.

        Raises
        ------
        RecordError
            ``SOURCE_MISSING``, ``TOO_LARGE``, ``STORAGE_ERROR``, or what a broken archive of files gives.
        Unreachable
            The bucket does not answer.
        """
        location, member = split_member(source)
        if member is not None and is_store(source):
            return self._packed_members(self.container(str(location)), source, member)
        if member is not None:
            return self.container(str(location)).read(member, self._most)
        if is_store(source) and location.is_folder():
            return self._packed_folder(location)
        data = fetch(location)
        if len(data) > self._most:
            raise too_large(source, len(data), self._most)
        return data

    def _packed_folder(self, location: Location) -> bytes:
        files = {info.path: info for info in location.walk()}
        size = sum(info.size for info in files.values())
        if size > self._most:
            raise too_large(str(location), size, self._most)
        return packed(files, lambda name: fetch(files[name].location))

    def _packed_members(self, container: Container, source: str, member: str) -> bytes:
        inside = [each.found for each in container.members() if each.found.name.startswith(member + "/")]
        if not inside:
            return container.read(member, self._most)
        size = sum(found.size for found in inside)
        if size > self._most:
            raise too_large(source, size, self._most)
        names = [found.name[len(member) + 1 :] for found in inside]
        return packed(names, lambda name: container.read(f"{member}/{name}", self._most))

    def records(self, source: str, name: str, *, digest: str, format_name: str) -> list[RawRecord]:
        """Read the spectra of a source as it was planned.

        Parameters
        ----------
        source, name
            As the planned row has them.
        digest
            What the content's digest was when it was planned.
        format_name
            The format that claimed it then.

        Raises
        ------
        RecordError
            ``SOURCE_CHANGED`` if the content is another now; ``SOURCE_MISSING``; whatever the format's
            reader finds wrong.
        """
        data = self.read(source)
        if not has_digest(data, digest):
            raise RecordError(
                "SOURCE_CHANGED",
                "the file changed between planning and reading",
                where=source,
                remedy="Run the same command again to take it as it is now.",
            )
        return read_records(data, name, format_name=format_name, where=source, sandbox=self.sandbox)

    def probe(self, entry: Format, data: bytes, name: str) -> Probe:
        """Call a format's ``probe``, in a child process if its reader is not trusted."""
        return self.sandbox.probe(entry.name, data, name) if is_isolated(entry) else entry.probe(data, name)


def read_source(source: str, name: str, *, digest: str, format_name: str) -> list[RawRecord]:
    """Read the spectra of one source as it was planned; see :meth:`SourceReader.records`."""
    with SourceReader() as reader:
        return reader.records(source, name, digest=digest, format_name=format_name)


def read_records(
    data: bytes, name: str, *, format_name: str, where: str, sandbox: Sandbox | None = None
) -> list[RawRecord]:
    """Parse the bytes of one source; every failure is a :class:`RecordError` that names the source."""
    try:
        entry = get(format_name)
        if sandbox is not None and is_isolated(entry):
            return sandbox.read(format_name, data, name)
        # Numbers that overflow become infinite and are masked later; nothing is gained by a warning.
        with np.errstate(all="ignore"):
            return entry.read(data, name)
    except RecordError as error:
        error.where = where
        raise
    except Exception as error:
        raise RecordError(
            "READER_FAILED",
            f"the {format_name} reader failed with {type(error).__name__}: {error}",
            where=where,
            remedy="The file is damaged or of a dialect that is not supported; export it again.",
        ) from error


def too_large(source: str, size: int, most: int) -> RecordError:
    """Return the error for a file that is over the bound."""
    return RecordError(
        "TOO_LARGE",
        f"{size} bytes are more than the {most} that one file may have",
        where=source,
        remedy="Raise convert.max_file_bytes if this is meant.",
    )
