"""Whether a storage does what an archive asks of it: write, read, list, and create exclusively."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from spectroflow.cluster.check import Check
from spectroflow.errors import SpectroFlowError
from spectroflow.storage import AlreadyExists, Location

CANARY = ".spectroflow-canary-"


def check_storage(place: str) -> Iterator[Check]:
    """Try a storage with a small object that is removed again.

    Parameters
    ----------
    place
        A path or URL below which archives will be written. A local folder need not exist.
    """
    name = f"storage {place}"
    root = Location.parse(place)
    created = _missing_folders(root)
    canary = root / f"{CANARY}{secrets.token_hex(8)}"
    try:
        started = time.monotonic()
        yield _try_canary(name, root, canary, started)
    except (SpectroFlowError, OSError) as error:
        reason = error.message if isinstance(error, SpectroFlowError) else f"{type(error).__name__}: {error}"
        yield Check(name, "failed", reason, "Check the path, the permissions and the credentials.", exit_code=6)
    finally:
        with suppress(SpectroFlowError, OSError):
            canary.delete()
        for folder in created:
            with suppress(OSError):
                folder.rmdir()


def _try_canary(name: str, root: Location, canary: Location, started: float) -> Check:
    canary.create_exclusive(b"first")
    if canary.read_bytes() != b"first":
        return Check(name, "failed", "what was written is not what is read", "Do not use this storage.", exit_code=6)
    if canary.name not in root.list():
        return Check(
            name, "failed", "an object that was written is not listed", "Do not use this storage.", exit_code=6
        )
    try:
        canary.create_exclusive(b"second")
    except AlreadyExists:
        took = (time.monotonic() - started) * 1000
        return Check(name, "ok", f"writes, reads, lists and creates exclusively ({took:.0f} ms)")
    return Check(
        name,
        "failed",
        "two writers can both create the same object",
        "Archives need conditional puts (If-None-Match); use a store that has them.",
        exit_code=6,
    )


def _missing_folders(root: Location) -> list[Path]:
    """Return the local folders that writing below ``root`` will make, the deepest first."""
    if not root.is_local:
        return []
    path = Path(root.path)
    return [folder for folder in (path, *path.parents) if not folder.exists()]
