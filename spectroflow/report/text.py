"""Escaped HTML from text and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape as _escape

from spectroflow.report.page import Cell, Column, Value

NOTHING = '<span class="nothing" title="not known">–</span>'


def escape(text: object) -> str:
    """Return text in which nothing is markup."""
    return _escape(str(text), quote=True)


def tag(name: str, content: str, **attributes: str) -> str:
    """Return an element; ``content`` is HTML, attribute values are text (``class_`` is ``class``)."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value
    )
    return f"<{name}{shown}>{content}</{name}>"


def number(value: float | int, digits: int = 3) -> str:
    """Return a number as people write it: thin spaces between thousands, a real minus sign."""
    if isinstance(value, float) and not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if isinstance(value, int):
        text = f"{value:,}"
    elif value and (abs(value) >= 1e6 or abs(value) < 10.0 ** -(digits + 1)):
        mantissa, exponent = f"{value:.{min(digits, 3)}e}".split("e")
        text = f"{mantissa} × 10^{int(exponent)}"
    else:
        text = f"{value:,.{digits}f}"
    return text.replace(",", "\u2009").replace("-", "−")


def cell(value: Cell, *, with_unit: bool = True) -> str:
    """Return a cell's content as HTML: number, unit and interval, or a dash."""
    if not isinstance(value, Value):
        value = Value(value)
    if value.number is None or (isinstance(value.number, float) and math.isnan(value.number)):
        return NOTHING
    shown = escape(value.number if isinstance(value.number, str) else number(value.number, value.digits))
    unit = f'\u202f<span class="unit">{escape(unit_text(value.unit))}</span>' if value.unit and with_unit else ""
    interval = ""
    if value.low is not None and value.high is not None and not math.isnan(value.low + value.high):
        limits = f"{number(value.low, value.digits)} to {number(value.high, value.digits)}"
        interval = f' <span class="interval">({escape(limits)})</span>'
    return shown + unit + interval


def unit_text(unit: str) -> str:
    """Return a unit as people write it."""
    return {"cm-1": "cm⁻¹", "deg": "°", "angstrom": "Å", "um": "µm"}.get(unit, unit)


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, caption: str = "", classes: Sequence[str] = ()
) -> str:
    """Return a table that scrolls sideways on a narrow screen.

    Parameters
    ----------
    rows
        HTML of the cells; the first of each row is its header. A row of one cell heads the rows below it.
    classes
        One class name for each row, or none.
    """
    head = "".join(
        f'<th scope="col"{_numeric(column)}>{escape(column.title)}'
        + (f'<br><span class="unit">{escape(unit_text(column.unit))}</span>' if column.unit else "")
        + "</th>"
        for column in columns
    )
    body = []
    for index, row in enumerate(rows):
        kind = f' class="{escape(classes[index])}"' if classes and classes[index] else ""
        if len(row) == 1 < len(columns):
            body.append(f'<tr{kind}><th scope="rowgroup" colspan="{len(columns)}">{row[0]}</th></tr>')
            continue
        first, *rest = row
        cells = f'<th scope="row"{_numeric(columns[0])}>{first}</th>'
        cells += "".join(
            f"<td{_numeric(column)}>{content}</td>" for column, content in zip(columns[1:], rest, strict=True)
        )
        body.append(f"<tr{kind}>{cells}</tr>")
    # A heading above says the same to those who see; the caption says it to those who do not.
    title = f'<caption class="hidden">{escape(caption)}</caption>' if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption or "table")}"><table>{title}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def source_line(source: str) -> str:
    """Return the line that says where figures come from, or nothing."""
    return f'<p class="source">Source: {escape(source)}</p>' if source else ""


def _numeric(column: Column) -> str:
    return ' class="number"' if column.numeric else ""
