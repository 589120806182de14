"""Storage that fails: full and read-only disks, damaged markers, clocks that jump, object stores that stutter or go."""

from __future__ import annotations

import itertools
import logging
import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from unittest import mock

from benchmarks.faults_work import INLINE, ROWS, Sines, Tally, content, convert
from spectroflow.archive.gc import collect
from spectroflow.engine import Event, run_folder
from spectroflow.errors import SpectroFlowError, Unreachable
from spectroflow.storage import Location

if TYPE_CHECKING:
    from tests.s3_faults import FaultyServer

MOMENTS = {"unit": "after four units", "commit": "before the commit"}
DISK_BYTES = 3 << 20
FAR_FUTURE = 5e9
"""Seconds since 1970: the year 2128."""


class Disturbance(Protocol):
    """Something that makes storage fail from one moment to another."""

    def begin(self) -> None:
        """Let it fail."""

    def end(self) -> None:
        """Mend it."""


@dataclass
class Full:
    """Nothing more fits on a disk."""

    disk: Path

    def begin(self) -> None:
        """Fill it to the last byte."""
        with suppress(OSError), (self.disk / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def end(self) -> None:
        """Make room."""
        (self.disk / "ballast").unlink()


@dataclass
class ReadOnly:
    """A disk takes no writes."""

    disk: Path

    def begin(self) -> None:
        """Lay a read-only view over it."""
        subprocess.run(["mount", "--bind", self.disk, self.disk], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", self.disk], check=True)

    def end(self) -> None:
        """Take that away."""
        subprocess.run(["umount", self.disk], check=True)


class Limited:
    """The process may write no file larger than 200 bytes."""

    def begin(self) -> None:
        """Lower the limit."""
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, self._before[1]))

    def end(self) -> None:
        """Lift it."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@dataclass
class Gone:
    """Every request to an object store fails in one way."""

    server: FaultyServer
    kind: str

    def begin(self) -> None:
        """Disturb all requests."""
        self.server.every, self.server.kinds = 1, (self.kind,)

    def end(self) -> None:
        """Disturb none."""
        self.server.heal()


def disk_faults(folder: Path, tally: Tally) -> None:
    """Fill a disk, make it read-only, limit the size of files: among the units, and before the commit."""
    digests = _undisturbed(folder)
    for moment in MOMENTS:
        _disturbed("files limited", Location.parse(folder / f"limited-{moment}"), moment, Limited(), tally, digests)
    with _small_disk(folder / "disk") as disk:
        if disk is None:
            tally.notes.append("full and read-only disks: mounting a file system needs the rights to do so")
            return
        for moment, (kind, fault) in itertools.product(
            MOMENTS, (("disk full", Full(disk)), ("disk read-only", ReadOnly(disk)))
        ):
            root = Location.parse(disk / f"{kind.replace(' ', '-')}-{moment}")
            _disturbed(kind, root, moment, fault, tally, digests)


def marker_faults(folder: Path, tally: Tally) -> None:
    """Damage a marker of a run that is done, or let the clock jump all through one."""
    digests = _undisturbed(folder)
    root = Location.parse(folder / "markers")
    done = run_folder(root, convert(root, Sines(ROWS)).run) / "done"
    marker, other = done / "sines-000004.json", (done / "sines-000005.json").read_bytes()
    whole = marker.read_bytes()
    damages = {
        "marker truncated": [whole[:cut] for cut in (0, 1, len(whole) // 2, len(whole) - 1)],
        "marker altered": [whole.replace(b'"OK":1', b'"OK":2', 1), other],
    }
    for kind, contents in damages.items():
        for damaged in contents:
            marker.write_bytes(damaged)
            tally.kills[kind] += 1
            tally.judge(kind, root, ROWS, convert(root, Sines(ROWS)), digests)
    kind, root = "clock jumps", Location.parse(folder / "clock")
    jumps = itertools.cycle([4e9, 0.0, 1e9, -5.0])
    with mock.patch("time.time", side_effect=jumps):
        result = convert(root, Sines(ROWS))
    young = root / "segments/raman-of-nobody/part"
    young.write_bytes(b"written a moment ago")
    with mock.patch("time.time", return_value=FAR_FUTURE):
        # A collection goes by the storage's clock, whatever this machine believes.
        tally.failures[kind] += bool(list(collect(root, grace=3600.0, keep=1)))
    young.parent.delete_tree()
    tally.kills[kind] += 1
    tally.judge(kind, root, ROWS, result, digests)


def object_store_faults(folder: Path, tally: Tally, kinds: Sequence[str] = ()) -> None:
    """Disturb one in five requests, and all of them from the fourth unit until the run ends."""
    from tests.s3 import s3_server
    from tests.s3_faults import KINDS, faulty

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    digests = _undisturbed(folder)
    with s3_server("faults") as bucket:
        for kind in kinds or KINDS:
            name, root = f"S3, {kind}, 1 in 5", Location.parse(f"{bucket}/some-{kind}")
            with faulty(kind) as server:
                result = convert(root, Sines(ROWS))
                tally.kills[name] += server.seen[kind]
            tally.judge(name, root, ROWS, result, digests)
            name, root = f"S3, {kind}, all", Location.parse(f"{bucket}/all-{kind}")
            with faulty(kind) as server:
                server.heal()
                _disturbed(name, root, "unit", Gone(server, kind), tally, digests)


def _undisturbed(folder: Path) -> dict[str, str]:
    place = Location.parse(folder / "undisturbed")
    convert(place, Sines(ROWS))
    return content(place)


def _disturbed(
    kind: str, root: Location, moment: str, fault: Disturbance, tally: Tally, digests: dict[str, str]
) -> None:
    """Start a run that the fault stops after its fourth unit or before its commit, then resume it."""
    due = "run_finished" if moment == "commit" else "unit_done"
    began = []

    def listen(event: Event) -> None:
        if not began and event.name() == due and event.to_json().get("unit") in {None, "sines-000003"}:
            began.append(event)
            fault.begin()

    error: SpectroFlowError | None = None
    try:
        convert(root, Sines(ROWS), replace(INLINE, attempts=1), listen)
    except SpectroFlowError as caught:
        error = caught
    finally:
        fault.end()
    name = kind if kind.startswith("S3") else f"{kind} {MOMENTS[moment]}"
    tally.kills[name] += 1
    tally.expect_exit(name, error, Unreachable.exit_code)
    tally.judge(name, root, ROWS, convert(root, Sines(ROWS)), digests)


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """Mount a file system of a few MiB; None where that is not allowed."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
