"""Files on this machine: atomic and durable writes, exclusive creation, listings.

A write goes to a ``*.partial`` file beside its target first and is renamed over it, so that a reader
never sees half of it and a kill leaves nothing but the ``*.partial`` file.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

PARTIAL_SUFFIX = ".partial"

_REMAKINGS = 20


def write(path: str, data: bytes | memoryview, *, durable: bool, at_last: Callable[[], None] | None = None) -> None:
    """Write a file atomically; ``durable`` also forces it to disk before it gets its name.

    ``at_last`` is called between the two; where it raises, what was there stays as it was.
    """
    partial = _write_partial(path, data, durable)
    try:
        if at_last is not None:
            at_last()
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(os.path.dirname(path))


def create(path: str, data: bytes) -> None:
    """Create a file that must not exist yet, whole and durably; raise ``FileExistsError`` if it does."""
    partial = _write_partial(path, data, durable=True)
    try:
        os.link(partial, path)
    except OSError as error:
        if isinstance(error, FileExistsError):
            # A network file system may have made the link and lost its answer; two names then tell.
            if os.stat(partial).st_nlink != 2:
                raise
        elif error.errno in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            _create_without_links(path, data)
        else:
            raise
    finally:
        os.unlink(partial)
    _sync_folder(os.path.dirname(path))


def _create_without_links(path: str, data: bytes) -> None:
    """Create a file where there are no hard links: exclusive too, but not there all at once."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    with os.fdopen(handle, "wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())


def read(path: str, start: int | None, end: int | None) -> bytes:
    """Read a file, or the bytes from ``start`` to ``end``; a negative ``start`` counts from its end."""
    with open(path, "rb", buffering=0) as file:
        if start is None and end is None:
            return file.readall()
        size = os.fstat(file.fileno()).st_size
        first = 0 if start is None else (max(0, size + start) if start < 0 else start)
        last = size if end is None else min(end, size)
        file.seek(first)
        chunks = []
        missing = max(0, last - first)
        while missing > 0:
            chunk = file.read(missing)
            if not chunk:
                break
            chunks.append(chunk)
            missing -= len(chunk)
        return b"".join(chunks)


def walk(path: str) -> Iterator[tuple[str, int, float]]:
    """Yield ``(path, size, modification time)`` of every file below a folder, sorted by path.

    Links to folders are not followed, so that a link to a parent cannot loop. What vanishes on the way,
    as ``*.partial`` files do when they get their names, is left out.
    """
    try:
        entries = sorted(os.scandir(path), key=_path_order)
    except (NotADirectoryError, FileNotFoundError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
        elif entry.is_file():
            with suppress(FileNotFoundError):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime


def prune(path: str) -> None:
    """Delete a folder and those below it, as far as they are empty; whoever writes there makes them again."""
    for folder, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


def _path_order(entry: os.DirEntry[str]) -> str:
    """Sort folders by what their files' paths begin with, so that ``a.b`` comes before ``a/b`` as in a bucket."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _write_partial(path: str, data: bytes | memoryview, durable: bool) -> str:
    # Random, because process numbers of two machines on one network file system may be equal.
    partial = f"{path}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
    try:
        with _open_new(partial, durable) as file:
            view = memoryview(data).cast("B")
            while view:
                view = view[file.write(view) :]
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return partial


def _open_new(path: str, durable: bool) -> FileIO:
    """Open a file to be written, making its folder where there is none.

    A collection may delete the folder again while it is empty. So the folders' names are forced to disk
    only when the file is in there.
    """
    made: list[str] = []
    for _ in range(_REMAKINGS):
        with suppress(FileNotFoundError):
            file = open(path, "wb", buffering=0)  # noqa: SIM115 - whoever asks closes it
            for folder in made if durable else ():
                _sync_folder(os.path.dirname(folder))
            return file
        made += _missing_folders(path)
        with suppress(FileNotFoundError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
    return open(path, "wb", buffering=0)


def _missing_folders(path: str) -> list[str]:
    """Return the folders above a path that do not exist, the uppermost first."""
    missing: list[str] = []
    while not os.path.isdir(path := os.path.dirname(path)):
        missing.append(path)
    return missing[::-1]


def _sync_folder(path: str) -> None:
    handle = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
