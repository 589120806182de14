"""Filters on the record table: ``label == "Quartz" and laser in (532, 785)``.

An expression is read as Python, but only comparisons, ``and``, ``or``, ``not``, ``in``, the constants
and the four functions below are allowed; nothing is ever evaluated as code.
"""

from __future__ import annotations

import ast
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
    known = set(columns)
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError):
        raise UsageError(f"--where {expression!r} is not an expression", remedy=_EXAMPLE) from None
    return _Translator(expression, known).condition(tree.body)


def select(table: pa.Table, expression: str | None) -> pa.Table:
    """Return the rows of a table for which the expression holds; all of them without one."""
    if not expression:
        return table
    try:
        return table.filter(parse_where(expression, table.column_names))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise UsageError(
            f"--where {expression!r} compares what cannot be compared ({error})".replace("\n", " "), remedy=_EXAMPLE
        ) from None


class _Translator:
    def __init__(self, expression: str, known: set[str]) -> None:
        self.expression = expression
        self.known = known

    def condition(self, node: ast.expr) -> Any:
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            result = parts[0]
            for part in parts[1:]:
                result = result & part if isinstance(node.op, ast.And) else result | part
            return result
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            return self.comparison(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.refused(node)

    def comparison(self, node: ast.Compare) -> Any:
        left, result = node.left, None
        for operator, right in zip(node.ops, node.comparators, strict=True):
            part = self.one_comparison(left, operator, right)
            result = part if result is None else result & part
            left = right
        return result

    def one_comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Any:
        if isinstance(operator, (ast.In, ast.NotIn)):
            values = self.constant(right)
            if not isinstance(values, (tuple, list)):
                raise self.refused(right)
            inside = self.operand(left).isin(list(values))
            return inside if isinstance(operator, ast.In) else ~inside
        if isinstance(operator, (ast.Is, ast.IsNot)) or self.is_none(right):
            if not self.is_none(right):
                raise self.refused(right)
            absent = self.operand(left).is_null()
            return absent if isinstance(operator, (ast.Is, ast.Eq)) else ~absent
        compare = _COMPARISONS.get(type(operator))
        if compare is None:
            raise self.refused(left)
        return compare(self.operand(left), self.operand(right))

    def call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _FUNCTIONS or len(node.args) != 2 or node.keywords:
            raise self.refused(node)
        text = self.constant(node.args[1])
        if not isinstance(text, str):
            raise self.refused(node.args[1])
        return _FUNCTIONS[name](self.operand(node.args[0]), text)

    def operand(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            if node.id not in self.known:
                raise UsageError(
                    f"--where {self.expression!r}: the record table has no column {node.id!r}",
                    remedy=nearest(node.id, self.known) or f"Columns are {', '.join(sorted(self.known))}.",
                )
            return pc.field(node.id)
        return pc.scalar(self.constant(node))

    def constant(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            raise self.refused(node) from None

    @staticmethod
    def is_none(node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and node.value is None

    def refused(self, node: ast.expr) -> UsageError:
        part = ast.unparse(node)
        return UsageError(f"--where {self.expression!r}: {part!r} is not allowed there", remedy=_EXAMPLE)
