"""Files that mean harm are refused with a reason before memory or time is taken; damaged ones never surprise."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from benchmarks.mutations import Seed, mutations
from spectroflow.errors import RecordError
from spectroflow.formats import detect, get, to_record
from spectroflow.formats.jcamp_writer import write_jcamp
from spectroflow.modality import builtin
from spectroflow.status import FAILED

JCAMP = "##TITLE=x\n##JCAMP-DX=4.24\n##DATA TYPE=INFRARED SPECTRUM\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n"
ENTITIES = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
LAUGHS = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><xrdMeasurements>&j;</xrdMeasurements>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xrdMeasurements>&a;</xrdMeasurements>'


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return file.getvalue()


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
    started = time.perf_counter()
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
    assert time.perf_counter() - started < 10


class _anything:  # noqa: N801
    """The file may be read or refused; only its cost is looked at."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return isinstance(error, RecordError)


def seeds(real_data=None):
    """Files of every format that can be made here, and those of the pack where it is there."""
    axis = np.linspace(400, 1800, 120)
    record = {"label": "Quartz", "sample_id": "R1"}
    made = [
        Seed("a.txt", "rruff", b"##NAMES=Q\n##RRUFFID=R1\n" + b"".join(b"%d, %d\n" % (i, i * i) for i in range(80))),
        Seed("a.xy", "columns", b"".join(b"%d.5 %d\n" % (i, i * i) for i in range(80))),
        Seed("a.csv", "columns", b"Raman shift;a;b\n" + b"".join(b"%d,5;%d;1e%d\n" % (i, i, i) for i in range(80))),
        Seed("a.jdx", "jcamp", write_jcamp(axis, np.sin(axis), builtin()["ir"], record)),
        Seed("b.jdx", "jcamp", (JCAMP + "##FIRSTX=4\n##LASTX=56\n##NPOINTS=53\n##XYDATA=(X++(Y..Y)\n"
             "4@VKT%TLkj%J%KLJ%njKjL%kL%jJULJ%kLK1%lLMNPNPRLJ0QTOJ1P\n56A28\n##END=\n").encode()),
        Seed("a.spc", "spc", spc(40, 2, 4, 400.0, 800.0, bytes(32 + 160) * 2)),
        Seed("a.uxd", "uxd", b"_FILEVERSION=2\n_SAMPLE='x'\n_START=3\n_STEPSIZE=0.1\n_COUNTS\n" + b"12 13 14\n" * 20),
        Seed("a.rasx", "rasx", zipped({"Data0/Profile0.txt": b"3.0\t5\t1\n3.1\t6\t1\n" * 20})),
    ]  # fmt: skip
    if real_data is not None:
        by_format: dict[str, list[Seed]] = {}
        for path in sorted((real_data / "formats").rglob("*")):
            if path.is_file() and path.stat().st_size < 300_000:
                data = path.read_bytes()
                entry = detect(data[: 64 << 10], path.name)
                if entry is not None:
                    by_format.setdefault(entry.name, []).append(Seed(path.name, entry.name, data))
        for found in by_format.values():
            made += sorted(found, key=lambda seed: len(seed.data))[:4]
    return made


def survive(found):
    """Read every mutated file; return how many of them gave which outcome."""
    modality = builtin()["raman"]
    outcomes: dict[str, int] = {}
    for origin, number, data in found:
        started = time.perf_counter()
        try:
            entry = detect(data[: 64 << 10], origin.name) or get(origin.format)
            with np.errstate(all="ignore"):
                probe = entry.probe(data, origin.name)
                records = entry.read(data, origin.name)
                for record in records[:5]:
                    to_record(record, modality)
            code = "ok"
            assert len(probe.modalities) < 1_000_000
        except RecordError as error:
            code = error.code if error.message and error.remedy else "unexplained"
        except Exception as error:
            raise AssertionError(f"{origin.name} mutation {number}: {type(error).__name__}: {error}") from error
        assert time.perf_counter() - started < 2.0, (origin.name, number)
        assert code == "ok" or code in FAILED, (origin.name, number, code)
        outcomes[code] = outcomes.get(code, 0) + 1
    return outcomes


def test_damaged_files_of_our_own_making():
    get("columns").read(b"1 2\n3 4\n", "warm.xy")
    outcomes = survive(mutations(seeds(), 2000, seed=11))
    assert sum(outcomes.values()) == 2000
    assert len(outcomes) > 5


@pytest.mark.real
def test_damaged_files_of_the_pack(real_data):
    get("columns").read(b"1 2\n3 4\n", "warm.xy")
    outcomes = survive(mutations(seeds(real_data), 3000, seed=12))
    assert sum(outcomes.values()) == 3000
