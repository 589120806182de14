"""Plain columns of numbers: ``.xy``, ``.xye``, ``.csv``, ``.tsv``, ``.txt`` and their like."""

from __future__ import annotations

from spectroflow.errors import RecordError
from spectroflow.formats.base import HEAD_BYTES, MetadataValue, Probe, RawRecord, decode, number, suffix
from spectroflow.formats.columns import Dialect, parse_columns
from spectroflow.formats.names import modality_in
from spectroflow.formats.sniff import Layout, sniff

_CERTAIN = frozenset({".xy", ".xye"})
_LIKELY = frozenset({".csv", ".tsv", ".txt", ".dat", ".asc", ".prn", ".tab"})
_UNIT_KEYS = (("xunits", "axisunit_1"), ("yunits", "axisunit_0"))
"""Header lines that name units, in JASCO's and in LabSpec's text files."""

_FIRST_LOOK = 4 << 10
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class ColumnsText:
    """Text with one row per point: position, intensity, and possibly more columns.

    Delimiter, decimal comma, header lines and the meaning of columns are sniffed from the first lines.
    """

    name = "columns"
    extensions: tuple[str, ...] = (*sorted(_CERTAIN), *sorted(_LIKELY))

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is text with rows of numbers; ``.xy`` and ``.xye`` need not prove it."""
        extension = suffix(name)
        if extension not in _CERTAIN and extension not in _LIKELY:
            return False
        if b"\0" in head and head[:2] not in _UTF16:
            return False
        if extension in _CERTAIN or not head.strip():
            return True
        try:
            _layout(head, name)
        except RecordError as error:
            return error.code == "UNSUPPORTED_DIALECT"
        return True

    def probe(self, data: bytes, name: str) -> Probe:
        """Return one entry per column of intensities."""
        layout = _layout(data, name)
        return Probe((_modality(layout, name),) * len(layout.intensities))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return one spectrum per column of intensities."""
        data = _plain_bytes(data)
        layout = _layout(data, name)
        order = tuple(sorted({layout.axis, *layout.intensities}))
        start = len(_text(data)[: layout.start].encode(_codec(data))) + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        values = parse_columns(data, Dialect(layout.delimiter, layout.decimal_comma, order), start, where=name)
        axis = values[:, order.index(layout.axis)]
        x_unit, y_unit = (_told_unit(layout, keys) for keys in _UNIT_KEYS)
        return [
            RawRecord(
                axis=axis.copy(),
                intensity=values[:, order.index(column)].copy(),
                axis_unit=(layout.titles[layout.axis].unit if layout.titles else None) or x_unit,
                intensity_unit=(layout.titles[column].unit if layout.titles else None) or y_unit,
                modality=_modality(layout, name),
                metadata=_metadata(layout, place, column),
                flags=("COLUMNS_ASSUMED",) if layout.assumed else (),
            )
            for place, column in enumerate(layout.intensities)
        ]


def _layout(data: bytes, name: str) -> Layout:
    """Sniff the first lines, and more of the file only where these do not reach its numbers."""
    if len(data) > _FIRST_LOOK:
        try:
            return sniff(_text(data[:_FIRST_LOOK]), name)
        except RecordError:
            pass
    return sniff(_text(data), name)


def _told_unit(layout: Layout, keys: tuple[str, ...]) -> str | None:
    return next((str(layout.metadata[key]) for key in keys if layout.metadata.get(key)), None)


def _modality(layout: Layout, name: str) -> str | None:
    """Return what the column titles, the header's kind of data, or the name of the file says."""
    told = str(layout.metadata.get("data_type", "")).replace("SPECTRUM", "").lower()
    return layout.modality or (modality_in(told) if told else None) or modality_in(name)


def _metadata(layout: Layout, place: int, column: int) -> dict[str, MetadataValue]:
    metadata = dict(layout.metadata)
    if len(layout.intensities) > 1:
        metadata["spectrum"] = place
        metadata["column"] = (layout.titles[column].text if layout.titles else "") or column
    for key, unit in (("laser", "nm"), ("laser_wavelength", "nm"), ("excitation_wavelength", "nm")):
        value = number(str(metadata.get(key, "")).lower().removesuffix(unit))
        if value is not None and 150 < value < 3000:
            metadata["laser"] = value
    if isinstance(metadata.get("laser"), str):
        metadata["laser_description"] = metadata.pop("laser")
    return metadata


def _plain_bytes(data: bytes) -> bytes:
    """Return the file as bytes in which every digit is one byte and every line ends in a line feed."""
    if data[:2] in _UTF16:
        data = data.decode("utf-16", errors="replace").encode()
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _codec(data: bytes) -> str:
    try:
        data[:HEAD_BYTES].decode("utf-8")
    except UnicodeDecodeError as error:
        return "utf-8" if error.start > HEAD_BYTES - 4 else "latin-1"
    return "utf-8"


def _text(data: bytes) -> str:
    data = _plain_bytes(data[:HEAD_BYTES])
    codec = _codec(data)
    return decode(data) if codec == "utf-8" else data.decode("latin-1")
