"""Garbage collection: what no kept version names, and nobody is working on, is removed.

Order makes it safe to kill: versions that are not kept go first, so that nobody opens one whose data is
vanishing; then the markers that vouch for data, so that no resumed run trusts what is no longer there;
then the data; then what is left of the runs. Age is taken from the storage's own times.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from spectroflow.archive.version import Version, read_version, version_location, version_numbers
from spectroflow.engine import Ledger, Marker, load_plan, run_folder
from spectroflow.engine.plan import PLAN_NAME
from spectroflow.errors import ArchiveError, InvalidInput
from spectroflow.storage import Location, ObjectInfo

Reason = Literal["version", "segment", "layer", "run", "marker", "leftover"]

PARTIAL = ".partial"

_PARENTS: dict[str, Reason] = {"segments": "segment", "layers": "layer"}


@dataclass(frozen=True, slots=True)
class Removal:
    """One object that is removed, or would be.

    Attributes
    ----------
    key
        Relative to the archive.
    size
        Bytes.
    reason
        What it belonged to: an old version, a segment, layer or run that no kept version names, a marker
        of such data in a run that stays, or a half written file.
    """

    key: str
    size: int
    reason: Reason


@dataclass(slots=True)
class Kept:
    """What must stay.

    Attributes
    ----------
    versions
        Numbers of the versions that stay.
    segments, layers, runs
        Names that they name.
    active
        Runs that no kept version names, but that did something lately.
    """

    versions: list[int] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)

    def add(self, version: Version) -> None:
        """Keep what a version names."""
        self.versions.append(version.number)
        self.segments.update(entry.id for entry in version.segments)
        self.layers.update(layer.id for layer in version.layers)
        self.runs.update(entry.run for entry in version.segments)
        self.runs.update(layer.run for layer in version.layers)
        self.runs.update(version.catalogues)
        self.runs.add(version.run)


def collect(
    root: Location, *, grace: float, keep: int | None = None, dry_run: bool = False, now: float | None = None
) -> Iterator[Removal]:
    """Remove what is no longer needed, yielding each object once it is gone.

    Parameters
    ----------
    root
        The archive.
    grace
        Seconds. An object younger than that stays, and so does everything of a run that wrote anything
        in that time, and every version that was the newest one at any moment of it.
    keep
        Number of newest versions to keep besides those; None keeps all versions.
    dry_run
        Yield the same and remove nothing.
    now
        Seconds since 1970; the storage's own clock if not given.

    Raises
    ------
    ArchiveError
        There is no archive, or a version that is to be kept cannot be read: nothing is removed then.
    """
    if now is None:
        now = time.time() if dry_run else storage_time(root)
    since = now - grace
    kept, dropped = _versions_to_keep(root, since, keep)
    runs = [run for run in (root / "runs").list() if run not in kept.runs]
    kept.active = {run for run in runs if _lately(root / "runs" / run, since)}
    dead = [run for run in runs if run not in kept.active]
    removal = _Remover(root, since, dry_run)
    for number in dropped:
        yield from removal.object(f"versions/{number:06d}.json", "version")
    yield from removal.leftovers("versions")
    doomed = _unnamed(root, kept, since)
    for run in dead:
        yield from removal.below(f"runs/{run}/done", "run")
    yield from _markers_of(root, sorted(kept.runs), doomed, removal)
    for folder, reason in doomed.items():
        yield from removal.below(folder, reason)
    for run in dead:
        yield from removal.below(f"runs/{run}", "run", spared=("done/", PLAN_NAME))
        # The plan last: while it is there, the run can be resumed, from nothing.
        yield from removal.object(f"runs/{run}/{PLAN_NAME}", "run")
        removal.tidy(f"runs/{run}")
    for folder in _folders(kept):
        yield from removal.leftovers(folder)


def storage_time(root: Location) -> float:
    """Return what time it is for the storage, which dates objects, by writing one and looking at it."""
    probe = root / "versions" / f"clock-{secrets.token_hex(8)}{PARTIAL}"
    probe.write_bytes(b"")
    try:
        return probe.info().modified or time.time()
    finally:
        probe.delete()


def _versions_to_keep(root: Location, since: float, keep: int | None) -> tuple[Kept, list[int]]:
    numbers = version_numbers(root)
    if not numbers:
        raise ArchiveError("there is no archive here", where=str(root), remedy="Check the path.")
    newest_kept = set(numbers if keep is None else numbers[-max(keep, 1) :])
    kept, dropped = Kept(), []
    successors: list[int | None] = [*numbers[1:], None]
    for number, successor in zip(numbers, successors, strict=True):
        # A version may be in use until some time after another one took its place.
        if number in newest_kept or not successor or version_location(root, successor).info().modified > since:
            kept.add(read_version(root, number))
        else:
            dropped.append(number)
    return kept, dropped


def _folders(kept: Kept) -> list[str]:
    return [
        *(f"segments/{name}" for name in sorted(kept.segments)),
        *(f"layers/{name}" for name in sorted(kept.layers)),
    ]


def _lately(folder: Location, since: float) -> bool:
    """Say whether anything below a folder is younger than ``since``."""
    try:
        return any(info.modified > since for info in folder.walk())
    except InvalidInput:
        return False


def _unnamed(root: Location, kept: Kept, since: float) -> dict[str, Reason]:
    """Return the folders that neither a kept version nor a run in progress names, and that are old enough."""
    plans = {run: _plan_text(root, run) for run in kept.active}
    named = set(_folders(kept))
    found: dict[str, Reason] = {}
    for parent, reason in _PARENTS.items():
        for name in (root / parent).list():
            folder = f"{parent}/{name}"
            in_progress = any(_writes(run, text, name) for run, text in plans.items())
            if not (folder in named or in_progress or _lately(root / folder, since)):
                found[folder] = reason
    return found


def _writes(run: str, plan: str, name: str) -> bool:
    """Say whether a run may write a segment or layer: its plan has that name, or the name has the run's."""
    return name in plan or run in name


def _plan_text(root: Location, run: str) -> str:
    """Return the text of a run's plan; nothing where there is none."""
    try:
        return (run_folder(root, run) / PLAN_NAME).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _markers_of(
    root: Location, runs: Iterable[str], doomed: Mapping[str, Reason], removal: _Remover
) -> Iterator[Removal]:
    """Remove the markers of runs that stay, where they vouch for folders that do not."""
    names = {folder.split("/", 1)[1] for folder in doomed}
    for run in runs if doomed else ():
        text = _plan_text(root, run)
        if not any(_writes(run, text, name) for name in names):
            continue
        try:
            plan = load_plan(run_folder(root, run))
        except ArchiveError:
            continue
        ledger = Ledger(run_folder(root, run), plan.fingerprint)
        for unit_id, marker in ledger.read_all(sorted(ledger.names())):
            if isinstance(marker, Marker) and any("/".join(key.split("/", 2)[:2]) in doomed for key in marker.keys):
                yield from removal.object(f"runs/{run}/done/{unit_id}.json", "marker")


class _Remover:
    """Removes objects, or only says which it would."""

    def __init__(self, root: Location, since: float, dry_run: bool) -> None:
        self._root = root
        self._since = since
        self._dry_run = dry_run

    def object(self, key: str, reason: Reason) -> Iterator[Removal]:
        """Remove one object, unless somebody else just did."""
        try:
            info = (self._root / key).info()
        except FileNotFoundError:
            return
        if not self._dry_run:
            info.location.delete(missing_ok=True)
        yield Removal(key, info.size, reason)

    def below(self, folder: str, reason: Reason, spared: tuple[str, ...] = ()) -> Iterator[Removal]:
        """Remove what is old enough below a folder, but for paths that begin with one of ``spared``."""
        for info in self._walk(folder):
            # Asked again for each object: somebody may have begun to write here.
            if info.modified <= self._since and not info.path.startswith(spared):
                yield from self.object(f"{folder}/{info.path}", reason)
        self.tidy(folder)

    def tidy(self, folder: str) -> None:
        """Delete folders that hold nothing any more."""
        if not self._dry_run:
            (self._root / folder).delete_empty_folders()

    def leftovers(self, folder: str) -> Iterator[Removal]:
        """Remove half written files below a folder."""
        for info in self._walk(folder):
            if info.path.endswith(PARTIAL) and info.modified <= self._since:
                yield from self.object(f"{folder}/{info.path}", "leftover")

    def _walk(self, folder: str) -> Iterator[ObjectInfo]:
        try:
            yield from (self._root / folder).walk()
        except InvalidInput:
            return
