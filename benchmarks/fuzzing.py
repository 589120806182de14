"""Reading damaged files as a conversion reads them, and what it must not cost.

A reader that is isolated reads in its child process, every other one here. In both, what is measured is CPU time, so
that a busy machine makes nothing look like a hang, and memory is bounded by the address space that is left.
"""

from __future__ import annotations

import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

from benchmarks import made_files
from benchmarks.mutations import Seed
from spectroflow.errors import RecordError
from spectroflow.formats import HEAD_BYTES, detect, formats, get, to_record
from spectroflow.formats.jcamp_writer import write_jcamp
from spectroflow.formats.registry import is_isolated
from spectroflow.modality import builtin
from spectroflow.sources.sandbox import Sandbox
from spectroflow.status import FAILED

CPU_SECONDS = 2.0
MEMORY_BYTES = 256 << 20
_MOST_RECORDS = 5
_SANDBOX_SECONDS = CPU_SECONDS - 1.0
"""What a child may take is rounded up to the next whole second of its CPU time."""


class _Hang(BaseException):
    """Raised in the middle of a reader that took its time; nothing that a reader catches."""


@dataclass
class Fuzzer:
    """Reads files and keeps count.

    Attributes
    ----------
    outcomes
        Files by what came of them: ``ok`` or the code of an error.
    failures
        Files that broke a bound, with how.
    slowest
        CPU seconds of the slowest file.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _sandbox: Sandbox = field(default_factory=lambda: Sandbox(memory=MEMORY_BYTES, timeout=_SANDBOX_SECONDS))

    def read_all(self, files: Iterable[tuple[Seed, int, bytes]]) -> None:
        """Read every file; the name of a failure is that of its seed and the number of its mutation."""
        for origin, number, data in files:
            problem = self._read(origin, data)
            if problem:
                self.failures.append(f"{origin.name} {number}: {problem}")

    def close(self) -> None:
        """End the child process."""
        self._sandbox.close()

    def _read(self, origin: Seed, data: bytes) -> str:
        entry = detect(data[:HEAD_BYTES], origin.name) or get(origin.format)
        if is_isolated(entry) and self._sandbox._child is None:
            self._sandbox._running()  # what it takes to start is not what the file takes
        before = self._child_seconds()
        try:
            with _cpu_limit(CPU_SECONDS) as took:
                probe, read = entry.probe, entry.read
                if is_isolated(entry):
                    probe, read = (
                        (lambda d, n, f=f: f(entry.name, d, n)) for f in (self._sandbox.probe, self._sandbox.read)
                    )
                with np.errstate(all="ignore"):
                    told = len(probe(data, origin.name).modalities)
                    records = read(data, origin.name)
                    for record in records[:_MOST_RECORDS]:
                        to_record(record, _MODALITIES.get(record.modality or "", _MODALITIES["raman"]))
            outcome, problem = "ok", "" if told < 1 << 23 else f"{told} records announced"
        except RecordError as error:
            outcome = error.code
            explained = error.message and error.remedy and error.code in FAILED
            problem = "" if explained else f"{error.code} without a reason or a remedy"
        except _Hang:
            outcome, problem = "hang", f"more than {CPU_SECONDS:g} s"
        except Exception as error:
            outcome, problem = "crash", f"{type(error).__name__}: {error}"
        seconds = max(took[0], self._child_seconds() - before)
        self.slowest = max(self.slowest, seconds)
        self.outcomes[outcome] += 1
        return problem or (f"{seconds:.1f} s of CPU time" if seconds > CPU_SECONDS else "")

    def _child_seconds(self) -> float:
        """Return the CPU seconds of the child and of all before it."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = ended.ru_utime + ended.ru_stime
        child = self._sandbox._child
        if child is None:
            return used
        fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return used + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


_MODALITIES = builtin()


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[list[float]]:
    """Interrupt the block when this process has used that much CPU time in it; the list then holds what it used."""

    def stop(_: int, __: FrameType | None) -> None:
        raise _Hang

    import time

    took = [0.0]
    earlier = signal.signal(signal.SIGPROF, stop)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield took
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
        took[0] = time.process_time() - began


@contextmanager
def memory_limit(extra: int = MEMORY_BYTES) -> Iterator[None]:
    """Bound this process's address space to what it has now and ``extra`` bytes while the block lasts."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def warmed(fuzzer: Fuzzer, seeds: Iterable[Seed]) -> None:
    """Read whole files of every format, so that what is imported and compiled for them is not counted later.

    Raises
    ------
    AssertionError
        A whole file breaks a bound, or cannot be read at all.
    """
    for seed in seeds:
        fuzzer._read(seed, seed.data)
    fuzzer.outcomes.clear()
    fuzzer.failures.clear()
    fuzzer.slowest = 0.0


def seeds(pack: Path | None, per_format: int = 12, most_bytes: int = 400_000) -> list[Seed]:
    """Return whole files of every format: some made here, and the smaller ones of the pack.

    Raises
    ------
    AssertionError
        The pack is there, and yet no file is of some format.
    """
    found: dict[str, list[Seed]] = {}
    for path in sorted((pack / "formats").rglob("*")) if pack else []:
        if path.is_file() and path.stat().st_size < most_bytes:
            content = path.read_bytes()
            entry = detect(content[:HEAD_BYTES], path.name)
            if entry is not None:
                found.setdefault(entry.name, []).append(Seed(path.name, entry.name, content))
    chosen = made_seeds()
    for each in found.values():
        chosen += sorted(each, key=lambda seed: len(seed.data))[:per_format]
    missing = {entry.name for entry in formats()} - {seed.format for seed in chosen}
    assert not (pack and missing), f"no seed of {', '.join(sorted(missing))}"
    return chosen


def made_seeds() -> list[Seed]:
    """Return a file of every format that can be made here."""
    rng = random.Random(5)
    axis = np.linspace(400.0, 1800.0, 120)
    counts = np.array([float(rng.randrange(9999)) for _ in axis])
    rows = b"".join(b"%d.25, %d\n" % (i, rng.randrange(9999)) for i in range(300))
    ranges = [(5.0, 0.02, counts[:40].tolist()), (10.0, 0.05, counts[40:70].tolist())]
    grid = np.outer(np.arange(1.0, 7.0), counts[:30])
    dif = b"   2-THETA      INTENSITY    D-SPACING   H   K   L   Multiplicity\n" + b"".join(
        b"  %d.39  8.54  3.2564  1  1  1  8\n" % (20 + i) for i in range(12)
    )
    made = {
        "a.txt": ("rruff", b"##NAMES=Quartz\n##RRUFFID=R1\n" + rows),
        "b.txt": ("dif", b"      Halite\n      X-RAY WAVELENGTH:     1.541838\n" + dif + b"=====\n"),
        "a.xy": ("columns", rows.replace(b",", b"")),
        "a.csv": ("columns", b"wavenumber, absorbance\n" + rows),
        "b.csv": ("columns", b"Raman shift;a;b\n" + b"".join(b"%d,5;%d;1e%d\n" % (i, i, i) for i in range(80))),
        "a.jdx": ("jcamp", write_jcamp(axis, np.sin(axis), _MODALITIES["ir"], {"label": "x", "sample_id": "R1"})),
        "b.jdx": (
            "jcamp",
            b"##TITLE=x\n##JCAMP-DX=4.24\n##DATA TYPE=INFRARED SPECTRUM\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n"
            b"##FIRSTX=4\n##LASTX=56\n##NPOINTS=53\n##XYDATA=(X++(Y..Y)\n"
            b"4@VKT%TLkj%J%KLJ%njKjL%kL%jJULJ%kLK1%lLMNPNPRLJ0QTOJ1P\n56A28\n##END=\n",
        ),
        "a.spc": ("spc", made_files.spc(400.0, 1800.0, grid)),
        "a.uxd": (
            "uxd",
            b"_FILEVERSION=2\n_SAMPLE='x'\n_START=3\n_STEPSIZE=0.1\n_COUNTS\n" + b"12 13 14\n" * 20,
        ),
        "a.rasx": ("rasx", made_files.zipped({"Data0/Profile0.txt": b"3.0\t5\t1\n3.1\t6\t1\n" * 20})),
        "a.brml": ("brml", made_files.brml(axis / 20, counts)),
        "a.raw": ("bruker-raw", made_files.raw_version_1(ranges)),
        "b.raw": ("bruker-raw", made_files.raw_version_2(ranges)),
        "a.wdf": ("wdf", made_files.wdf(axis[:30], grid, {"x": np.arange(6.0), "y": np.zeros(6)})),
        "a.nxs": ("nexus", made_files.nexus(axis[:30], grid)),
        "a.zarr": ("zarr", made_files.zipped(made_files.zarr_store(axis[:30], grid.reshape(2, 3, 30)))),
        "b.zarr": ("zarr", made_files.zipped(made_files.zarr_store(axis[:30], grid.reshape(2, 3, 30), 2))),
        "a.asp": ("asp", b"120\n4000\n3000\n1\n2\n4\n" + b"".join(b"%f\n" % value for value in counts)),
    }
    return [Seed(name, form, data) for name, (form, data) in made.items()]
