"""Files that mean harm are refused with a reason before memory or time is taken; damaged ones never surprise."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc

import pytest

from benchmarks.fuzzing import Fuzzer, made_seeds, memory_limit, seeds, warmed
from benchmarks.made_files import zipped
from benchmarks.mutations import Seed, mutations
from spectroflow.errors import RecordError
from spectroflow.formats import Probe, detect, get

JCAMP = "##TITLE=x\n##JCAMP-DX=4.24\n##DATA TYPE=INFRARED SPECTRUM\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n"
ENTITIES = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
LAUGHS = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><xrdMeasurements>&j;</xrdMeasurements>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xrdMeasurements>&a;</xrdMeasurements>'


def spc(points, subfiles=1, flags=0, first=1.0, last=2.0, body=b""):
    header = struct.pack("<BBBbIddI", flags, 0x4B, 0, 0, points, first, last, subfiles)
    return header.ljust(512, b"\0") + body


def jcamp(first, last, points, body):
    """Return a file with one table of ordinates."""
    count = "" if points is None else f"##NPOINTS={points}\n"
    return f"{JCAMP}##FIRSTX={first}\n##LASTX={last}\n{count}##XYDATA=(X++(Y..Y))\n{body}\n##END=\n"


def raw(ranges, step=0.02):
    """Return a DIFFRAC file of version 1.01 with one point in its first range."""
    header = b"RAW1.01\0" + struct.pack("<II", 1, ranges) + bytes(696)
    first = struct.pack("<IIdd", 304, 1, 0.0, 5.0).ljust(176, b"\0") + struct.pack("<d", step)
    return header + first.ljust(252, b"\0") + struct.pack("<II", 4, 0) + bytes(100)


def opus(parameters):
    """Return an OPUS file with one block of parameters."""
    directory = struct.pack("<diii", 1.0, 24, 40, 1) + struct.pack("<iii", 0x10, 16, 60) + bytes(24)
    return b"\n\n\xfe\xfe" + directory + parameters + bytes(200)


def wdf(count):
    """Return a WDF file that declares so many spectra of nine points and holds none."""
    header = (b"WDF1" + struct.pack("<IQ", 0, 512)).ljust(60, b"\0") + struct.pack("<IQQ", 9, 1, count)
    return header.ljust(512, b"\0") + b"DATA" + struct.pack("<IQ", 0, 16) + b"XLST" + struct.pack("<IQ", 0, 16)


WIDE = "1" + ",1" * 3000 + "\n" + "2" + ",1" * 3000
HOSTILE = {
    "declares a billion points": ("a.jdx", jcamp(1, 2, 10**9, "1 1"), "HOSTILE_FILE"),
    "repeats one value a billion times": ("a.jdx", jcamp(1, 2, None, "1A1Z99999999"), "HOSTILE_FILE"),
    "repeats again and again": ("a.jdx", jcamp(1, 2, None, "1A1Z999999\n" * 99), "HOSTILE_FILE"),
    "an axis step of zero": ("a.jdx", jcamp(5, 5, 3, "5 1 2 3"), "BAD_AXIS"),
    "an infinite axis": ("a.jdx", jcamp("1e999", 5, 3, "5 1 2 3"), "BAD_AXIS"),
    "a lost line": ("a.jdx", jcamp(1, 9, 9, "1 1 2 3\n7 7 8 9"), "TRUNCATED"),
    "a line too many": ("a.jdx", jcamp(1, 3, 3, "1 1 2 3\n7 7 8 9"), "BAD_NUMBER"),
    "a line of another table": ("a.jdx", jcamp(1, 6, 6, "1 1 2 3\n900 7 8 9"), "BAD_AXIS"),
    "a failed difference check": ("a.jdx", jcamp(1, 4, 4, "1A0J1J1\n3A9J1"), "BAD_NUMBER"),
    "expanding entities": ("a.xrdml", LAUGHS, "HOSTILE_FILE"),
    "an outside entity": ("a.xrdml", OUTSIDE, "HOSTILE_FILE"),
    "deep nesting": ("a.xrdml", "<xrdMeasurements>" + "<a>" * 200_000, "TRUNCATED"),
    "a zip bomb": ("a.brml", zipped({"Experiment0/RawData0.xml": b"0" * (64 << 20)}), "HOSTILE_FILE"),
    "a zip bomb of text": ("a.rasx", zipped({"Data0/Profile0.txt": b"1 1 1\n" * (8 << 20)}), "HOSTILE_FILE"),
    "entities in a zip": ("a.brml", zipped({"Experiment0/RawData0.xml": LAUGHS}), "HOSTILE_FILE"),
    "four thousand million points": ("a.spc", spc(0xFFFFFFFF), "TRUNCATED"),
    "four thousand million subfiles": ("a.spc", spc(0, 0xFFFFFFFF, 4), "TRUNCATED"),
    "a step of zero in SPC": ("a.spc", spc(4, 1, 0, 7.0, 7.0, bytes(32 + 16)), "BAD_AXIS"),
    "a million ranges": ("a.raw", raw(1_000_000), "HOSTILE_FILE"),
    "a step of zero in RAW": ("a.raw", raw(1, 0.0), "BAD_AXIS"),
    "parameters of negative length": ("a.0", opus(b"NPT\0\0\0\xff\xff"), "UNSUPPORTED_DIALECT"),
    "blocks without end": ("a.wdf", b"WDF1" + struct.pack("<IQ", 0, 0) + bytes(2000), "TRUNCATED"),
    "a map of 2**40 spectra": ("a.wdf", wdf(1 << 40), "HOSTILE_FILE"),
    "only line feeds after a wide row": ("a.csv", WIDE + "\n" * 1_000_000, None),
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_refused_before_memory_is_taken(kind):
    name, data, code = HOSTILE[kind]
    data = data.encode() if isinstance(data, str) else data
    entry = detect(data[: 64 << 10], name)
    assert entry is not None
    get("columns").claims(b"1 2\n3 4\n", "warm.xy")
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) if code else _anything() as caught:
            entry.probe(data, name)
            entry.read(data, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if code:
        assert caught.value.code == code
        assert caught.value.remedy
    assert peak < (100 << 20)
    assert time.process_time() - started < 10


class _anything:  # noqa: N801
    """The file may be read or refused; only its cost is looked at."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return isinstance(error, RecordError)


def test_damaged_files_of_every_format_that_can_be_made_here():
    _survive(made_seeds(), 2000, seed=11)


@pytest.mark.real
def test_damaged_files_of_the_pack(real_data):
    """Every format there is has seeds here, or they say which one has none."""
    _survive(seeds(real_data, per_format=4, most_bytes=300_000), 3000, seed=12)


def _survive(whole, count, seed):
    fuzzer = Fuzzer()
    warmed(fuzzer, whole)
    fuzzer.read_all(mutations(whole, count, seed))
    fuzzer.close()
    assert fuzzer.failures == []
    assert fuzzer.outcomes.total() == count
    assert len(fuzzer.outcomes) > 5


class _Misbehaved:
    """A reader that does what no reader may."""

    name = "misbehaved"
    extensions = (".bad",)
    isolated = False

    def claims(self, head, name):
        return head.startswith(b"BAD")

    def probe(self, data, name):
        return Probe(("raman",))

    def read(self, data, name):
        if b"loop" in data:
            while True:
                with contextlib.suppress(Exception):
                    pass
        if b"swell" in data:
            bytearray(1 << 29)
        raise KeyError("nothing of ours") if b"raise" in data else RecordError("NO_DATA", "", remedy="")


@pytest.mark.parametrize(
    ("word", "problem"), [("loop", "more than"), ("swell", "MemoryError"), ("raise", "KeyError"), ("mute", "without a")]
)
def test_the_fuzzer_sees_what_it_looks_for(monkeypatch, word, problem):
    monkeypatch.setattr("benchmarks.fuzzing.detect", lambda head, name: _Misbehaved())
    monkeypatch.setattr("benchmarks.fuzzing.CPU_SECONDS", 0.2)
    fuzzer = Fuzzer()
    with memory_limit():
        fuzzer.read_all([(Seed("a.bad", "misbehaved", b""), 7, b"BAD " + word.encode())])
    (failure,) = fuzzer.failures
    assert failure.startswith("a.bad 7: ")
    assert problem in failure
