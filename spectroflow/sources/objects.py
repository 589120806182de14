"""What a source is: an object in a folder or bucket, or a member of an archive of files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spectroflow.storage import Location

MEMBER_MARK = "!/"
"""Stands between an archive of files and the member inside it: ``scans.zip!/day1/quartz.txt``."""

_CONTAINER = re.compile(r"\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$", re.IGNORECASE)
_MEMBER = re.compile(
    r"^(.+?\.(?:zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz))" + re.escape(MEMBER_MARK) + r"(.+)$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One file, object or archive member that a walk found.

    Attributes
    ----------
    source
        What it is called in the catalogue: an absolute path, a URL, or one of these, ``!/`` and the
        name of a member.
    name
        Its path relative to the folder that was walked, or inside its archive.
    size
        Bytes.
    modified
        Modification time in seconds since 1970, 0 where nobody tells.
    etag
        The object store's content tag, or a member's checksum; empty on local files.
    """

    source: str
    name: str
    size: int
    modified: float
    etag: str = ""


def is_container(name: str) -> bool:
    """Say whether a file of this name is an archive whose members are sources; a zipped Zarr store is one itself."""
    return _CONTAINER.search(name) is not None and not name.lower().endswith(".zarr.zip")


def split_member(source: str) -> tuple[Location, str | None]:
    """Return where a source's file is and, for a member of an archive, which member.

    >>> split_member("/data/scans.zip!/day1/quartz.txt")[1]
    'day1/quartz.txt'
    """
    match = _MEMBER.match(source)
    if match is None:
        return Location.parse(source), None
    return Location.parse(match.group(1)), match.group(2)
