"""Finding sources: folders, single files, globs and prefixes of buckets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.errors import InvalidInput
from spectroflow.sources.objects import MEMBER_MARK, SourceObject
from spectroflow.sources.stores import gathered
from spectroflow.storage import Location

_MAGIC = re.compile(r"[*?\[]")


def walk(sources: Sequence[str], *, exclude: Sequence[Location] = ()) -> Iterator[SourceObject]:
    """Yield every file and Zarr store that the given paths, URLs and globs lead to, each as often as it is found.

    Parameters
    ----------
    sources
        Files, folders, ``s3://`` or other URLs, or patterns with ``*``, ``?``, ``[...]`` and ``**``.
    exclude
        Files and folders to leave out: the archive that is written to, the manifest.

    Raises
    ------
    InvalidInput
        A path does not exist, or a pattern matches nothing.
    """
    left_out = [str(location).rstrip("/") for location in exclude]
    for text in sources:
        for found in gathered(_walk_one(text)):
            if not any(found.source == each or found.source.startswith(each + "/") for each in left_out):
                yield found


def led_to(names: pa.Array, sources: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Say which sources the given paths, URLs and globs would lead to if they were there, members of archives too."""
    found = np.zeros(len(names), dtype=bool)
    for text in sources:
        location = Location.parse(text)
        root = str(location).rstrip("/")
        for start in (root + "/", root + MEMBER_MARK):
            found |= pc.starts_with(names, start).to_numpy(zero_copy_only=False)
        found |= pc.equal(names, root).to_numpy(zero_copy_only=False)
        if _MAGIC.search(text):
            base, pattern = _split_pattern(location)
            prefix = str(base).rstrip("/") + "/"
            below = np.flatnonzero(pc.starts_with(names, prefix).to_numpy(zero_copy_only=False))
            for place, name in zip(below, names.take(pa.array(below)).to_pylist(), strict=True):
                found[place] |= pattern.fullmatch(name[len(prefix) :].split(MEMBER_MARK)[0]) is not None
    return found


def _walk_one(text: str) -> Iterator[SourceObject]:
    location = Location.parse(text)
    if not _MAGIC.search(text) or location.exists():
        yield from _below(location)
        return
    base, pattern = _split_pattern(location)
    matches = False
    prefix = len(str(base).rstrip("/")) + 1
    if base.exists():
        for found in _below(base):
            if pattern.fullmatch(found.source[prefix:]):
                matches = True
                yield found
    if not matches:
        raise InvalidInput("no file matches this pattern", where=text, remedy="Check the pattern, and quote it.")


def _below(location: Location) -> Iterator[SourceObject]:
    for info in location.walk():
        yield SourceObject(str(info.location), info.path, info.size, info.modified, info.etag)


def _split_pattern(location: Location) -> tuple[Location, re.Pattern[str]]:
    """Return the deepest folder without magic, and what paths below it must match.

    A pattern that matches a folder takes everything in it.
    """
    parts = location.path.split("/")
    first = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
    base = Location(location.protocol, "/".join(parts[:first]) or "/")
    return base, re.compile(
        "/".join(map(_translate, parts[first:])).replace("\0/", "(?:.*/)?") + r"(?:/.*)?", re.DOTALL
    )


def _translate(part: str) -> str:
    if part == "**":
        return "\0"
    out = ""
    position = 0
    while position < len(part):
        character = part[position]
        end = part.find("]", position + 2) if character == "[" else -1
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif end > 0:
            inner = part[position + 1 : end].replace("\\", r"\\")
            out += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
            position = end
        else:
            out += re.escape(character)
        position += 1
    return out
