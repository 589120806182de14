"""File systems of a chosen size, for tests of what becomes of a run when its disk is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """Mount a file system; skip the test where that is not allowed."""
    place.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place]
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a file system needs the rights to do so")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def resize(place: Path, kib: int) -> None:
    """Make a mounted file system larger or smaller."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", place], check=True)
