"""Zarr stores as sources: a folder of many files that is one thing, read as one zip of them.

The zip is the same for the same files, whenever and from wherever they are read, so that its digest is the store's.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from spectroflow.formats.zarr_arrays import ROOTS
from spectroflow.sources.objects import SourceObject

_STORE = re.compile(r"(.*?[^/]\.zarr)(?:/|$)", re.IGNORECASE | re.DOTALL)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def store_of(source: str) -> str | None:
    """Return the store that a file is in by its name, or None.

    >>> store_of("/data/map.zarr/intensity/c/0/0")
    '/data/map.zarr'
    """
    match = _STORE.match(source)
    return match.group(1) if match else None


def is_store(source: str) -> bool:
    """Say whether a source is called as stores are."""
    return store_of(source) == source


def gathered(found: Iterable[SourceObject]) -> Iterator[SourceObject]:
    """Yield files as they are found, and those of one store, which follow each other, as one source.

    Its size is that of its files, its time that of the newest, and its tag changes with each of them. A folder that
    is called as a store and is none gives its files.
    """
    for root, files in groupby(found, key=lambda each: store_of(each.source)):
        if root is None:
            yield from files
            continue
        inside = list(files)
        names = {each.source[len(root) + 1 :] for each in inside}
        if names.isdisjoint(ROOTS):
            yield from inside
            continue
        yield _as_one(root, inside)


def _as_one(root: str, inside: list[SourceObject]) -> SourceObject:
    state = hashlib.blake2b(digest_size=12)
    for each in inside:
        state.update(f"{each.source[len(root) :]}\0{each.size}\0{each.modified!r}\0{each.etag}\n".encode())
    below = len(inside[0].source) - len(root)
    name = inside[0].name[: len(inside[0].name) - below] or root.rsplit("/", 1)[-1]
    return SourceObject(
        root, name, sum(each.size for each in inside), max(each.modified for each in inside), state.hexdigest()
    )


def packed(names: Iterable[str], read: Callable[[str], bytes]) -> bytes:
    """Return a store's files as one zip.

    Parameters
    ----------
    names
        Of its files, relative to it.
    read
        Returns the bytes of one.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        # What a store begins with stands first, so that the first bytes of the zip tell what it is.
        for name in sorted(names, key=lambda each: (each not in ROOTS, each)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), read(name))
    return file.getvalue()
