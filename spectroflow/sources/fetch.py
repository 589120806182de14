"""Reading the bytes of one object, telling apart what is wrong with it from what is wrong with its storage."""

from __future__ import annotations

from spectroflow.errors import ArchiveError, RecordError, Unreachable
from spectroflow.storage import Location


def fetch(location: Location, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes of a file or object, or some of them.

    Raises
    ------
    RecordError
        ``SOURCE_MISSING`` if it is not there, ``STORAGE_ERROR`` if it alone cannot be read.
    Unreachable
        The storage does not answer at all, which is nothing that a single source could be blamed for.
    """
    try:
        return location.read_bytes(start, end)
    except FileNotFoundError:
        raise missing(str(location)) from None
    except OSError as error:
        raise _unreadable(location, error.strerror or str(error)) from None
    except ArchiveError as error:
        raise _unreadable(location, error.message) from None
    except Unreachable as error:
        location.parent.exists()  # raises as well where it is not the object but the storage
        raise _unreadable(location, error.message) from None


def missing(source: str) -> RecordError:
    """Return the error for a source that is not there."""
    return RecordError(
        "SOURCE_MISSING",
        "the file is not there any more",
        where=source,
        remedy="Run the same command again to take the sources as they are now.",
    )


def _unreadable(location: Location, why: str) -> RecordError:
    return RecordError(
        "STORAGE_ERROR",
        f"the file cannot be read ({why})",
        where=str(location),
        remedy="Check its permissions and the disk or bucket; the next run tries it again.",
    )
