"""The number forms of JCAMP-DX: AFFN, PAC, SQZ, DIF and DUP.

McDonald and Wilks, "JCAMP-DX: A Standard Form for Exchange of Infrared Spectra in Computer Readable
Form", Appl. Spectrosc. 42, 151 (1988), section 6. A letter stands for the first digit of a number:
``@A-I`` 0 to 9 and ``a-i`` -1 to -9 of a value (SQZ), ``%J-R`` and ``j-r`` of a difference from the value
before (DIF), ``S-Zs`` 1 to 9 of how often the value or difference stands in all (DUP). After a line that
ends in differences, the first value of the next repeats the last one as a check.
"""

from __future__ import annotations

import math
import re

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray

MOST_POINTS = 1 << 22
"""More points in one spectrum than this are taken for damage or malice."""

_SQZ = {c: str(i) for i, c in enumerate("@ABCDEFGHI")} | {c: f"-{i}" for i, c in enumerate("abcdefghi", 1)}
_DIF = {c: str(i) for i, c in enumerate("%JKLMNOPQR")} | {c: f"-{i}" for i, c in enumerate("jklmnopqr", 1)}
_DUP = {c: str(i) for i, c in enumerate("STUVWXYZs", 1)}

_PLAIN = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3}(?![\d.]))?"
_AFFN = re.compile(rf"({_PLAIN}|\?)|[\s,;]+|(.)", re.DOTALL)
_ASDF = re.compile(r"([@A-Z%a-s])(\d*)|([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]\d{1,3})?|\?)|[\s,;]+|(.)", re.DOTALL)
_COMPRESSED = re.compile(r"[@%A-DF-Za-df-s]|[Ee]\d*[@%A-Za-z]|^\s*[\d.+-]+\s*[Ee]\d", re.MULTILINE)


def decode_ordinates(text: str, points: int | None, *, where: str) -> tuple[list[float], list[tuple[int, float]]]:
    """Decode the body of an ``(X++(Y..Y))`` table.

    Parameters
    ----------
    text
        The lines of the table.
    points
        How many there should be, where the header says so.

    Returns
    -------
    The ordinates, not yet scaled, and for each line the index of its first ordinate with its abscissa.

    Raises
    ------
    RecordError
        ``BAD_NUMBER`` for anything else than numbers, or a failed check of differences;
        ``HOSTILE_FILE`` if repetitions swell beyond :data:`MOST_POINTS`.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return _compressed(lines, points, where) if _COMPRESSED.search(text) else _plain(lines, where)


def decode_pairs(text: str, *, where: str) -> tuple[FloatArray, FloatArray]:
    """Decode the body of an ``(XY..XY)`` table; return abscissas and ordinates, not yet scaled."""
    values: list[float] = []
    for number, other in _AFFN.findall(text):
        if other:
            raise _bad(text, other, where)
        if number:
            values.append(math.nan if number == "?" else float(number))
    if len(values) % 2:
        raise RecordError("TRUNCATED", "a pair of values lacks its second", where=where, remedy=_EXPORT)
    pairs = np.array(values, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


_EXPORT = "Export the spectrum again."


def _plain(lines: list[str], where: str) -> tuple[list[float], list[tuple[int, float]]]:
    values: list[float] = []
    marks: list[tuple[int, float]] = []
    for line in lines:
        numbers = []
        for number, other in _AFFN.findall(line):
            if other:
                raise _bad(line, other, where)
            if number:
                numbers.append(math.nan if number == "?" else float(number))
        if numbers:
            marks.append((len(values), numbers[0]))
            values.extend(numbers[1:])
    return values, marks


def _compressed(lines: list[str], points: int | None, where: str) -> tuple[list[float], list[tuple[int, float]]]:
    values: list[float] = []
    marks: list[tuple[int, float]] = []
    check: float | None = None
    for line in lines:
        at_abscissa = True
        difference: float | None = None
        for letter, digits, number, other in _ASDF.findall(line):
            if other:
                raise _bad(line, other, where)
            if not letter and not number:
                continue
            if letter in _DUP and not at_abscissa:
                if not values:
                    raise _bad(line, letter, where)
                repeats = int(_DUP[letter] + digits[:9]) - 1
                if len(values) + repeats > MOST_POINTS:
                    raise RecordError(
                        "HOSTILE_FILE", f"one value is repeated {repeats} times", where=where, remedy=_EXPORT
                    )
                if difference is None:
                    values.extend([values[-1]] * repeats)
                else:
                    last = values[-1]
                    values.extend([last + difference * (i + 1) for i in range(repeats)])
                check = None
                continue
            if letter in _DIF and not at_abscissa:
                if not values:
                    raise _bad(line, letter, where)
                difference = float(_DIF[letter] + digits)
                values.append(values[-1] + difference)
                check = None
                continue
            if letter and letter not in _SQZ:
                raise _bad(line, letter, where)
            value = float(_SQZ[letter] + digits) if letter else (math.nan if number == "?" else float(number))
            if at_abscissa:
                marks.append((len(values), value))
                at_abscissa = False
                continue
            difference = None
            if check is not None:
                if value != check and len(values) == points and line is lines[-1]:
                    break  # some writers end with a value of zero, whatever the last one was
                if value != check:
                    raise RecordError(
                        "BAD_NUMBER",
                        f"the check value {value:g} differs from {check:g}, which the differences before it give",
                        where=where,
                        remedy="The file is damaged; export the spectrum again.",
                    )
                check = None
                marks[-1] = (len(values) - 1, marks[-1][1])
                continue
            values.append(value)
        check = values[-1] if difference is not None and values else None
    return values, marks


def _bad(text: str, character: str, where: str) -> RecordError:
    at = text.find(character)
    near = text[max(0, at - 20) : at + 20].strip()
    return RecordError(
        "BAD_NUMBER", f"{character!r} is no part of a number, near {near!r}", where=where, remedy=_EXPORT
    )
