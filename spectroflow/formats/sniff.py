"""Finding out how a text file with columns of numbers is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from spectroflow.errors import RecordError
from spectroflow.formats.base import MetadataValue, suffix
from spectroflow.formats.columns import WHITESPACE
from spectroflow.formats.titles import Title, modality_of, read_title

HEADER_LINES = 1000
_SAMPLE_LINES = 40
_MOST_COLUMNS = 4096
_MOST_METADATA = 64
_LONGEST_VALUE = 200

_POINT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?(?:\d+(?:,\d+)?|,\d+)(?:[eEdD][-+]?\d+)?")
_MISSING = frozenset({"", "nan", "na", "n/a", "inf", "-inf", "+inf", "null", "-"})

# In order of preference where a line can be read in several ways with the same result.
_DIALECTS = (("\t", False), (";", False), (",", False), ("\t", True), (";", True), ("", False), ("", True))


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file with columns of numbers is written.

    Attributes
    ----------
    start
        Character at which the first row of numbers begins.
    delimiter
        The byte between columns, or :data:`~spectroflow.formats.columns.WHITESPACE`.
    decimal_comma
        Whether numbers are written ``1,5``.
    axis, intensities
        Columns that hold them.
    titles
        One per column, or none at all.
    modality
        What the titles imply, or None.
    metadata
        ``key: value`` lines before the numbers.
    assumed
        Whether the meaning of a third column was taken from its values alone.
    """

    start: int
    delimiter: int
    decimal_comma: bool
    axis: int
    intensities: tuple[int, ...]
    titles: tuple[Title, ...] = ()
    modality: str | None = None
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    assumed: bool = False


def sniff(text: str, name: str) -> Layout:
    """Find out how a file is written from its first part.

    Parameters
    ----------
    text
        The first 64 KiB or so, decoded.
    name
        The file's name; ``.xye`` says what a third column is.

    Raises
    ------
    RecordError
        ``EMPTY_FILE``, ``NOT_A_SPECTRUM`` if there are no two rows of numbers in two columns,
        ``UNSUPPORTED_DIALECT`` if a comma may be a decimal sign as well as a delimiter.
    """
    if not text.strip():
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy="Export the spectrum again.")
    lines = text.splitlines(keepends=True)
    if len(lines) > _SAMPLE_LINES and not lines[-1].endswith(("\n", "\r")):
        lines.pop()
    first, dialect = _first_row(lines, name)
    delimiter, comma = dialect
    rows = [_fields(line, delimiter) for line in _rows(lines[first : first + 4 * _SAMPLE_LINES])[:_SAMPLE_LINES]]
    width = _width(rows, delimiter, name)
    if delimiter == "," and width >= 4 and width % 2 == 0 and all(_all_digits(row[:width]) for row in rows):
        raise RecordError(
            "UNSUPPORTED_DIALECT",
            "commas may be decimal signs or delimiters here",
            where=name,
            remedy="Export with decimal points, or with semicolons or tabs between columns.",
        )
    titles = _titles(lines[:first], delimiter, width)
    axis, intensities, assumed = _roles(titles, width, rows, comma, name)
    return Layout(
        start=sum(map(len, lines[:first])),
        delimiter=ord(delimiter) if delimiter else WHITESPACE,
        decimal_comma=comma,
        axis=axis,
        intensities=intensities,
        titles=titles,
        modality=modality_of(titles),
        metadata=_metadata(lines[: first - 1 if titles else first]),
        assumed=assumed,
    )


def _rows(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip() and line.lstrip()[0] not in "#%!"]


def _fields(line: str, delimiter: str) -> list[str]:
    return [part.strip() for part in line.strip("\r\n").split(delimiter)] if delimiter else line.split()


def _is_row(line: str, delimiter: str, comma: bool) -> bool:
    fields = _fields(line, delimiter)
    pattern = _COMMA if comma else _POINT
    return (
        len(fields) >= 2
        and pattern.fullmatch(fields[0]) is not None
        and (pattern.fullmatch(fields[1]) is not None or fields[1].lower() in _MISSING)
    )


def _first_row(lines: list[str], name: str) -> tuple[int, tuple[str, bool]]:
    """Return the line where the numbers begin and the dialect that reads most of what follows."""
    for index, line in enumerate(lines[:HEADER_LINES]):
        if not line.strip() or line.lstrip()[0] in "#%!" or not any(c.isdigit() for c in line):
            continue
        candidates = [dialect for dialect in _DIALECTS if _is_row(line, *dialect)]
        if not candidates:
            continue
        following = _rows(lines[index : index + 2 * _SAMPLE_LINES])[:_SAMPLE_LINES]
        score = {dialect: sum(_is_row(row, *dialect) for row in following) for dialect in candidates}
        best = max(candidates, key=lambda dialect: score[dialect])
        if score[best] >= min(2, len(following)):
            return index, best
    raise RecordError(
        "NOT_A_SPECTRUM",
        "there are no rows of two or more numbers in it",
        where=name,
        remedy="Leave it out, or export the spectrum as two columns.",
    )


def _width(rows: list[list[str]], delimiter: str, name: str) -> int:
    """Return the number of columns that every sampled row has, trailing delimiters aside."""
    widths = {len(row) for row in rows}
    width = min(widths)
    if not delimiter and len(widths) > 1:
        raise RecordError(
            "UNSUPPORTED_DIALECT",
            f"its rows have {width} to {max(widths)} columns",
            where=name,
            remedy="Export it as one row per point.",
        )
    while width > 2 and all(row[width - 1] == "" for row in rows):
        width -= 1
    return min(width, _MOST_COLUMNS)


def _all_digits(row: list[str]) -> bool:
    return all(field.isdigit() for field in row)


def _titles(header: list[str], delimiter: str, width: int) -> tuple[Title, ...]:
    """Return the titles in the last line before the numbers, if it has one per column."""
    for line in reversed(header):
        if not line.strip():
            continue
        text = line.strip().lstrip("#%!;").strip(" ") if line.lstrip()[:1] in "#%!;" else line.rstrip("\r\n")
        fields = _fields(text, delimiter)
        while len(fields) > width and fields[-1] == "":
            fields.pop()
        if len(fields) != width and not delimiter:
            fields = [part for part in re.split(r"\t|\s{2,}|,", text.strip()) if part]
        if len(fields) != width:
            return ()
        titles = tuple(read_title(field) for field in fields)
        return titles if any(title.kind for title in titles) or (delimiter and not "".join(fields).isdigit()) else ()
    return ()


def _roles(
    titles: tuple[Title, ...], width: int, rows: list[list[str]], comma: bool, name: str
) -> tuple[int, tuple[int, ...], bool]:
    """Return the axis column, the intensity columns, and whether the values had to decide."""
    axis = next((i for i, title in enumerate(titles) if title.kind == "axis"), 0)
    others = [i for i in range(width) if i != axis and not (titles and titles[i].kind in {"uncertainty", "axis"})]
    if titles and titles[0].text == "" and axis > 0:
        others = [i for i in others if i != 0]
    named = [i for i in others if titles and titles[i].kind == "intensity"]
    if named and len(named) < len(others):
        others = named
    if width == 3 and not titles:
        if suffix(name) == ".xye":
            return axis, (1,), False
        return axis, ((1,) if _poisson(rows, comma) else (1, 2)), True
    if not others:
        raise RecordError(
            "NOT_A_SPECTRUM", "no column holds intensities", where=name, remedy="Name the columns in the first line."
        )
    return axis, tuple(others), False


def _poisson(rows: list[list[str]], comma: bool) -> bool:
    """Say whether the third column is the square root of the second, as counting errors are."""
    near = 0
    for row in rows:
        try:
            count, sigma = (float(field.replace(",", ".") if comma else field) for field in row[1:3])
        except ValueError:
            return False
        near += count >= 0 and abs(sigma - count**0.5) <= 0.02 * max(sigma, 1e-9) + 0.5e-2
    return near >= 0.9 * len(rows)


def _metadata(header: list[str]) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for line in header:
        text = line.strip().lstrip("#%!;/*'").strip().strip('"')
        match = re.match(r"([A-Za-z][\w .()\[\]/%°-]{0,60}?)\s*[:=\t]\s*(.+)", text)
        if match is None or len(metadata) >= _MOST_METADATA:
            continue
        key = re.sub(r"[^a-z0-9]+", "_", match.group(1).lower()).strip("_")
        value = match.group(2).strip().strip('"')[:_LONGEST_VALUE]
        if key and value:
            metadata.setdefault(key, value)
    return metadata
