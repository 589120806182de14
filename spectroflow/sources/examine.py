"""One look at one new or changed source: its digests, its format, and how many spectra of what kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spectroflow.errors import RecordError, Unreachable
from spectroflow.formats.base import HEAD_BYTES, Format
from spectroflow.formats.normalise import resolve_modality
from spectroflow.formats.registry import detect
from spectroflow.modality import Modality
from spectroflow.sources.catalogue import UNCLAIMED, UNKNOWN
from spectroflow.sources.manifest import Entry
from spectroflow.sources.reading import SourceReader, digest_of, digests_of, too_large

_READ_WHOLE = 8 << 20
"""Larger files are opened by their first bytes before they are read whole."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a source turned out to be.

    Attributes
    ----------
    digest, content
        Digests of the whole file, and of it without the names at its beginning; none where it gave no bytes.
    format
        The format that claims it, empty where none does.
    modalities
        One entry per spectrum.
    code, reason, remedy
        ``OK``, ``UNCLAIMED``, or why it cannot be read.
    """

    digest: str = ""
    content: str = ""
    format: str = ""
    modalities: tuple[str, ...] = ()
    code: str = "OK"
    reason: str = ""
    remedy: str = ""


def examine(
    reader: SourceReader,
    source: str,
    name: str,
    size: int,
    *,
    entry: Entry,
    modalities: Mapping[str, Modality],
    max_file_bytes: int,
) -> Examined:
    """Look at one source.

    Parameters
    ----------
    reader
        Reads it.
    source, name, size
        As the listing has them.
    entry
        What the manifest says of it.
    modalities
        All that are known; aliases are resolved.
    max_file_bytes
        Larger files are refused, unless no format claims them.
    """
    data: bytes | None = None
    found: Format | None = None
    try:
        if size > _READ_WHOLE:
            found = detect(reader.head(source), name)
            if found is None:
                return Examined(code=UNCLAIMED)
            if size > max_file_bytes:
                raise too_large(source, size, max_file_bytes)
        data = reader.read(source)
        found = detect(data[:HEAD_BYTES], name)
        if found is None:
            return Examined(digest_of(data), code=UNCLAIMED)
        told = reader.probe(found, data, name)
    except RecordError as error:
        return _refused(data, found, entry, modalities, error.code, error.message, error.remedy)
    except Unreachable:
        raise
    except Exception as error:
        return _refused(
            data,
            found,
            entry,
            modalities,
            "READER_FAILED",
            f"the {found.name if found else ''} reader failed with {type(error).__name__}: {error}",
            "The file is damaged or of a dialect that is not supported; export it again.",
        )
    digest, content = digests_of(data, told.payload_start)
    names = tuple(_named(entry.modality or name, modalities) or UNKNOWN for name in told.modalities)
    if not names:
        return Examined(
            digest, content, found.name, (UNKNOWN,), "NO_DATA", "there is no spectrum in it", "Export it again."
        )
    return Examined(digest, content, found.name, names)


def _refused(
    data: bytes | None,
    found: Format | None,
    entry: Entry,
    modalities: Mapping[str, Modality],
    code: str,
    reason: str,
    remedy: str,
) -> Examined:
    """Return what is known of a source that cannot be read; without bytes it has no digest."""
    given = _named(entry.modality, modalities) or UNKNOWN
    digest = "" if data is None else digest_of(data)
    return Examined(digest, "", found.name if found else "", (given,), code, reason, remedy)


def _named(name: str | None, modalities: Mapping[str, Modality]) -> str | None:
    return resolve_modality(name, modalities)


def unknown_modality(entry: Entry, modalities: Mapping[str, Modality]) -> tuple[str, str]:
    """Return why the modality of a record is not known, and what to do about it."""
    known = ", ".join(sorted(modalities))
    if entry.modality:
        return f"the manifest calls it {entry.modality!r}, which is not a modality", f"Known are {known}."
    return "neither the file nor its name says what it measures", f"Say it in a manifest: a column 'modality', {known}."
