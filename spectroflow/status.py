"""The status codes of a row: what became of a planned record.

Status arrays are ``uint8``. 255 is the fill value and means *not done*; 0 is ok; 1 to 127 failed;
128 to 254 skipped. The numbers are part of the archive format and never change their meaning; each
segment and layer repeats the table in its attributes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

OK = 0
NOT_DONE = 255

FAILED: MappingProxyType[str, int] = MappingProxyType(
    {
        "EMPTY_FILE": 1,
        "NOT_A_SPECTRUM": 2,
        "BAD_NUMBER": 3,
        "TOO_FEW_POINTS": 4,
        "TOO_LONG": 5,
        "BAD_AXIS": 6,
        "UNKNOWN_MODALITY": 7,
        "UNKNOWN_UNIT": 8,
        "AMBIGUOUS_UNIT": 9,
        "NO_DATA": 10,
        "TRUNCATED": 11,
        "UNSUPPORTED_DIALECT": 12,
        "HOSTILE_FILE": 13,
        "SOURCE_CHANGED": 14,
        "SOURCE_MISSING": 15,
        "RECORD_COUNT_CHANGED": 16,
        "READER_FAILED": 17,
        "READER_TIMEOUT": 18,
        "READER_MEMORY": 19,
        "CRASHED_WORKER": 20,
        "STORAGE_ERROR": 21,
        "FIT_FAILED": 22,
        "GENERATION_FAILED": 23,
        "OUTSIDE_GRID": 24,
        "BAD_ENCODING": 25,
        "OUT_OF_MEMORY": 26,
        "TIMED_OUT": 27,
        "TOO_LARGE": 28,
    }
)

SKIPPED: MappingProxyType[str, int] = MappingProxyType(
    {
        "DUPLICATE": 128,
        "INPUT_NOT_OK": 129,
        "SUPERSEDED": 130,
        "NOT_SELECTED": 131,
    }
)

NAMES: MappingProxyType[int, str] = MappingProxyType(
    {
        OK: "OK",
        NOT_DONE: "NOT_DONE",
        **{number: name for table in (FAILED, SKIPPED) for name, number in table.items()},
    }
)

Outcome = Literal["ok", "failed", "skipped", "not_done"]


def code_of(name: str) -> int:
    """Return the number of a status name; raise ``KeyError`` for an unknown one."""
    if name == "OK":
        return OK
    return FAILED[name] if name in FAILED else SKIPPED[name]


def outcome_of(code: int) -> Outcome:
    """Return which of the three outcomes a status number belongs to (or ``not_done``)."""
    if code == OK:
        return "ok"
    if code == NOT_DONE:
        return "not_done"
    return "failed" if code < 128 else "skipped"


def table() -> dict[str, str]:
    """Return ``{number: name}`` with string keys, as it is written into attributes."""
    return {str(number): name for number, name in sorted(NAMES.items())}
