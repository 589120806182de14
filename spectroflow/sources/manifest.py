"""The manifest: a CSV file that says what files are that do not say it themselves.

Columns ``path``, ``sample_id``, ``label``, ``modality`` and ``formula`` (``path`` and any of the others)
mean what they say; every other column becomes metadata. Paths are relative to the manifest's folder.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spectroflow.config import nearest
from spectroflow.errors import InvalidInput
from spectroflow.formats.base import RawRecord, decode, number
from spectroflow.storage import Location

_CLOSE = 0.8
"""How alike two names are of which one is probably the other, misspelt."""

KNOWN_COLUMNS = ("path", "sample_id", "label", "modality", "formula")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of one file. Values are None where the cell is empty or the column is not there."""

    sample_id: str | None = None
    label: str | None = None
    modality: str | None = None
    formula: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as it stands in catalogues and planned rows; a changed text means a changed entry."""
        values = {key: getattr(self, key) for key in KNOWN_COLUMNS[1:] if getattr(self, key) is not None}
        return json.dumps({**values, "metadata": dict(self.metadata)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Return the entry that :meth:`to_json` wrote; an empty text is an empty entry."""
        return cls(**json.loads(text)) if text else cls()


@dataclass(frozen=True, slots=True)
class Manifest:
    """All entries, by the name of their source.

    Attributes
    ----------
    location
        The manifest itself, which is not a source.
    entries
        What is said of each source.
    repeated
        Sources that are listed more than once with the same values.
    doubtful
        Columns that are kept as metadata although they are called nearly as one of ours, each with what was
        probably meant.
    """

    location: Location
    entries: Mapping[str, Entry]
    repeated: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def read_manifest(path: str, columns: Mapping[str, str] | None = None) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    path
        A path or URL of a CSV file in UTF-8; commas, semicolons or tabs between columns.
    columns
        Our column name to the name it has in this file, as in ``{"sample_id": "rruff_id"}``.

    Raises
    ------
    InvalidInput
        It cannot be read, has no ``path`` column, lacks a column that ``columns`` names, or lists one
        path twice with different values.
    """
    location = Location.parse(path)
    try:
        text = decode(location.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidInput("there is no such manifest", where=path, remedy="Check --manifest.") from None
    if not text.strip():
        raise InvalidInput("the manifest is empty", where=path, remedy="Give it a line of column names.")
    first = text.splitlines()[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    titles = [title.strip() for title in next(reader)]
    places = _places(titles, dict(columns or {}), path)
    extras = [(i, title) for i, title in enumerate(titles) if title and i not in places.values()]
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    repeated: list[str] = []
    folder = location.parent
    for row in _rows(reader, path):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(titles):
            row = [*row, *[""] * (len(titles) - len(row))]
        name = row[places["path"]].strip()
        if not name:
            raise InvalidInput(f"line {reader.line_num} has no path", where=path, remedy="Complete or remove it.")
        source = _resolve(folder, name)
        values = {key: row[place].strip() or None for key, place in places.items() if key != "path"}
        entry = Entry(**values, metadata={title: row[i].strip() for i, title in extras if row[i].strip()})
        if source in entries:
            if entries[source] != entry:
                raise InvalidInput(
                    f"lines {lines[source]} and {reader.line_num} say different things of {name}",
                    where=path,
                    remedy="Keep one of them.",
                )
            repeated.append(source)
        entries[source] = entry
        lines[source] = reader.line_num
    free = set(KNOWN_COLUMNS) - set(places)
    close = ((title, difflib.get_close_matches(title.lower(), free, n=1, cutoff=_CLOSE)) for _, title in extras)
    doubtful = tuple(f"{title!r}. Did you mean {meant[0]!r}?" for title, meant in close if meant)
    return Manifest(location, entries, tuple(repeated), doubtful)


def apply_entry(raw: RawRecord, entry: Entry) -> RawRecord:
    """Return a record with what the manifest says of it laid over what its file says."""
    raw.sample_id = entry.sample_id or raw.sample_id
    raw.label = entry.label or raw.label
    raw.formula = entry.formula or raw.formula
    raw.modality = entry.modality or raw.modality
    for key, value in entry.metadata.items():
        as_number = number(value) if key in {"laser", "wavelength"} else None
        raw.metadata[key] = value if as_number is None else as_number
    return raw


def _rows(reader: Iterator[list[str]], path: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InvalidInput(f"not a valid CSV file: {error}", where=path, remedy="Correct that line.") from None


def _places(titles: list[str], columns: dict[str, str], path: str) -> dict[str, int]:
    for ours, theirs in columns.items():
        if ours not in KNOWN_COLUMNS:
            raise InvalidInput(
                f"convert.manifest_columns names {ours!r}, which is no column of ours",
                where=path,
                remedy=nearest(ours, KNOWN_COLUMNS) or f"Known are {', '.join(KNOWN_COLUMNS)}.",
            )
        if theirs not in titles:
            raise InvalidInput(
                f"the manifest has no column {theirs!r}",
                where=path,
                remedy=nearest(theirs, titles) or f"It has {', '.join(titles)}.",
            )
    lower = [title.lower() for title in titles]
    places = {name: lower.index(name) for name in KNOWN_COLUMNS if name in lower}
    places.update({ours: titles.index(theirs) for ours, theirs in columns.items()})
    if "path" not in places:
        raise InvalidInput(
            "the manifest has no column 'path'",
            where=path,
            remedy="Add one, or name it: --set convert.manifest_columns.path=NAME.",
        )
    return places


def _resolve(folder: Location, name: str) -> str:
    """Return the source that a path in a manifest means; Windows' separators count as well."""
    name = name.replace("\\", "/")
    if "://" in name or name.startswith("/"):
        return str(Location.parse(name))
    if folder.is_local:
        return str(Location.parse(f"{folder.path}/{name}"))
    return str(folder / "/".join(part for part in name.split("/") if part != "."))
