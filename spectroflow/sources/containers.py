"""Members of ``.zip`` and ``.tar.*`` files as sources of their own, never unpacked to named files.

Names of members are names only: nothing is ever written under them. A member whose name climbs out of
its archive is nevertheless refused, since whoever made it meant harm. Sizes are bounded before memory
is taken: by what the archive declares, and by what really comes out.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from spectroflow.errors import RecordError
from spectroflow.sources.fetch import fetch, missing
from spectroflow.sources.objects import MEMBER_MARK, SourceObject
from spectroflow.storage import Location

_MOST_MEMBERS = 5_000_000
_MOST_RATIO = 200.0
_FREE_BYTES = 1 << 30
_BLOCK = 1 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside an archive, and why it must not be read, if so."""

    found: SourceObject
    refused: str = ""


class Container(Protocol):
    """An open archive of files."""

    def members(self) -> Iterator[Member]:
        """Yield the files inside, in the archive's order."""
        ...

    def read(self, name: str, most: int) -> bytes:
        """Return one member; raise :class:`RecordError` if there is none, it is broken or over ``most`` bytes."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_container(location: Location) -> Container:
    """Open an archive of files.

    A remote archive is copied to an unnamed temporary file first; a compressed tar is unpacked into
    one, so that members can be read in any order.

    Raises
    ------
    RecordError
        ``TRUNCATED`` if it is not a readable archive, ``HOSTILE_FILE`` if unpacking it would swell
        beyond reason, ``SOURCE_MISSING`` if it is not there.
    """
    with _explained(str(location)):
        file = _local_file(location)
        if location.name.lower().endswith(".zip"):
            return ZipContainer(str(location), file)
        return TarContainer(str(location), _plain_tar(file, str(location)))
    raise AssertionError  # pragma: no cover


class ZipContainer:
    """A ``.zip`` file."""

    def __init__(self, source: str, file: IO[bytes]) -> None:
        self._source = source
        self._zip = zipfile.ZipFile(file)

    def members(self) -> Iterator[Member]:
        """Yield the files inside, sorted by name as in the directory of the zip."""
        entries = self._zip.infolist()
        if len(entries) > _MOST_MEMBERS:
            raise RecordError("HOSTILE_FILE", f"it has {len(entries)} members", where=self._source, remedy=_SPLIT)
        seen: set[str] = set()
        for entry in entries:
            if entry.is_dir() or entry.filename in seen:
                continue
            seen.add(entry.filename)
            found = SourceObject(
                f"{self._source}{MEMBER_MARK}{entry.filename}", entry.filename, entry.file_size, 0.0, f"{entry.CRC:08x}"
            )
            swollen = entry.file_size > _BLOCK and entry.file_size > _MOST_RATIO * max(1, entry.compress_size)
            reason = f"it would swell {entry.file_size / max(1, entry.compress_size):.0f} times" if swollen else ""
            if entry.flag_bits & 1:
                reason = "it is encrypted"
            yield Member(found, reason or _climbs(entry.filename))

    def read(self, name: str, most: int) -> bytes:
        """Return one member."""
        with _explained(f"{self._source}{MEMBER_MARK}{name}"), self._zip.open(name) as file:
            return _bounded(file, most)
        raise AssertionError  # pragma: no cover

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()


class TarContainer:
    """A tar file, already uncompressed."""

    def __init__(self, source: str, file: IO[bytes]) -> None:
        self._source = source
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
        self._index: dict[str, tarfile.TarInfo] | None = None

    def members(self) -> Iterator[Member]:
        """Yield the regular files inside, in the order of the tar."""
        for count, entry in enumerate(self._entries().values()):
            if count > _MOST_MEMBERS:
                raise RecordError("HOSTILE_FILE", "it has too many members", where=self._source, remedy=_SPLIT)
            found = SourceObject(f"{self._source}{MEMBER_MARK}{entry.name}", entry.name, entry.size, float(entry.mtime))
            yield Member(found, _climbs(entry.name))

    def read(self, name: str, most: int) -> bytes:
        """Return one member."""
        with _explained(f"{self._source}{MEMBER_MARK}{name}"):
            file = self._tar.extractfile(self._entries()[name])
            if file is None:
                raise KeyError(name)
            return _bounded(file, most)
        raise AssertionError  # pragma: no cover

    def close(self) -> None:
        """Let go of the file."""
        self._tar.close()
        self._file.close()

    def _entries(self) -> dict[str, tarfile.TarInfo]:
        if self._index is None:
            with _explained(self._source):
                self._index = {entry.name: entry for entry in self._tar if entry.isreg()}
        return self._index


_SPLIT = "Split the archive, or convert the unpacked folder."


def _climbs(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    absolute = name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":")
    return "its name climbs out of the archive" if ".." in parts or absolute else ""


def _bounded(file: IO[bytes], most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        raise RecordError(
            "TOO_LARGE", f"it is larger than {most} bytes", remedy="Raise convert.max_file_bytes if this is meant."
        )
    return data


def _local_file(location: Location) -> IO[bytes]:
    if location.is_local:
        return open(location.path, "rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115
    size = location.info().size
    for start in range(0, size, 16 * _BLOCK):
        file.write(fetch(location, start, min(size, start + 16 * _BLOCK)))
    file.seek(0)
    return file


def _plain_tar(file: IO[bytes], source: str) -> IO[bytes]:
    """Return a tar without its compression, in an unnamed temporary file if it had one."""
    start = file.read(6)
    file.seek(0, io.SEEK_END)
    packed = file.tell()
    file.seek(0)
    unpacker = _unpacker(start, file)
    if unpacker is None:
        return file
    most = max(_FREE_BYTES, int(_MOST_RATIO * packed))
    plain = tempfile.TemporaryFile()  # noqa: SIM115
    written = 0
    with file, unpacker:
        while block := unpacker.read(_BLOCK):
            written += len(block)
            if written > most:
                plain.close()
                raise RecordError(
                    "HOSTILE_FILE", f"{packed} bytes swell to more than {most}", where=source, remedy=_SPLIT
                )
            plain.write(block)
    plain.seek(0)
    return plain


def _unpacker(start: bytes, file: IO[bytes]) -> IO[bytes] | None:
    import bz2
    import gzip

    if start[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start[:3] == b"BZh":
        return bz2.BZ2File(file)
    if start[:6] == b"\xfd7zXZ\0":
        return lzma.LZMAFile(file)
    return None


@contextmanager
def _explained(source: str) -> Iterator[None]:
    """Turn whatever a broken archive makes the standard library raise into one of our errors."""
    try:
        yield
    except RecordError as error:
        error.where = error.where or source
        raise
    except FileNotFoundError:
        raise missing(source) from None
    except KeyError:
        raise RecordError("SOURCE_MISSING", "the archive has no such member", where=source, remedy=_AGAIN) from None
    except (*_BROKEN, NotImplementedError, RuntimeError, MemoryError, RecursionError) as error:
        raise RecordError(
            "TRUNCATED", f"the archive cannot be read ({error})", where=source, remedy="Make or copy it again."
        ) from None


_AGAIN = "Run the same command again to take the sources as they are now."
