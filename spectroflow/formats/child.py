"""A process that reads files for another one, so that a parser that loops, swells or crashes harms only itself.

Started as ``python -m spectroflow.formats.child MEMORY``. Questions come on standard input, answers go to
standard output: each a length, a JSON header and raw bytes. No pickles, so that a parser which was
taken over by a hostile file cannot speak for its parent.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import Probe, RawRecord

LENGTH = struct.Struct("<QQ")
_FIELDS = ("axis_unit", "intensity_unit", "modality", "sample_id", "label", "formula", "metadata", "flags")


def send(stream: IO[bytes], header: dict[str, Any], *bodies: bytes) -> None:
    """Write one message."""
    text = json.dumps(header, default=str).encode()
    stream.write(LENGTH.pack(len(text), sum(map(len, bodies))))
    stream.write(text)
    for body in bodies:
        stream.write(body)
    stream.flush()


def receive(read: Any) -> tuple[dict[str, Any], bytes] | None:
    """Read one message with ``read(size)``, or None where the other side is gone."""
    start = read(LENGTH.size)
    if len(start) < LENGTH.size:
        return None
    header_size, body_size = LENGTH.unpack(start)
    header = read(header_size)
    body = read(body_size)
    if len(header) < header_size or len(body) < body_size:
        return None
    return json.loads(header), body


def pack_records(records: Sequence[RawRecord]) -> tuple[dict[str, Any], list[bytes]]:
    """Return records as a header and the bytes of their arrays."""
    header = {
        "records": [
            {"points": len(record.axis), **{key: getattr(record, key) for key in _FIELDS}} for record in records
        ]
    }
    bodies = [
        np.ascontiguousarray(values, dtype="<f8").tobytes()
        for record in records
        for values in (record.axis, record.intensity)
    ]
    return header, bodies


def unpack_records(header: dict[str, Any], body: bytes) -> list[RawRecord]:
    """Return the records of a message."""
    values = np.frombuffer(body, dtype="<f8")
    records = []
    at = 0
    for each in header["records"]:
        points = int(each["points"])
        axis, intensity = values[at : at + points].copy(), values[at + points : at + 2 * points].copy()
        at += 2 * points
        fields = {key: each[key] for key in _FIELDS} | {"flags": tuple(each["flags"])}
        records.append(RawRecord(axis=axis, intensity=intensity, **fields))
    return records


def unpack_probe(header: dict[str, Any]) -> Probe:
    """Return the probe of a message."""
    return Probe(tuple(header["modalities"]), int(header["payload_start"]))


def _answer(question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    from spectroflow.formats.registry import get

    try:
        entry = get(question["format"])
        if question["call"] == "probe":
            probe = entry.probe(data, question["name"])
            return {"modalities": list(probe.modalities), "payload_start": probe.payload_start}, []
        with np.errstate(all="ignore"):
            return pack_records(entry.read(data, question["name"]))
    except RecordError as error:
        return {"code": error.code, "message": error.message, "remedy": error.remedy}, []
    except (MemoryError, RecursionError):
        return {"code": "READER_MEMORY", "message": "reading it takes more memory than it may", "remedy": ""}, []
    except Exception as error:
        return {"code": "READER_FAILED", "message": f"{type(error).__name__}: {error}"[:300], "remedy": ""}, []


def _bring_packages(name: str) -> None:
    """Import what a format's reader imports, so that it does not count as what reading a file takes."""
    from importlib import import_module

    from spectroflow.formats.registry import get

    for package in getattr(get(name), "packages", ()):
        # A reader whose package is missing says so itself.
        with suppress(ImportError):
            import_module(package)


def _limit(extra: int) -> None:
    """Bound this process's address space to what it has now and ``extra`` bytes."""
    import resource
    from pathlib import Path

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """Bound the CPU time of this process to what it has used now and so much more; the signal ends it."""
    import resource

    most = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(memory: int) -> None:
    """Answer questions until standard input ends."""
    from spectroflow.formats.registry import formats

    formats()
    answers = os.fdopen(os.dup(1), "wb")
    # Parsers that print must not write into the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _limit(memory)
    send(answers, {"ready": True})
    known: set[str] = set()
    while (message := receive(sys.stdin.buffer.read)) is not None:
        if message[0]["format"] not in known:
            known.add(message[0]["format"])
            _bring_packages(message[0]["format"])
            _limit(memory)
        _limit_time(message[0]["seconds"])
        header, bodies = _answer(*message)
        del message
        send(answers, header, *bodies)


if __name__ == "__main__":
    main(int(sys.argv[1]))
