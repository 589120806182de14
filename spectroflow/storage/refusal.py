"""What it means when a disk refuses: full, read-only, not permitted, gone."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from spectroflow.errors import Unreachable

_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
)


def is_storage_refusal(error: BaseException) -> bool:
    """Say whether an error means that a local disk refused."""
    return isinstance(error, OSError) and error.errno in _ERRORS


def storage_refusal(text: str, where: str) -> Unreachable:
    """Return the error that a command ends with when the disk refuses."""
    return Unreachable(
        f"the storage refuses ({text})",
        where=where,
        remedy="Make room or give access, then run the same command again; it resumes.",
    )


@contextmanager
def refusals_explained(where: str) -> Iterator[None]:
    """Raise :class:`Unreachable` in place of what a disk says when it refuses."""
    try:
        yield
    except OSError as error:
        if not is_storage_refusal(error):
            raise
        raise storage_refusal(str(error), where) from error
