"""Filters on the record table: ``label == "Quartz" and laser in (532, 785)``.

An expression is read as Python, but only comparisons, ``and``, ``or``, ``not``, ``in``, the constants
and the four functions below are allowed; nothing is ever evaluated as code.

A comparison with a missing value is neither true nor false, and such rows are left out, with ``not``
as without; ``column is None`` and ``in (None, ...)`` find them.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.config import nearest
from spectroflow.errors import UsageError

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}

_FUNCTIONS: dict[str, Callable[[Any, str], Any]] = {
    "startswith": lambda column, text: pc.starts_with(column, text),
    "endswith": lambda column, text: pc.ends_with(column, text),
    "contains": lambda column, text: pc.match_substring(column, text),
    "matches": lambda column, text: pc.match_substring_regex(column, text),
}

LONGEST = 4000
"""Characters of an expression; what is longer could exhaust the stack of a parser."""

_EXAMPLE = "For example: --where 'label == \"Quartz\" and laser in (532, 785)'."


def parse_where(expression: str, columns: Iterable[str]) -> pc.Expression:
    """Return the filter that an expression means.

    Parameters
    ----------
    expression
        Over column names, numbers, strings, ``None`` and the functions ``startswith``, ``endswith``,
        ``contains`` and ``matches`` (a regular expression), each ``f(column, "text")``.
    columns
        The names that may be used.

    Raises
    ------
    UsageError
        It is not such an expression, or a column is unknown.
    """
    if len(expression) > LONGEST:
        raise UsageError(
            f"--where is {len(expression):,} characters long, and {LONGEST:,} are allowed", remedy=_EXAMPLE
        )
    try:
        with warnings.catch_warnings():
            # Python warns of "\d" and "1is 1"; whoever wrote the expression cannot see where.
            warnings.simplefilter("ignore")
            tree = ast.parse(expression.strip(), mode="eval")
        return _Translator(expression, set(columns)).condition(tree.body)
    except (SyntaxError, ValueError):
        raise UsageError(f"--where {_shortened(expression)} is not an expression", remedy=_EXAMPLE) from None
    except (MemoryError, RecursionError):
        raise UsageError(f"--where {_shortened(expression)} is nested too deeply", remedy=_EXAMPLE) from None
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise _incomparable(expression, error) from None


def select(table: pa.Table, expression: str | None) -> pa.Table:
    """Return the rows of a table for which the expression holds; all of them without one."""
    if not expression:
        return table
    try:
        return table.filter(parse_where(expression, table.column_names))
    except pa.ArrowException as error:
        raise _incomparable(expression, error) from None


def _incomparable(expression: str, error: Exception) -> UsageError:
    reason = str(error).replace("\n", " ")
    return UsageError(f"--where {_shortened(expression)} compares what cannot be compared ({reason})", remedy=_EXAMPLE)


def _shortened(expression: str) -> str:
    return repr(expression if len(expression) <= 200 else expression[:197] + "...")


def _balanced(join: Callable[[Any, Any], Any], parts: list[Any]) -> Any:
    """Join conditions as a tree of little depth: Arrow walks it recursively."""
    while len(parts) > 1:
        joined = [join(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = joined + parts[2 * len(joined) :]
    return parts[0]


class _Translator:
    def __init__(self, expression: str, known: set[str]) -> None:
        self.expression = expression
        self.known = known

    def condition(self, node: ast.expr) -> Any:
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return _balanced(join, [self.condition(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            return self.comparison(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.refused(node)

    def comparison(self, node: ast.Compare) -> Any:
        sides = [node.left, *node.comparators]
        parts = [
            self.one_comparison(left, sign, right)
            for left, sign, right in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return _balanced(operator.and_, parts)

    def one_comparison(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(sign, (ast.In, ast.NotIn)):
            values = self.constant(right)
            if not isinstance(values, (tuple, list)):
                raise self.refused(right)
            column = self.column(left)
            # An empty list has no type that could match the column's.
            inside = column.isin(list(values)) if values else ~(column.is_null() | column.is_valid())
            return inside if isinstance(sign, ast.In) else ~inside
        if self.is_none(left) and isinstance(sign, (ast.Eq, ast.NotEq)):
            left, right = right, left
        if self.is_none(right) and isinstance(sign, (ast.Is, ast.Eq, ast.IsNot, ast.NotEq)):
            absent = self.column(left).is_null()
            return absent if isinstance(sign, (ast.Is, ast.Eq)) else ~absent
        compare = _COMPARISONS.get(type(sign))
        if compare is None or self.is_none(left) or self.is_none(right):
            raise self.refused(right)
        return compare(self.operand(left), self.operand(right))

    def call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _FUNCTIONS or len(node.args) != 2 or node.keywords:
            raise self.refused(node)
        text = self.constant(node.args[1])
        if not isinstance(text, str):
            raise self.refused(node.args[1])
        return _FUNCTIONS[name](self.column(node.args[0]), text)

    def operand(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.column(node)
        value = self.constant(node)
        if not isinstance(value, (bool, int, float, str)):
            raise self.refused(node)
        return pc.scalar(value)

    def column(self, node: ast.expr) -> Any:
        if not isinstance(node, ast.Name):
            raise self.refused(node)
        if node.id not in self.known:
            raise UsageError(
                f"--where {_shortened(self.expression)}: the record table has no column {node.id!r}",
                remedy=nearest(node.id, self.known) or f"Columns are {', '.join(sorted(self.known))}.",
            )
        return pc.field(node.id)

    def constant(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            raise self.refused(node) from None

    @staticmethod
    def is_none(node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and node.value is None

    def refused(self, node: ast.expr) -> UsageError:
        part = _shortened(ast.unparse(node))
        return UsageError(f"--where {_shortened(self.expression)}: {part} is not allowed there", remedy=_EXAMPLE)
