"""The digest of the code that a run is made by, for its plan."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_KINDS = (".py", ".toml")


@cache
def code_digest(package: str = "spectroflow") -> str:
    """Return a hexadecimal digest of a package's source files and tables, 16 digits.

    It changes with every change of the code, so that a run is never finished by other code than it was
    begun with.
    """
    whole = hashlib.blake2b(digest_size=8)
    for path, file in sorted(_walk(files(package), "")):
        whole.update(f"{path}\0".encode())
        whole.update(hashlib.blake2b(file.read_bytes(), digest_size=16).digest())
    return whole.hexdigest()


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        path = f"{prefix}/{entry.name}"
        if entry.is_dir():
            found += _walk(entry, path)
        elif entry.name.endswith(_KINDS):
            found.append((path, entry))
    return found
