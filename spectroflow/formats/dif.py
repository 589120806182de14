"""American Mineralogist and RRUFF DIF: the computed lines of a crystal structure, as XPOW lists them.

Positions and heights, not a measured profile, so every record is flagged ``STICKS``.
"""

from __future__ import annotations

import re

from spectroflow.errors import RecordError
from spectroflow.formats.base import MetadataValue, Probe, RawRecord, decode, number, suffix
from spectroflow.formats.columns import WHITESPACE, Dialect, parse_columns

_TITLES = re.compile(rb"^[ \t]*2-THETA[ \t]+INTENSITY[ \t]+D-SPACING.*\r?\n", re.MULTILINE)
_END = re.compile(rb"^[ \t]*=====", re.MULTILINE)
_WAVELENGTH = re.compile(r"X-RAY WAVELENGTH:\s*([\d.]+)")
_CELL = re.compile(r"CELL PARAMETERS:\s*(.+)")
_GROUP = re.compile(r"SPACE GROUP:\s*(\S+)")
_EXPORT = "Download the file again."


class Dif:
    """One record per structure."""

    name = "dif"
    extensions: tuple[str, ...] = (".dif", ".txt")

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it has XPOW's line of titles."""
        return (b"2-THETA" in head and _TITLES.search(head) is not None) or suffix(name) == ".dif"

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the tables."""
        return Probe(("xrd",) * len(_tables(data, name)))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the lines of each structure."""
        tables = _tables(data, name)
        records = []
        for index, (header, start, stop) in enumerate(tables):
            values = parse_columns(data, Dialect(WHITESPACE), start, stop, where=name)
            lines = [line.strip() for line in decode(header).splitlines() if line.strip()]
            text = "\n".join(lines)
            metadata: dict[str, MetadataValue] = {"data_type": "computed lines"}
            wavelength = _WAVELENGTH.search(text)
            if wavelength and number(wavelength.group(1)):
                metadata["wavelength"] = float(wavelength.group(1))
            for key, pattern in (("cell_parameters", _CELL), ("space_group", _GROUP)):
                match = pattern.search(text)
                if match:
                    metadata[key] = " ".join(match.group(1).split())
            if len(tables) > 1:
                metadata["spectrum"] = index
            records.append(
                RawRecord(
                    axis=values[:, 0].copy(),
                    intensity=values[:, 1].copy(),
                    axis_unit="deg",
                    intensity_unit="counts",
                    modality="xrd",
                    label=lines[0][:200] if lines else None,
                    metadata=metadata,
                    flags=("STICKS",),
                )
            )
        return records


def _tables(data: bytes, name: str) -> list[tuple[bytes, int, int]]:
    """Return the header, and where the rows begin and end, of each table."""
    found = []
    at = 0
    for match in _TITLES.finditer(data):
        end = _END.search(data, match.end())
        stop = end.start() if end else len(data)
        found.append((data[at : match.start()], match.end(), stop))
        at = stop
    if not found:
        raise RecordError("NO_DATA", "there is no table of lines in it", where=name, remedy=_EXPORT)
    return found
