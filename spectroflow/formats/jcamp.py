"""JCAMP-DX: infrared, Raman and other spectra as labelled text, in every form of number.

``XYDATA`` in AFFN, PAC, SQZ, DIF and DIFDUP, ``XYPOINTS``, ``PEAK TABLE``, ``NTUPLES`` with pages, and
files of several blocks. The ``jcamp`` package reads a part of that and returns wrong lengths with a
printed remark for other parts, so the forms are decoded here and every check of the standard counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.asdf import MOST_POINTS, decode_ordinates, decode_pairs
from spectroflow.formats.base import (
    FloatArray,
    MetadataValue,
    Probe,
    RawRecord,
    decode,
    linear_axis,
    number,
    suffix,
)
from spectroflow.formats.units import axis_unit

_LABEL = re.compile(r"^[ \t]*##([^=\n]*)=", re.MULTILINE)
_BEGINS = re.compile(rb"(\$\$[^\n]*\n\s*)*##\s*TITLE\s*=", re.IGNORECASE)
_IS_JCAMP = re.compile(rb"##\s*(JCAMP.?DX|XYDATA|XYPOINTS|PEAK.?TABLE|NTUPLES)\s*=", re.IGNORECASE)
_REMARK = re.compile(r"\$\$.*$", re.MULTILINE)
_TABLES = frozenset({"XYDATA", "XYPOINTS", "PEAKTABLE", "DATATABLE", "RADATA"})
_PER_BLOCK = ("DATATYPE", "TITLE")
_LONGEST_VALUE = 300
_MOST_RECORDS = 100_000

_COLUMNS = {
    "SPECTROMETERDATASYSTEM": "instrument",
    "INSTRUMENTPARAMETERS": "instrument_parameters",
    "DATE": "date",
    "LONGDATE": "date",
    "RESOLUTION": "resolution",
    "STATE": "state",
    "SAMPLEDESCRIPTION": "description",
    "SAMPLINGPROCEDURE": "sampling",
    "DATAPROCESSING": "processing",
    "CASREGISTRYNO": "cas_number",
    "CASNAME": "cas_name",
    "ORIGIN": "origin_of_file",
    "OWNER": "owner",
    "TEMPERATURE": "temperature",
    "PATHLENGTH": "path_length",
    "$SAMPLEID": "sample_id",
    "$LASER": "laser",
    "$SPECTRUMORIGIN": "origin",
}


@dataclass(slots=True)
class _Block:
    """The labels of one block, and where its tables are."""

    labels: dict[str, str] = field(default_factory=dict)
    tables: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


class Jcamp:
    """JCAMP-DX 4 and 5."""

    name = "jcamp"
    extensions: tuple[str, ...] = (".jdx", ".dx", ".jcm", ".jcamp")

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it begins with ``##TITLE=``, or is called so and is text with labels."""
        start = head[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
        if suffix(name) in self.extensions:
            return not start or b"##" in start
        return bool(_BEGINS.match(start)) and bool(_IS_JCAMP.search(head))

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the tables; their numbers are not decoded."""
        return Probe(tuple(_modality(block.labels) for block, _, _, _ in _tables(data, name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one spectrum per table, in the order of the file."""
        tables = _tables(data, name)
        records = []
        for index, (block, form, body, page) in enumerate(tables):
            pairs = "XYXY" in _form(body) or form in {"XYPOINTS", "PEAKTABLE"}
            raw = (_read_pairs if pairs else _read_ordinates)(block.labels, body, page, name)
            if form == "PEAKTABLE" or "PEAKS" in body.split("\n", 1)[0].upper():
                raw.flags = ("STICKS",)
            if len(tables) > 1:
                raw.metadata["spectrum"] = index
            records.append(raw)
        return records


def _tables(data: bytes, name: str) -> list[tuple[_Block, str, str, dict[str, str]]]:
    """Return every table with its block, label, text and the labels of its page."""
    if not data.strip():
        raise RecordError("EMPTY_FILE", "the file is empty", where=name, remedy="Export the spectrum again.")
    found = [(block, *table) for block in _blocks(decode(data)) for table in block.tables]
    if not found:
        raise RecordError("NO_DATA", "there is no table of data in it", where=name, remedy="Export the spectrum again.")
    if len(found) > _MOST_RECORDS:
        raise RecordError("HOSTILE_FILE", f"it has {len(found)} tables", where=name, remedy="Split the file.")
    return found


def _blocks(text: str) -> list[_Block]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    labels = list(_LABEL.finditer(text))
    done: list[_Block] = []
    stack: list[_Block] = []
    page: dict[str, str] = {}
    in_page = False
    for index, match in enumerate(labels):
        end = labels[index + 1].start() if index + 1 < len(labels) else len(text)
        key = re.sub(r"[ \t\-/_]", "", match.group(1)).upper()
        value = text[match.end() : end]
        if key == "TITLE" or not stack:
            # A block inherits nothing; a compound file's outer block only names the whole.
            stack.append(_Block())
            page, in_page = {}, False
            done.append(stack[-1])
        if key == "END":
            stack.pop()
            continue
        if key == "PAGE":
            page, in_page = {"PAGE": _value(value)}, True
        elif key.startswith("ENDNTUPLES"):
            in_page = False
        elif key in _TABLES:
            stack[-1].tables.append((key, value, dict(page)))
        elif in_page:
            page[key] = _value(value)
        else:
            stack[-1].labels.setdefault(key, _value(value))
    return done


def _value(text: str) -> str:
    return " ".join(_REMARK.sub("", text).split())[:_LONGEST_VALUE]


def _form(body: str) -> str:
    first = body.split("\n", 1)[0]
    return re.sub(r"[\s().+]", "", first.split("$$")[0]).upper().replace("XY,XY", "XYXY")


def _rows(body: str) -> str:
    parts = body.split("\n", 1)
    return _REMARK.sub("", parts[1]) if len(parts) > 1 else ""


def _symbols(labels: dict[str, str], body: str) -> tuple[int, int] | None:
    """Return the columns of the NTUPLES labels that the axis and the ordinate of a table have."""
    if "SYMBOL" not in labels:
        return None
    symbols = [symbol.strip().upper() for symbol in labels["SYMBOL"].split(",")]
    match = re.match(r"\s*\(\s*([A-Z])\s*(?:\+\+\s*\(\s*)?([A-Z])", body.upper())
    if match is None or match.group(1) not in symbols or match.group(2) not in symbols:
        return None
    return symbols.index(match.group(1)), symbols.index(match.group(2))


def _pick(labels: dict[str, str], key: str, column: int) -> str:
    parts = labels.get(key, "").split(",")
    return parts[column].strip() if column < len(parts) else ""


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a table needs to become numbers with units."""

    first: float | None
    last: float | None
    points: int | None
    x_factor: float
    y_factor: float
    x_unit: str | None
    y_unit: str | None


def _scale(labels: dict[str, str], page: dict[str, str], body: str, name: str) -> _Scale:
    columns = _symbols(labels, body)
    if columns is None:
        get = labels.get
        points, first, last = get("NPOINTS", ""), get("FIRSTX", ""), get("LASTX", "")
        x_factor, y_factor, x_unit, y_unit = get("XFACTOR"), get("YFACTOR"), get("XUNITS"), get("YUNITS")
    else:
        x, y = columns
        first, last = page.get("FIRST", "").split(",")[0] or _pick(labels, "FIRST", x), _pick(labels, "LAST", x)
        points = page.get("NPOINTS", "") or _pick(labels, "VARDIM", x)
        x_factor, y_factor = _pick(labels, "FACTOR", x), _pick(labels, "FACTOR", y)
        x_unit, y_unit = _pick(labels, "UNITS", x), _pick(labels, "UNITS", y)
    count = number(points) if points else None
    if count is not None and not 0 <= count <= MOST_POINTS:
        raise RecordError(
            "HOSTILE_FILE",
            f"its header declares {count:.0f} points",
            where=name,
            remedy="The header of the file is damaged; export the spectrum again.",
        )
    return _Scale(
        number(first) if first else None,
        number(last) if last else None,
        None if count is None else int(count),
        _factor(x_factor),
        _factor(y_factor),
        x_unit or None,
        y_unit or None,
    )


def _factor(text: str | None) -> float:
    value = number(text) if text else None
    return 1.0 if value is None or value == 0 else value


def _read_pairs(labels: dict[str, str], body: str, page: dict[str, str], name: str) -> RawRecord:
    if "XYW" in _form(body) or "XYA" in _form(body) or "XYM" in _form(body):
        raise RecordError(
            "UNSUPPORTED_DIALECT", f"a table of the form {_form(body)} holds no spectrum", where=name, remedy=_SPECTRUM
        )
    scale = _scale(labels, page, body, name)
    x, y = decode_pairs(_rows(body), where=name)
    if scale.points is not None and x.size < scale.points:
        raise _short(x.size, scale.points, name)
    return _record(labels, page, x * scale.x_factor, y * scale.y_factor, scale)


_SPECTRUM = "Export the spectrum itself."


def _read_ordinates(labels: dict[str, str], body: str, page: dict[str, str], name: str) -> RawRecord:
    scale = _scale(labels, page, body, name)
    values, marks = decode_ordinates(_rows(body), scale.points, where=name)
    if not values:
        raise RecordError("NO_DATA", "its table of data is empty", where=name, remedy=_SPECTRUM)
    if scale.points is not None and len(values) < scale.points:
        raise _short(len(values), scale.points, name)
    if scale.points is not None and len(values) > scale.points:
        raise RecordError(
            "BAD_NUMBER",
            f"its table holds {len(values)} points where the header says {scale.points}",
            where=name,
            remedy="The file is damaged; export the spectrum again.",
        )
    axis = _axis(scale, marks, len(values), name)
    _check_abscissas(axis, marks, scale, name)
    intensity = np.array(values, dtype=np.float64) * scale.y_factor
    return _record(labels, page, axis, intensity, scale)


def _axis(scale: _Scale, marks: list[tuple[int, float]], points: int, name: str) -> FloatArray:
    first = scale.first if scale.first is not None else marks[0][1] * scale.x_factor
    if scale.last is not None:
        return linear_axis(first, scale.last, points, where=name)
    if len(marks) > 1 and marks[-1][0] > 0:
        step = (marks[-1][1] * scale.x_factor - first) / marks[-1][0]
        return linear_axis(first, first + step * (points - 1), points, where=name)
    raise RecordError("BAD_AXIS", "its header has no LASTX", where=name, remedy="Export the spectrum again.")


def _check_abscissas(axis: FloatArray, marks: list[tuple[int, float]], scale: _Scale, name: str) -> None:
    """Compare the abscissa that begins each line with the regular axis; a lost line shows here."""
    if axis.size < 3:
        return
    step = abs(axis[1] - axis[0])
    index = np.array([mark[0] for mark in marks])
    told = np.array([mark[1] for mark in marks])
    known = np.isfinite(told) & (index < axis.size)
    index, told = index[known], told[known]
    # Some writers scale the abscissas by XFACTOR and some have done so already.
    worst = min(float(np.max(np.abs(told * factor - axis[index]), initial=0.0)) for factor in {scale.x_factor, 1.0})
    coarse = max(1.0, abs(scale.x_factor))
    if worst > 2.0 * step + coarse:
        raise RecordError(
            "BAD_AXIS",
            f"a line of its table begins {worst:g} away from where the header puts it",
            where=name,
            remedy="The file is damaged; export the spectrum again.",
        )


def _short(found: int, declared: int, name: str) -> RecordError:
    return RecordError(
        "TRUNCATED",
        f"its table holds {found} points where the header says {declared}",
        where=name,
        remedy="The file is damaged; export the spectrum again.",
    )


def _record(
    labels: dict[str, str], page: dict[str, str], axis: FloatArray, intensity: FloatArray, scale: _Scale
) -> RawRecord:
    metadata: dict[str, MetadataValue] = {"data_type": labels.get("DATATYPE", "")}
    for key, column in _COLUMNS.items():
        if labels.get(key) and column not in metadata:
            metadata[column] = labels[key]
    sample_id = str(metadata.pop("sample_id", "")) or None
    laser = number(metadata.pop("laser", ""))
    if laser is not None:
        metadata["laser"] = laser
    if page.get("PAGE"):
        metadata["page"] = page["PAGE"]
    return RawRecord(
        axis=axis,
        intensity=intensity,
        axis_unit=scale.x_unit,
        intensity_unit=scale.y_unit,
        modality=_modality(labels),
        sample_id=sample_id,
        label=labels.get("TITLE") or None,
        formula=labels.get("MOLFORM") or None,
        metadata={key: value for key, value in metadata.items() if value != ""},
    )


def _modality(labels: dict[str, str]) -> str | None:
    if labels.get("$MODALITY"):
        return labels["$MODALITY"].lower()
    kind = labels.get("DATATYPE", "").upper()
    for word, modality in (("INFRARED", "ir"), ("RAMAN", "raman"), ("DIFFRACTION", "xrd"), ("X-RAY", "xrd")):
        if word in kind:
            return modality
    if kind:
        return kind.lower()
    optical = labels.get("YUNITS", "").upper().startswith(("TRANSM", "ABSORB", "%T", "REFLECT"))
    return "ir" if optical and axis_unit(labels.get("XUNITS")) == "cm-1" else None
