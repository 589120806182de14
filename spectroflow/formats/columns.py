"""Columns of decimal numbers, parsed exactly and at the speed of reading them.

Text spectra are nothing but two columns of numbers, and parsing them is where ``convert`` would spend
its time. The kernel here walks the bytes once. A number of at most 18 digits whose power of ten is at
most 22 in size is the correctly rounded quotient or product of two exactly representable doubles
(Clinger, "How to read floating point numbers accurately", PLDI 1990), provided its digits are at most
2**53; every other number is left to Python's own conversion, which is exact as well. So the result
equals ``float(text)`` bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from spectroflow.errors import RecordError

WHITESPACE = 0
"""Delimiter code for any run of blanks and tabs."""

_POWERS = np.array([float(10**k) for k in range(23)], dtype=np.float64)
_EXACT = 1 << 53
_MOST_DIGITS = 18
_LARGEST_EXPONENT = 10**6

_DONE, _TEXT, _SHORT, _ROOM = 0, 1, 2, 3

_SPACE, _TAB, _CR, _LF = 32, 9, 13, 10


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the columns of a text file are written.

    Attributes
    ----------
    delimiter
        The byte between columns, or :data:`WHITESPACE`.
    decimal_comma
        Whether numbers are written ``1,5``.
    columns
        Index of each wanted column, ascending; the others may hold anything.
    """

    delimiter: int = WHITESPACE
    decimal_comma: bool = False
    columns: tuple[int, ...] = (0, 1)


@nb.njit(cache=True, nogil=True)
def _parse(data, start, stop, delimiter, decimal, wanted, out, slow):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill ``out``; return (rows, numbers left over, position, problem).

    ``wanted[c]`` is the place of column ``c`` in a row of ``out``, or -1. ``slow`` receives
    (row, place, start, stop) of numbers that need the exact conversion.
    """
    columns = wanted.size
    rows = 0
    left = 0
    position = start
    while position < stop:
        while position < stop and (
            data[position] == _SPACE or data[position] == _CR or (data[position] == _TAB and delimiter != _TAB)
        ):
            position += 1
        if position >= stop:
            break
        byte = data[position]
        if byte == _LF:
            position += 1
            continue
        if byte == 35 or byte == 37 or byte == 33:  # '#', '%', '!': a remark
            while position < stop and data[position] != _LF:
                position += 1
            continue
        if rows >= out.shape[0]:
            return rows, left, position, _ROOM
        for column in range(columns):
            while position < stop and (data[position] == _SPACE or (data[position] == _TAB and delimiter != _TAB)):
                position += 1
            place = wanted[column]
            begin = position
            if place < 0:
                while position < stop and data[position] != _LF:
                    byte = data[position]
                    if byte == delimiter or (delimiter == WHITESPACE and byte in (_SPACE, _TAB)):
                        break
                    position += 1
            else:
                negative = False
                if position < stop and (data[position] == 45 or data[position] == 43):
                    negative = data[position] == 45
                    position += 1
                mantissa = 0
                digits = 0
                seen = 0
                exponent = 0
                exact = True
                while position < stop:
                    digit = int(data[position]) - 48
                    if digit < 0 or digit > 9:
                        break
                    seen += 1
                    if digits < _MOST_DIGITS:
                        mantissa = mantissa * 10 + digit
                        if mantissa != 0:
                            digits += 1
                    else:
                        exact = False
                    position += 1
                if position < stop and data[position] == decimal:
                    position += 1
                    while position < stop:
                        digit = int(data[position]) - 48
                        if digit < 0 or digit > 9:
                            break
                        seen += 1
                        if digits < _MOST_DIGITS:
                            mantissa = mantissa * 10 + digit
                            exponent -= 1
                            if mantissa != 0:
                                digits += 1
                        elif digit != 0:
                            exact = False
                        position += 1
                if seen == 0:
                    # A word: nan, inf, NA, null and -- stand for a missing value, as does nothing at all.
                    word = position
                    while position < stop and data[position] != _LF and data[position] != _CR:
                        byte = data[position]
                        if byte in (delimiter, _SPACE, _TAB):
                            break
                        position += 1
                    length = position - word
                    missing = length == 0 and delimiter != WHITESPACE
                    if length > 0:
                        first = data[word] | 32
                        second = data[word + 1] | 32 if length > 1 else 0
                        third = data[word + 2] | 32 if length > 2 else 0
                        missing = (
                            (length == 3 and first == 110 and second == 97 and third == 110)
                            or (length == 2 and first == 110 and second == 97)
                            or (length == 3 and first == 110 and second == 47 and third == 97)
                            or (length == 3 and first == 105 and second == 110 and third == 102)
                            or (length == 8 and first == 105 and second == 110 and third == 102)
                            or (length == 4 and first == 110 and second == 117 and third == 108)
                            or (length == 1 and data[word] == 45)
                        )
                    if not missing:
                        return rows, left, begin, _SHORT if length == 0 else _TEXT
                    out[rows, place] = np.nan
                else:
                    if position < stop:
                        byte = data[position] | 32
                        if byte == 101 or byte == 100:  # 'e', and Fortran's 'd'
                            mark = position
                            position += 1
                            sign = 1
                            if position < stop and (data[position] == 45 or data[position] == 43):
                                if data[position] == 45:
                                    sign = -1
                                position += 1
                            power = 0
                            figures = 0
                            while position < stop:
                                digit = int(data[position]) - 48
                                if digit < 0 or digit > 9:
                                    break
                                figures += 1
                                if power < _LARGEST_EXPONENT:
                                    power = power * 10 + digit
                                position += 1
                            if figures == 0:
                                return rows, left, mark, _TEXT
                            exponent += sign * power
                    if exact and mantissa <= _EXACT and -22 <= exponent <= 22:
                        value = np.float64(mantissa)
                        value = value * _POWERS[exponent] if exponent >= 0 else value / _POWERS[-exponent]
                        out[rows, place] = -value if negative else value
                    elif exact and mantissa == 0:
                        out[rows, place] = -0.0 if negative else 0.0
                    else:
                        if left < slow.shape[0]:
                            slow[left, 0] = rows
                            slow[left, 1] = place
                            slow[left, 2] = begin
                            slow[left, 3] = position
                        left += 1
            while position < stop and (
                data[position] == _SPACE or data[position] == _CR or (data[position] == _TAB and delimiter != _TAB)
            ):
                position += 1
            if column + 1 == columns:
                if position < stop and data[position] != _LF:
                    byte = data[position]
                    if delimiter != WHITESPACE and byte != delimiter:
                        return rows, left, position, _TEXT
                    if delimiter == WHITESPACE and not (
                        data[position - 1] == _SPACE or data[position - 1] == _TAB or data[position - 1] == _CR
                    ):
                        return rows, left, position, _TEXT
                    while position < stop and data[position] != _LF:
                        position += 1
            elif position >= stop or data[position] == _LF:
                return rows, left, position, _SHORT
            elif delimiter != WHITESPACE:
                if data[position] != delimiter:
                    return rows, left, position, _TEXT
                position += 1
            elif not (data[position - 1] == _SPACE or data[position - 1] == _TAB):
                return rows, left, position, _TEXT
        rows += 1
    return rows, left, position, _DONE


def parse_columns(
    data: bytes, dialect: Dialect, start: int = 0, stop: int | None = None, *, where: str = ""
) -> npt.NDArray[np.float64]:
    """Parse columns of numbers.

    Blank lines and lines that begin with ``#``, ``%`` or ``!`` are passed over. ``nan``, ``inf``,
    ``NA``, ``null``, ``-`` and an empty field are NaN.

    Parameters
    ----------
    data
        The file.
    dialect
        How its columns are written and which of them are wanted.
    start, stop
        Bytes of ``data`` to parse.
    where
        Named in errors.

    Returns
    -------
    float64 array of shape ``(rows, len(dialect.columns))``; each column is contiguous.

    Raises
    ------
    RecordError
        ``BAD_NUMBER`` with the number of the line that holds something else.
    """
    stop = len(data) if stop is None else stop
    wanted = np.full(max(dialect.columns) + 1, -1, dtype=np.int64)
    for place, column in enumerate(dialect.columns):
        wanted[column] = place
    # A row takes at least one byte per column, whatever the number of lines claims.
    most = min(data.count(b"\n", start, stop) + 1, (stop - start) // wanted.size + 1)
    out = np.empty((most, len(dialect.columns)), dtype=np.float64)
    buffer = np.frombuffer(data, dtype=np.uint8)
    decimal = ord(",") if dialect.decimal_comma else ord(".")
    slow = np.empty((256, 4), dtype=np.int64)
    while True:
        rows, left, position, problem = _parse(buffer, start, stop, dialect.delimiter, decimal, wanted, out, slow)
        if left <= len(slow):
            break
        slow = np.empty((left, 4), dtype=np.int64)
    for row, place, begin, end in slow[:left].tolist():
        token = data[begin:end].lower().replace(b"d", b"e")
        out[row, place] = float(token.replace(b",", b".") if dialect.decimal_comma else token)
    if problem:
        raise _bad_line(data, position, problem, where)
    return out[:rows]


def _bad_line(data: bytes, position: int, problem: int, where: str) -> RecordError:
    line = data.count(b"\n", 0, position) + 1
    begin = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", begin)
    text = data[begin : end if end >= 0 else len(data)][:60].decode("utf-8", errors="replace").strip()
    message = (
        f"line {line} has too few columns: {text!r}" if problem == _SHORT else f"line {line} is not numbers: {text!r}"
    )
    return RecordError("BAD_NUMBER", message, where=where, remedy="Correct that line, or export the spectrum again.")
