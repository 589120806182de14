"""Which formats there are, and which of them a file is in."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import entry_points

from spectroflow.errors import UsageError
from spectroflow.formats.base import Format

ENTRY_POINT = "spectroflow.formats"


@cache
def formats() -> tuple[Format, ...]:
    """Return all formats: plug-ins first, so that they win, then the built-in ones, the loosest last.

    Raises
    ------
    UsageError
        A plug-in cannot be loaded or is not a format.
    """
    found: dict[str, Format] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT), key=lambda point: point.name):
        try:
            plugin = entry.load()
            plugin = plugin() if isinstance(plugin, type) else plugin
        except Exception as error:
            raise UsageError(
                f"the format plug-in {entry.name!r} cannot be loaded: {error}",
                remedy=f"Repair or uninstall {entry.dist.name if entry.dist else entry.value}.",
            ) from error
        if not isinstance(plugin, Format):
            raise UsageError(
                f"the format plug-in {entry.name!r} is not a format",
                remedy="It needs name, extensions, claims, probe and read; see docs/adding-a-format.md.",
            )
        found.setdefault(plugin.name, plugin)
    for builtin in _builtin():
        found.setdefault(builtin.name, builtin)
    return tuple(found.values())


def get(name: str) -> Format:
    """Return the format of that name; raise :class:`UsageError` if there is none."""
    for entry in formats():
        if entry.name == name:
            return entry
    raise UsageError(
        f"there is no file format {name!r}", remedy=f"Known are {', '.join(entry.name for entry in formats())}."
    )


def detect(head: bytes, name: str) -> Format | None:
    """Return the first format that claims a file, or None.

    Parameters
    ----------
    head
        The first 64 KiB of the file.
    name
        Its name or relative path.
    """
    for entry in formats():
        if entry.claims(head, name):
            return entry
    return None


@cache
def fingerprint() -> str:
    """Return a digest of the set of formats: files that no format claimed are looked at again when it changes."""
    text = "\n".join(f"{entry.name} {type(entry).__module__}" for entry in formats())
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _builtin() -> tuple[Format, ...]:
    from spectroflow.formats.asp import Asp
    from spectroflow.formats.brml import Brml
    from spectroflow.formats.bruker_raw import BrukerRaw
    from spectroflow.formats.dif import Dif
    from spectroflow.formats.jcamp import Jcamp
    from spectroflow.formats.nexus import Nexus
    from spectroflow.formats.openspecy import OpenSpecy
    from spectroflow.formats.opus import Opus
    from spectroflow.formats.rasx import Rasx
    from spectroflow.formats.rod import Rod
    from spectroflow.formats.rruff import Rruff
    from spectroflow.formats.spa import Spa
    from spectroflow.formats.spc import Spc
    from spectroflow.formats.uxd import Uxd
    from spectroflow.formats.wdf import Wdf
    from spectroflow.formats.xrdml import Xrdml
    from spectroflow.formats.xy import ColumnsText
    from spectroflow.formats.zarr_arrays import ZarrArrays

    # Formats that a signature proves come before those that only a name suggests; plain columns take the rest.
    binary = (Opus(), Wdf(), Spa(), BrukerRaw(), Nexus(), ZarrArrays())
    text = (Xrdml(), Rod(), Uxd(), Jcamp(), OpenSpecy())
    return (Rruff(), Dif(), *binary, *text, Spc(), Brml(), Rasx(), Asp(), ColumnsText())


def is_isolated(entry: Format) -> bool:
    """Say whether a format's reader is to run in a child process: plug-ins, and those that hand bytes to C."""
    return bool(getattr(entry, "isolated", not type(entry).__module__.startswith("spectroflow.formats.")))
