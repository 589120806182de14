from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.archive.records import SCHEMA
from spectroflow.archive.where import LONGEST, parse_where, select
from spectroflow.errors import UsageError

_SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_TEXT = st.sampled_from(["Quartz", "quartz", "Calcite", "", "a'b", 'a"b', "Ångström", "\\", "%", "None"])
_NUMBER = st.sampled_from([0, 1, -1, 255, 300, 532.0, 784.5, 1e300, -0.0])

Row = dict[str, Any]
Truth = bool | None


class Condition:
    """An expression as text, and what it means for one row, worked out by Python: True, False or unknown."""

    def __init__(self, text: str, meaning: Any) -> None:
        self.text = text
        self.meaning = meaning

    def __repr__(self) -> str:
        return self.text


def _compare(name: str, sign: str, value: Any, flipped: bool) -> Condition:
    def meaning(row: Row) -> Truth:
        if row[name] is None:
            return None
        return bool(_SIGNS[sign](value, row[name]) if flipped else _SIGNS[sign](row[name], value))

    return Condition(f"{value!r} {sign} {name}" if flipped else f"{name} {sign} {value!r}", meaning)


def _contained(name: str, values: list[Any], negated: bool) -> Condition:
    text = f"{name} {'not in' if negated else 'in'} {tuple(values)!r}"
    return Condition(text, lambda row: (row[name] in values) is not negated)


def _absent(name: str, form: str) -> Condition:
    wanted = form in {"is", "=="}
    return Condition(f"{name} {form} None", lambda row: (row[name] is None) is wanted)


def _function(function: str, value: str) -> Condition:
    known = {"startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__}[function]
    return Condition(
        f"{function}(label, {value!r})", lambda row: None if row["label"] is None else bool(known(row["label"], value))
    )


def _not(inner: Condition) -> Condition:
    def meaning(row: Row) -> Truth:
        value = inner.meaning(row)
        return None if value is None else not value

    return Condition(f"not ({inner.text})", meaning)


def _joined(word: str, parts: list[Condition]) -> Condition:
    decisive = word == "or"

    def meaning(row: Row) -> Truth:
        values = [part.meaning(row) for part in parts]
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return Condition(f" {word} ".join(f"({part.text})" for part in parts), meaning)


_LEAVES = st.one_of(
    st.builds(_compare, st.just("label"), st.sampled_from(sorted(_SIGNS)), _TEXT, st.booleans()),
    st.builds(_compare, st.sampled_from(["laser", "status"]), st.sampled_from(sorted(_SIGNS)), _NUMBER, st.booleans()),
    st.builds(_contained, st.just("label"), st.lists(_TEXT, max_size=3), st.booleans()),
    st.builds(_contained, st.just("laser"), st.lists(st.sampled_from([532.0, 785, 0]), max_size=3), st.booleans()),
    st.builds(_absent, st.sampled_from(["label", "laser"]), st.sampled_from(["is", "is not", "==", "!="])),
    st.builds(_function, st.sampled_from(["startswith", "endswith", "contains"]), _TEXT),
)
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(_not), st.builds(_joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4))
    ),
    max_leaves=8,
)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.none() | _TEXT,
            "laser": st.none() | st.sampled_from([532.0, 784.5, 785.0, 0.0]),
            "status": st.integers(0, 255),
        }
    ),
    max_size=12,
)


@settings(max_examples=250, deadline=None)
@given(condition=_CONDITIONS, rows=_ROWS)
def test_an_expression_selects_what_python_says(condition: Condition, rows: list[Row]) -> None:
    numbered = [{**row, "row": i} for i, row in enumerate(rows)]
    table = pa.Table.from_pylist(numbered, schema=SCHEMA)
    found = select(table, condition.text)["row"].to_pylist()
    assert found == [row["row"] for row in numbered if condition.meaning(row) is True]


@given(low=st.integers(-5, 15), high=st.integers(-5, 15))
def test_comparisons_chain_as_in_python(low: int, high: int) -> None:
    table = pa.Table.from_pylist([{"row": i, "status": 0} for i in range(10)], schema=SCHEMA)
    assert select(table, f"{low} < row <= {high}")["row"].to_pylist() == [i for i in range(10) if low < i <= high]


def test_regular_expressions_match_anywhere() -> None:
    rows = [{"row": i, "status": 0, "label": label} for i, label in enumerate(["Quartz", "quartz-2", None])]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert select(table, r"matches(label, '^[Qq]uartz(-\\d)?$')")["row"].to_pylist() == [0, 1]


_HOSTILE = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "label.__class__ == 1",
    "label[0] == 'a'",
    "open('/etc/passwd')",
    "exec('1')",
    "(lambda: 1)()",
    "[x for x in (1,)]",
    "f'{row}' == '1'",
    "(row := 1) == 1",
    "row if row else row",
    "row + 1 == 2",
    "10 ** 10 ** 10 == row",
    "'a' * 10 ** 9 == label",
    "contains(label, __import__('os').name)",
    "contains('abc', 'a')",
    "contains(label, 'a', 'b')",
    "contains(label, text='a')",
    "contains(*label)",
    "label.startswith('Q')",
    "row",
    "True",
    "1",
    "''",
    "row is 1",
    "row < None",
    "None in (1, None)",
    "'a' in ('a', 'b')",
    "label in 'Quartz'",
    "row in {1, 2}",
    "row in range(3)",
    "row == 1j",
    "row == b'1'",
    "row == ...",
    "row == (1, 2)",
    "row == {}",
    "row ==",
    "row == 1; row == 2",
    "import os",
    "row == 1\nimport os",
    "await row",
    "yield row",
    "label = 'Quartz'",
    "row\x00== 1",
    "row == 1 #" + "x" * LONGEST,
    "(" * 1500 + "row" + ")" * 1500 + " == 1",
    "not " * 990 + "row==1",
    "-" * 3900 + "1 == row",
    "row == " + "9" * 3900,
    "row == 1e999 or label == 5",
    "label in ('a', 1)",
    "label > 5",
    "status == True",
    "matches(label, '(')",
    "contains(row, '1')",
    "laser == 'red'",
    "row == " + "9" * 40,
]


@pytest.mark.parametrize("expression", _HOSTILE, ids=range(len(_HOSTILE)))
def test_anything_else_is_refused_in_one_sentence(expression: str) -> None:
    table = pa.Table.from_pylist([{"row": 1, "status": 0, "label": "a"}], schema=SCHEMA)
    with pytest.raises(UsageError) as caught:
        select(table, expression)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 900


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="row=<>()'\"andoti 1,.[]{}:\\*", max_size=60))
def test_no_text_ends_in_anything_but_a_selection_or_a_usage_error(expression: str) -> None:
    table = pa.Table.from_pylist([{"row": 1, "status": 0}], schema=SCHEMA)
    with suppress(UsageError):
        assert select(table, expression).num_rows <= 1


def test_the_longest_chain_that_is_allowed_does_not_exhaust_the_stack() -> None:
    table = pa.Table.from_pylist([{"row": 1, "status": 0}], schema=SCHEMA)
    expression = "row==1 or " * (LONGEST // 10 - 1) + "row==1"
    assert select(table, expression).num_rows == 1
    assert select(table, "0<" + "row<" * (LONGEST // 4 - 2) + "9").num_rows == 0


def test_an_unknown_column_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match=r"no column 'lable'. Did you mean 'label'"):
        parse_where("lable == 'Quartz'", SCHEMA.names)


def test_no_expression_selects_everything() -> None:
    table = pa.Table.from_pylist([{"row": 1, "status": 0}], schema=SCHEMA)
    assert select(table, None) is table
    assert select(table, "") is table
