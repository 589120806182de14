"""XML and zip files from strangers: no entities, no bombs, no more memory than was agreed."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_BYTES = 128 << 20
_FREE_BYTES = 1 << 20
_MOST_RATIO = 200
_MOST_MEMBERS = 20_000
_EXPORT = "Export the measurement again."


def parse_xml(data: bytes, *, where: str) -> Element:
    """Parse XML without entities or external references.

    Raises
    ------
    RecordError
        ``HOSTILE_FILE`` if it declares entities, ``TRUNCATED`` if it is not well-formed, ``READER_FAILED``
        if the package that reads it safely is not installed.
    """
    try:
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError:
        raise missing_package("defusedxml", where) from None
    try:
        root: Element = fromstring(data, forbid_dtd=False)
    except DefusedXmlException as error:
        raise RecordError(
            "HOSTILE_FILE", f"its XML declares what no measurement needs ({error})", where=where, remedy=_EXPORT
        ) from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise RecordError("TRUNCATED", f"its XML is not whole ({error})", where=where, remedy=_EXPORT) from None
    return root


def missing_package(package: str, where: str) -> RecordError:
    """Return the error for a format whose package is not installed."""
    return RecordError(
        "READER_FAILED",
        f"reading it needs the package {package}, which is not installed",
        where=where,
        remedy="pip install 'spectroflow[vendor]'.",
    )


class Zip:
    """A zip file in memory whose members are bounded before they are unpacked.

    Parameters
    ----------
    data
        The file.
    where
        Named in errors.
    most_bytes, most_members
        What all members that are read together may have, and how many there may be.
    """

    def __init__(
        self, data: bytes, *, where: str, most_bytes: int = MOST_BYTES, most_members: int = _MOST_MEMBERS
    ) -> None:
        self._where = where
        with self._explained():
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            entries = self._zip.infolist()
        if len(entries) > most_members:
            raise RecordError("HOSTILE_FILE", f"it has {len(entries)} members", where=where, remedy=_EXPORT)
        self._left = most_bytes
        self.names = [entry.filename for entry in entries]

    def read(self, name: str) -> bytes:
        """Return one member; all that are read together are bounded."""
        with self._explained():
            entry = self._zip.getinfo(name)
            swollen = entry.file_size > max(_FREE_BYTES, _MOST_RATIO * max(1, entry.compress_size))
            if swollen or entry.file_size > self._left:
                raise RecordError(
                    "HOSTILE_FILE",
                    f"{name} would swell from {entry.compress_size} to {entry.file_size} bytes",
                    where=self._where,
                    remedy=_EXPORT,
                )
            with self._zip.open(entry) as file:
                data = file.read(entry.file_size + 1)
        if len(data) > entry.file_size:
            raise RecordError("HOSTILE_FILE", f"{name} is larger than it says", where=self._where, remedy=_EXPORT)
        self._left -= len(data)
        return data

    def find(self, pattern: str) -> list[str]:
        """Return the members whose whole name matches, in the order of the numbers in them."""
        found = [name for name in self.names if re.fullmatch(pattern, name, re.IGNORECASE)]
        return sorted(found, key=lambda name: ([int(part) for part in re.findall(r"\d+", name)], name))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RecordError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError,
                RuntimeError, OverflowError) as error:  # fmt: skip
            raise RecordError(
                "TRUNCATED", f"it is not a whole zip file ({error})", where=self._where, remedy=_EXPORT
            ) from None


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]


def find_all(root: Element, name: str) -> list[Element]:
    """Return all descendants of that name, whatever their namespace."""
    return [element for element in root.iter() if local_name(element) == name]


def text_of(root: Element, name: str) -> str:
    """Return the text of the first descendant of that name, or an empty string."""
    return next(((element.text or "").strip() for element in root.iter() if local_name(element) == name), "")


def numbers_in(text: str, *, where: str) -> FloatArray:
    """Return the numbers in a text that holds nothing else.

    Raises
    ------
    RecordError
        ``BAD_NUMBER``.
    """
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"{error}"[:120], where=where, remedy=_EXPORT) from None
