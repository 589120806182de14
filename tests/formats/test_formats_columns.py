"""Columns of numbers parse to exactly what Python's own conversion gives, or fail with the line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.errors import RecordError
from spectroflow.formats.columns import WHITESPACE, Dialect, parse_columns

patient = settings(deadline=None)  # the first call compiles the kernel
finite = st.floats(allow_nan=False, allow_infinity=False)


def written(value: float, style: int) -> str:
    return [repr(value), f"{value:.17e}", f"{value:+.6E}", f"{value:.3f}", f"{value:.25g}"][style]


@patient
@given(st.lists(st.tuples(finite, finite, st.integers(0, 4)), min_size=1, max_size=40), st.sampled_from("\t,; "))
def test_equals_python_bit_for_bit(rows, delimiter):
    texts = [(written(x, style), written(y, style)) for x, y, style in rows]
    data = "\n".join(delimiter.join(pair) for pair in texts).encode()
    code = WHITESPACE if delimiter == " " else ord(delimiter)
    values = parse_columns(data, Dialect(code))
    assert values.tolist() == [[float(x), float(y)] for x, y in texts]


@patient
@given(st.from_regex(r"[-+]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][-+]?[0-9]{1,3})?", fullmatch=True))
def test_every_decimal_notation(text):
    values = parse_columns(f"{text} {text}\n".encode(), Dialect())
    assert values[0, 0] == float(text)
    assert math.copysign(1, values[0, 0]) == math.copysign(1, float(text))


@patient
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
def test_decimal_comma(rows):
    data = "\n".join(f"{x!r};{y!r}" for x, y in rows).replace(".", ",").encode()
    assert parse_columns(data, Dialect(ord(";"), decimal_comma=True)).tolist() == [list(row) for row in rows]


def test_line_ends_blank_lines_and_remarks():
    data = b"# remark\r\n1, 2\r\n\r\n  3 ,4  \n% more\n5,6"
    assert parse_columns(data, Dialect(ord(","))).tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "n/a", "null", "inf", "-", ""])
def test_missing_values(word):
    values = parse_columns(f"1;{word}\n2;3\n".encode(), Dialect(ord(";")))
    assert np.isnan(values[0, 1])
    assert values[1].tolist() == [2, 3]


def test_only_wanted_columns_need_be_numbers():
    data = b"a,1,x,2,tail\nb,3,y,4,\n"
    assert parse_columns(data, Dialect(ord(","), columns=(1, 3))).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("1 2\n3 four\n", 2, "four"),
        ("1 2\n3\n5 6\n", 2, "3"),
        ("1 2\n3 4x\n", 2, "4x"),
        ("1 2\n3 4e\n", 2, "4e"),
        ("1 2\n1.2.3 4\n", 2, "1.2.3"),
        ("1 2\n--3 4\n", 2, "--3"),
    ],
)
def test_text_among_the_numbers_names_its_line(text, line, word):
    with pytest.raises(RecordError, match=f"line {line} ") as caught:
        parse_columns(text.encode(), Dialect(), where="a.xy")
    assert caught.value.code == "BAD_NUMBER"
    assert word in str(caught.value)
    assert caught.value.where == "a.xy"


@patient
@given(st.binary(max_size=300), st.sampled_from([WHITESPACE, 9, 44, 59]), st.booleans())
def test_any_bytes_give_rows_or_our_error(data, delimiter, comma):
    try:
        values = parse_columns(data, Dialect(delimiter, comma))
    except RecordError as error:
        code, values = error.code, np.empty((0, 2))
    else:
        code = "BAD_NUMBER"
    assert code == "BAD_NUMBER"
    assert values.shape[1] == 2
    assert values.nbytes <= 8 * max(16, len(data) * 2)


def test_many_blank_lines_take_no_memory():
    data = b"1" + b",1" * 1000 + b"\n" * 100_000
    values = parse_columns(data, Dialect(ord(","), columns=tuple(range(1001))))
    assert values.shape == (1, 1001)
    assert values.base is None or values.base.nbytes < 16 * len(data)
