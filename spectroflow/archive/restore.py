"""Earlier versions: listing them, and making one the newest again."""

from __future__ import annotations

from datetime import UTC, datetime

from spectroflow.archive.arrays import GROUP_METADATA
from spectroflow.archive.commit import publish
from spectroflow.archive.layer import layer_path
from spectroflow.archive.segment import spectra_path
from spectroflow.archive.version import Version, read_version, version_numbers
from spectroflow.errors import ArchiveError, CommitConflict
from spectroflow.storage import AlreadyExists, Location

_FACTS = {"number", "parent", "created", "command", "run", "digest"}


def list_versions(root: Location) -> list[Version | ArchiveError]:
    """Return all versions, oldest first; a damaged one is the error that says so.

    Raises
    ------
    ArchiveError
        There is no archive there.
    """
    numbers = version_numbers(root)
    if not numbers:
        raise ArchiveError("there is no archive here", where=str(root), remedy="Make one with spectroflow convert.")
    result: list[Version | ArchiveError] = []
    for number in numbers:
        try:
            result.append(read_version(root, number))
        except ArchiveError as error:
            result.append(error)
    return result


def restore_version(root: Location, number: int) -> Version:
    """Commit the content of an earlier version as a new one; nothing is deleted.

    It works where the newest version is damaged, too. Sources that were converted since are no longer
    known to the archive: the next conversion takes them again.

    Returns
    -------
    Version
        The new version, or the newest one where that has this content already.

    Raises
    ------
    ArchiveError
        There is no such version, or what it names is gone.
    CommitConflict
        Another run committed at the same moment.
    """
    wanted = read_version(root, number)
    newest = version_numbers(root)[-1]
    if _is_already(root, newest, wanted):
        return read_version(root, newest)
    _require_present(root, wanted)
    version = wanted.model_copy(
        update={
            "number": newest + 1,
            "parent": number,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"restore {number}",
            "run": wanted.run,
        }
    )
    try:
        return publish(root, version)
    except AlreadyExists:
        raise CommitConflict(
            f"another run committed version {version.number} at the same moment",
            where=str(root),
            remedy="Look at it, then restore again if it is still wanted.",
        ) from None


def _is_already(root: Location, newest: int, wanted: Version) -> bool:
    try:
        now = read_version(root, newest)
    except ArchiveError:
        return False
    return now.model_dump(exclude=_FACTS) == wanted.model_dump(exclude=_FACTS)


def _require_present(root: Location, version: Version) -> None:
    paths = [spectra_path(entry.id) for entry in version.segments]
    paths += [layer_path(layer.id, layer.kind) for layer in version.layers]
    for path in paths:
        if not (root / path / GROUP_METADATA).exists():
            raise ArchiveError(
                f"{path}, which version {version.number} names, is gone",
                where=str(root),
                remedy="Restore another version.",
            )
