"""Verifying an archive: everything that a version names is read again and compared with its digests.

Shards and record tables have their digests in the markers of the runs that wrote them; versions, zarr
metadata and markers hold their own. What no marker knows and yet lies in a segment or layer is found by
listing. Findings come one by one; what is held in memory is eight bytes per object of one run, and the names of
its units that have failed records.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from spectroflow.archive import sealed
from spectroflow.archive.arrays import GROUP_METADATA, METADATA_DIGEST
from spectroflow.archive.findings import Examined, Finding
from spectroflow.archive.layer import layer_path
from spectroflow.archive.segment import spectra_path
from spectroflow.archive.version import Version, decode_version, version_location, version_numbers
from spectroflow.engine import Ledger, Marker, Plan, load_plan, quarantined_units, run_folder
from spectroflow.engine.quarantine import failures_path
from spectroflow.errors import ArchiveError, InvalidInput, Unreachable
from spectroflow.storage import Location, Written

PARTIAL = ".partial"

_SHOWN = 5
_HASH = 0xFFFFFFFFFFFFFFFF


@dataclass(slots=True)
class _Part:
    """A segment or layer of the version, and what is known of its objects."""

    name: str
    folder: str
    group_path: str
    rows: int
    attributes: dict[str, Any]
    covered: int = 0
    known: array[int] = field(default_factory=lambda: array("Q"))


def verify(
    root: Location, version: Version, *, examined: Examined | None = None, read: bool = True, threads: int | None = None
) -> Iterator[Finding]:
    """Yield everything in which an archive differs from what was written.

    Parameters
    ----------
    root
        The archive.
    version
        The version whose segments and layers are examined. The files of all versions are.
    examined
        Is kept up to date with what was looked at.
    read
        Whether to read every object; without it only existence and size are compared.
    threads
        Objects read at once; 4 on local disks and 16 elsewhere if not given.

    Yields
    ------
    Finding
        In the order of versions, runs and units. No finding means that every byte is as it was written.
    """
    examined = examined or Examined()
    threads = threads or (4 if root.is_local or root.is_memory else 16)
    for finding in _findings(root, version, examined, read, threads):
        yield examined.note(finding)


def _findings(root: Location, version: Version, examined: Examined, read: bool, threads: int) -> Iterator[Finding]:
    yield from _check_versions(root, examined)
    yield from _check_references(root, version)
    parts = _parts(version)
    with ThreadPoolExecutor(threads) as pool:
        for run in sorted({part_run for part_run, _ in parts}):
            own = {part.folder: part for part_run, part in parts if part_run == run}
            yield from _check_run(root, run, own, _Reader(root, pool, 2 * threads, examined, read))
            for part in own.values():
                metadata, problems = _check_metadata(root, part, examined)
                yield from problems
                yield from _check_listing(root, part, metadata)
                part.known = array("Q")


def _parts(version: Version) -> list[tuple[str, _Part]]:
    parts = []
    for entry in version.segments:
        attributes = {"modality": entry.modality, "origin": entry.origin}
        part = _Part(entry.id, f"segments/{entry.id}", spectra_path(entry.id), entry.rows, attributes)
        parts.append((entry.run, part))
    rows = {entry.id: entry.rows for entry in version.segments}
    for layer in version.layers:
        path = layer_path(layer.id, layer.kind)
        part = _Part(layer.id, f"layers/{layer.id}", path, rows.get(layer.segment, 0), {"segment": layer.segment})
        parts.append((layer.run, part))
    return parts


def _check_versions(root: Location, examined: Examined) -> Iterator[Finding]:
    expected = set()
    for number in version_numbers(root):
        place = version_location(root, number)
        expected.add(place.name)
        key = f"versions/{place.name}"
        try:
            examined.bytes += place.read_decoded(partial(_version_size, number))
        except FileNotFoundError:
            # Removed by a gc that runs meanwhile.
            continue
        except (ArchiveError, ValueError) as error:
            yield Finding("version", key, error.message if isinstance(error, ArchiveError) else str(error))
        examined.objects += 1
    for name in (root / "versions").list():
        if name.endswith(PARTIAL):
            yield Finding("leftover", f"versions/{name}", "a process was killed while it committed")
        elif name not in expected:
            yield Finding("unexpected", f"versions/{name}", "this is not the name of a version")


def _version_size(number: int, data: bytes) -> int:
    """Return the size of a version's file that is whole and in the one form of its bytes."""
    decode_version(data, number)
    sealed.decode(data)
    return len(data)


def _check_references(root: Location, version: Version) -> Iterator[Finding]:
    key = f"versions/{version.number:06d}.json"
    rows = {entry.id: entry.rows for entry in version.segments}
    names = [*rows, *(layer.id for layer in version.layers)]
    for name in sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else ():
        yield Finding("version", key, f"it names {name} twice")
    for layer in version.layers:
        if layer.segment not in rows:
            yield Finding("version", key, f"layer {layer.id} describes segment {layer.segment}, which it does not name")
    for segment, spans in version.superseded.items():
        if segment not in rows:
            yield Finding("version", key, f"it supersedes rows of segment {segment}, which it does not name")
        elif any(not 0 <= start < stop <= rows[segment] for start, stop in spans):
            yield Finding("version", key, f"it supersedes rows that segment {segment} does not have")
    for run in version.catalogues:
        if not run_folder(root, run).exists():
            yield Finding("missing", f"runs/{run}", "the run whose catalogue of sources counts is gone")


def _check_run(root: Location, run: str, own: dict[str, _Part], reader: _Reader) -> Iterator[Finding]:
    """Compare every object that a run's markers name below the parts of the version."""
    run_dir = run_folder(root, run)
    try:
        plan = load_plan(run_dir)
    except ArchiveError as error:
        yield Finding("marker", f"runs/{run}/plan.json", f"{error.message}, so that nothing vouches for its output")
        return
    bad: dict[str, list[str]] = {}
    folders: dict[str, set[str]] = {}
    rows: Counter[str] = Counter()
    units, again = plan.units(), plan.units()
    ledger = Ledger(run_dir, plan.fingerprint)
    noted = set(quarantined_units(run_dir))
    for unit, (unit_id, marker) in zip(units, ledger.read_all(unit.id for unit in again), strict=True):
        if isinstance(marker, ArchiveError) or marker.failures is not None:
            noted.discard(unit_id)
        if isinstance(marker, ArchiveError):
            bad.setdefault(unit.group, []).append(f"{unit_id} ({marker.message})")
            continue
        touched = _expect(marker, own)
        folders.setdefault(unit.group, set()).update(touched)
        rows[unit.group] += marker.rows
        for key, written in marker.keys.items():
            if _folder(key) in touched:
                yield from reader.check(key, written)
        if marker.failures is not None and touched:
            yield from reader.check(f"runs/{run}/{failures_path(unit_id)}", marker.failures)
    yield from reader.rest()
    for unit_id in sorted(noted):
        yield Finding("unexpected", f"runs/{run}/{failures_path(unit_id)}", "no marker names these failed records")
    for part in own.values():
        # A unit may have had nothing but fill values to write into a part that its group does write.
        part.covered = sum(rows[group] for group, touched in folders.items() if part.folder in touched)
        if not part.covered and not bad:
            # Every unit is done and none wrote here: then nothing must be here.
            part.covered = part.rows
    yield from _missing_markers(plan, bad, folders, own)


def _expect(marker: Marker, own: dict[str, _Part]) -> set[str]:
    """Note the objects of a marker with the parts they belong to, and return the folders of these."""
    touched = set()
    for key in marker.keys:
        part = own.get(_folder(key))
        if part is not None:
            part.known.append(hash(key) & _HASH)
            touched.add(part.folder)
    return touched


def _missing_markers(
    plan: Plan, bad: dict[str, list[str]], folders: dict[str, set[str]], own: dict[str, _Part]
) -> Iterator[Finding]:
    """Report units without a marker, unless all they can have written is no longer part of the version."""
    short = [part for part in own.values() if part.covered < part.rows]
    for group, units in bad.items():
        known = folders.get(group)
        if known or (known is None and short):
            more = f" and {len(units) - _SHOWN} more" if len(units) > _SHOWN else ""
            yield Finding("marker", f"runs/{plan.run}/done", f"{', '.join(units[:_SHOWN])}{more}")
            short = [part for part in short if known is not None and part.folder not in known]
    for part in short:
        detail = f"markers vouch for {part.covered:,} of {part.rows:,} rows of {part.name}"
        yield Finding("marker", f"runs/{plan.run}/done", detail)


class _Reader:
    """Reads and compares objects, several at once, and hands out findings in the order of asking."""

    def __init__(self, root: Location, pool: ThreadPoolExecutor, window: int, examined: Examined, read: bool) -> None:
        self._root = root
        self._pool = pool
        self._window = window
        self._examined = examined
        self._pending: deque[Future[tuple[int, Finding | None]]] = deque()
        self._compare: Callable[[Location, str, Written], tuple[int, Finding | None]] = (
            _compare if read else _compare_size
        )

    def check(self, key: str, written: Written) -> Iterator[Finding]:
        """Begin to compare an object; yield what was found of earlier ones."""
        self._pending.append(self._pool.submit(self._compare, self._root, key, written))
        while len(self._pending) > self._window:
            yield from self._next()

    def rest(self) -> Iterator[Finding]:
        """Wait for all that was begun."""
        while self._pending:
            yield from self._next()

    def _next(self) -> Iterator[Finding]:
        size, finding = self._pending.popleft().result()
        self._examined.objects += 1
        self._examined.bytes += size
        if finding is not None:
            yield finding


def _compare(root: Location, key: str, written: Written) -> tuple[int, Finding | None]:
    def as_written(data: bytes) -> int:
        if len(data) != written.size:
            raise ValueError(f"it has {len(data):,} bytes, and {written.size:,} were written")
        if not written.fits(data):
            raise ValueError("its bytes are not those that were written")
        return len(data)

    try:
        return (root / key).read_decoded(as_written), None
    except (FileNotFoundError, NotADirectoryError):
        return 0, Finding("missing", key, f"its {written.size:,} bytes are gone")
    except (OSError, Unreachable) as error:
        return 0, Finding("unreadable", key, str(error))
    except ValueError as error:
        return 0, Finding("altered", key, str(error))


def _compare_size(root: Location, key: str, written: Written) -> tuple[int, Finding | None]:
    try:
        size = (root / key).info().size
    except (FileNotFoundError, NotADirectoryError):
        return 0, Finding("missing", key, f"its {written.size:,} bytes are gone")
    except (OSError, Unreachable) as error:
        return 0, Finding("unreadable", key, str(error))
    if size != written.size:
        return 0, Finding("altered", key, f"it has {size:,} bytes, and {written.size:,} were written")
    return 0, None


def _check_metadata(root: Location, part: _Part, examined: Examined) -> tuple[set[str], list[Finding]]:
    """Return the metadata keys of a part's group, and what is wrong with them."""
    key = f"{part.group_path}/{GROUP_METADATA}"
    expected = {key}
    read = partial(_read_sealed, root, examined)
    group = read(key)
    if isinstance(group, Finding):
        # Without it nothing is known of its arrays; their own metadata is not to blame.
        return {*expected, *_array_metadata(root, part)}, [group]
    problems = []
    digest = group.get("attributes", {}).pop(METADATA_DIGEST, None)
    if digest != sealed.digest_of(group):
        problems.append(Finding("metadata", key, "its digest does not fit its content"))
    for name, wanted in part.attributes.items():
        found = group.get("attributes", {}).get(name)
        if found != wanted:
            problems.append(Finding("metadata", key, f"{name} is {found!r}, and the version says {wanted!r}"))
    arrays = (group.get("consolidated_metadata") or {}).get("metadata") or {}
    for name, consolidated in arrays.items():
        array_key = f"{part.group_path}/{name}/{GROUP_METADATA}"
        expected.add(array_key)
        own = read(array_key)
        if isinstance(own, Finding):
            problems.append(own)
        elif own != consolidated:
            problems.append(Finding("metadata", array_key, "it differs from the consolidated metadata of its group"))
        rows = (consolidated.get("shape") or [None])[0]
        if rows != part.rows:
            problems.append(Finding("metadata", key, f"array {name} has {rows} rows, the version says {part.rows}"))
    return expected, problems


def _array_metadata(root: Location, part: _Part) -> set[str]:
    folder = root / part.group_path
    return {f"{part.group_path}/{name}/{GROUP_METADATA}" for name in folder.list() if name != GROUP_METADATA}


def _read_sealed(root: Location, examined: Examined, key: str) -> dict[str, Any] | Finding:
    examined.objects += 1
    try:
        tree, size = (root / key).read_decoded(lambda data: (sealed.decode(data), len(data)))
    except (FileNotFoundError, NotADirectoryError):
        return Finding("missing", key, "this metadata is gone")
    except (OSError, Unreachable) as error:
        return Finding("unreadable", key, str(error))
    except ValueError:
        return Finding("metadata", key, "its bytes are not those that were written")
    examined.bytes += size
    return tree


def _check_listing(root: Location, part: _Part, metadata: set[str]) -> Iterator[Finding]:
    """Report what lies in the folder of a part and that nobody who is known wrote.

    Where markers are missing, which is reported by itself, nobody can tell what is unexpected.
    """
    known = np.sort(np.frombuffer(part.known, np.uint64)) if part.known else np.empty(0, np.uint64)
    try:
        for info in (root / part.folder).walk():
            key = f"{part.folder}/{info.path}"
            if info.path.endswith(PARTIAL):
                yield Finding("leftover", key, "a process was killed while it wrote this")
            elif part.covered >= part.rows and key not in metadata and not _contains(known, hash(key) & _HASH):
                yield Finding("unexpected", key, "no marker of the run that wrote this folder names it")
    except InvalidInput:
        yield Finding("missing", part.folder, "the whole folder is gone")


def _contains(values: np.ndarray[Any, np.dtype[np.uint64]], value: int) -> bool:
    place = int(np.searchsorted(values, np.uint64(value)))
    return place < len(values) and int(values[place]) == value


def _folder(key: str) -> str:
    return "/".join(key.split("/", 2)[:2])
