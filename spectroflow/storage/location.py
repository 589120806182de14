"""A path or URL that can be read, written, created exclusively and listed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from spectroflow.errors import InvalidInput, SpectroFlowError, UsageError
from spectroflow.storage import local
from spectroflow.storage.refusal import refusals_explained
from spectroflow.storage.remote import file_system, retrying

_CONDITIONAL = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols whose fsspec package turns ``mode="create"`` into a conditional put."""


REREADINGS = 2
"""How often content from a network is read anew where it is not whole."""

T = TypeVar("T")


class AlreadyExists(SpectroFlowError):
    """Something of that name is there already, so it was not created."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing tells of one object.

    Attributes
    ----------
    location
        Where it is.
    path
        Its path relative to the folder that was walked, with ``/`` between parts.
    size
        Bytes.
    modified
        Modification time in seconds since 1970, 0 where the storage does not tell.
    etag
        The storage's own content tag, empty on local files.
    """

    location: Location
    path: str
    size: int
    modified: float
    etag: str


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A file, folder, object or prefix.

    Attributes
    ----------
    protocol
        ``file``, ``memory``, ``s3``, ``gs`` or another that fsspec knows.
    path
        An absolute local path, or bucket and key without the protocol.

    Notes
    -----
    It pickles as these two strings; file systems are opened in the process that uses them. Local paths
    never go through fsspec, which can neither force to disk nor create exclusively there.
    """

    protocol: str
    path: str

    @classmethod
    def parse(cls, text: str | Path | Location) -> Location:
        """Return the location that a path or URL names.

        Raises
        ------
        UsageError
            The text is empty or carries credentials.
        """
        if isinstance(text, Location):
            return text
        raw = str(text)
        if not raw.strip():
            raise UsageError("an empty path was given", remedy="Give a path or a URL.")
        if "://" not in raw:
            return cls("file", os.path.abspath(os.path.expanduser(raw)))
        parts = urlsplit(raw)
        if parts.password or parts.username:
            raise UsageError(
                f"the {parts.scheme} URL carries credentials",
                remedy="Leave them out; they are taken from the environment, a profile or the instance's role.",
            )
        rest = raw.split("://", 1)[1].rstrip("/")
        if parts.scheme in {"file", "local"}:
            return cls("file", os.path.abspath("/" + rest.lstrip("/")))
        return cls(parts.scheme, "/" + rest.lstrip("/") if parts.scheme == "memory" else rest)

    def __truediv__(self, child: str) -> Location:
        parts = [part for part in child.split("/") if part]
        if any(part in {".", ".."} for part in parts):
            raise UsageError(f"{child!r} climbs out of {self}", remedy="Use names without '..'.")
        return Location(self.protocol, "/".join([self.path.rstrip("/"), *parts]))

    def __str__(self) -> str:
        return self.path if self.is_local else self.url

    @property
    def url(self) -> str:
        """The location as a URL."""
        return f"{self.protocol}://{self.path.lstrip('/') if self.protocol == 'memory' else self.path}"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> Location:
        """The folder this is in."""
        return Location(self.protocol, self.path.rstrip("/").rsplit("/", 1)[0] or "/")

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return self.protocol == "file"

    @property
    def is_memory(self) -> bool:
        """Whether it exists in this process only."""
        return self.protocol == "memory"

    def read_bytes(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the content, or the bytes from ``start`` up to ``end``.

        A negative ``start`` without ``end`` counts from the end of the object.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        if self.is_local:
            return local.read(self.path, start, end)
        # s3fs asks for the size first where it may split a body; whole shards are read side by side anyway.
        whole = {"max_concurrency": 1} if self.protocol in {"s3", "s3a"} else {}
        return retrying(
            lambda: _as_bytes(self._fs().cat_file(self.path, start=start, end=end, **whole)), where=self.url
        )

    def read_decoded(self, decode: Callable[[bytes], T]) -> T:
        """Return what ``decode`` makes of the content.

        ``decode`` raises ``ValueError`` or :class:`InvalidInput` for content that is not whole. What comes over a
        network is read anew twice before that is believed: a body may be cut on its way.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        return self.read_anew(lambda: decode(self.read_bytes()))

    def read_anew(self, read: Callable[[], T]) -> T:
        """Return what ``read`` reads here, reading anew where what came over a network was not whole."""
        for _ in range(0 if self.is_local else REREADINGS):
            with suppress(ValueError, RuntimeError, InvalidInput):
                return read()
        return read()

    def write_bytes(
        self, data: bytes | memoryview, *, durable: bool = False, at_last: Callable[[], None] | None = None
    ) -> None:
        """Write the whole object atomically, replacing one that is there; ``durable`` forces it to disk.

        ``at_last`` is called when all is written and before it gets its name, and prevents that by raising;
        object storage gives no such moment, so there it is called before the request.
        """
        if self.is_local:
            with refusals_explained(str(self)):
                local.write(self.path, data, durable=durable, at_last=at_last)
        else:
            if at_last is not None:
                at_last()
            retrying(lambda: self._fs().pipe_file(self.path, bytes(data)), where=self.url)

    def create_exclusive(self, data: bytes) -> None:
        """Create the object, whole and durably, unless one of that name exists.

        Of any number of processes that try, exactly one succeeds: a hard link on local disks, a
        conditional put on object storage.

        Raises
        ------
        AlreadyExists
            It exists. On object storage the same content counts as success, because a first attempt may
            have succeeded although its answer was lost.
        """
        try:
            if self.is_local:
                with refusals_explained(str(self)):
                    local.create(self.path, data)
            else:
                retrying(lambda: self._create_remote(data), where=self.url)
        except FileExistsError:
            if self.is_local or self._read_or_none() != data:
                raise AlreadyExists("exists already", where=str(self)) from None

    def exists(self) -> bool:
        """Say whether there is a file, folder, object or prefix of this name."""
        if self.is_local:
            return os.path.exists(self.path)
        return bool(retrying(lambda: self._fs().exists(self.path), where=self.url))

    def is_object(self) -> bool:
        """Say whether there is an object of this very name: one request, where :meth:`exists` may list as well."""
        if self.is_local:
            return os.path.isfile(self.path)
        if self.protocol not in {"s3", "s3a"}:
            return self.exists()
        bucket, _, key = self.path.partition("/")
        try:
            retrying(lambda: self._fs().call_s3("head_object", Bucket=bucket, Key=key), where=self.url)
        except FileNotFoundError:
            return False
        return True

    def is_folder(self) -> bool:
        """Say whether this is a folder, or a prefix with objects below it."""
        if self.is_local:
            return os.path.isdir(self.path)
        return bool(retrying(lambda: self._fs().isdir(self.path), where=self.url))

    def info(self) -> ObjectInfo:
        """Return size, time and tag of a file; raise ``FileNotFoundError`` if there is none."""
        if self.is_local:
            status = os.stat(self.path)
            return ObjectInfo(self, self.name, status.st_size, status.st_mtime, "")
        return self._info(retrying(lambda: self._fs().info(self.path), where=self.url), self.name)

    def delete(self, *, missing_ok: bool = True) -> None:
        """Delete one file or object."""
        try:
            if self.is_local:
                os.unlink(self.path)
            else:
                retrying(lambda: self._fs().rm_file(self.path), where=self.url)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def delete_tree(self) -> None:
        """Delete everything below this location; nothing there is no error."""
        if self.is_local:
            if os.path.isdir(self.path):
                shutil.rmtree(self.path)
            else:
                self.delete()
            return
        with suppress(FileNotFoundError):
            retrying(lambda: self._fs().rm(self.path, recursive=True), where=self.url)

    def delete_empty_folders(self) -> None:
        """Delete the folders at and below this location that hold no file; object storage has none."""
        if self.is_local:
            local.prune(self.path)

    def list(self) -> list[str]:
        """Return the sorted names directly below this folder, read from the storage each time."""
        if self.is_local:
            try:
                return sorted(os.listdir(self.path))
            except (FileNotFoundError, NotADirectoryError):
                return []
        try:
            entries = retrying(lambda: self._fs().ls(self.path, detail=False, **self._uncached()), where=self.url)
        except FileNotFoundError:
            return []
        own = self.path.rstrip("/")
        return sorted({entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry.rstrip("/") != own})

    def walk(self) -> Iterator[ObjectInfo]:
        """Yield every file below this folder, sorted by path; a file yields itself.

        Raises
        ------
        InvalidInput
            There is nothing at this location.
        """
        if not self.exists():
            raise InvalidInput("there is no such file or folder", where=str(self), remedy="Check the path.")
        if self.is_local:
            if not os.path.isdir(self.path):
                yield self.info()
                return
            for path, size, modified in local.walk(self.path):
                relative = path[len(self.path.rstrip("/")) + 1 :]
                yield ObjectInfo(Location("file", path), relative, size, modified, "")
            return
        found = retrying(lambda: self._fs().find(self.path, detail=True, **self._uncached()), where=self.url)
        own = self.path.strip("/")
        for path in sorted(found):
            relative = path.strip("/")[len(own) :].strip("/") or self.name
            yield Location(self.protocol, path)._info(found[path], relative)

    def _info(self, entry: dict[str, Any], relative: str) -> ObjectInfo:
        modified = entry.get("LastModified") or entry.get("mtime") or entry.get("updated") or entry.get("created")
        seconds = modified.timestamp() if isinstance(modified, datetime) else 0.0
        etag = str(entry.get("ETag") or entry.get("etag") or "").strip('"')
        return ObjectInfo(self, relative, int(entry.get("size") or 0), seconds, etag)

    def _create_remote(self, data: bytes) -> None:
        if self.is_memory:
            if self._fs().exists(self.path):
                raise FileExistsError(self.path)
            self._fs().pipe_file(self.path, data)
            return
        if self.protocol not in _CONDITIONAL:
            raise UsageError(
                f"{self.protocol}:// storage cannot create an object exclusively, which commits rely on",
                where=str(self),
                remedy="Keep archives on local disks, S3, Google Cloud Storage or Azure.",
            )
        self._fs().pipe_file(self.path, data, mode="create")

    def _read_or_none(self) -> bytes | None:
        try:
            return self.read_bytes()
        except FileNotFoundError:
            return None

    def _uncached(self) -> dict[str, bool]:
        return {"refresh": True} if self.protocol in {"s3", "s3a", "gs", "gcs"} else {}

    def _fs(self) -> Any:
        return file_system(self.protocol)


def _as_bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else bytes(data)
