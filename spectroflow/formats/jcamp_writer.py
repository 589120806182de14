"""JCAMP-DX for export: every value as a decimal number that reads back to the same float.

AFFN, the form that every reader knows (McDonald and Wilks, Appl. Spectrosc. 42, 151, 1988): ``XYDATA``
where the axis is exactly regular, ``XYPOINTS`` elsewhere; a missing value is ``?``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.formats.base import FloatArray
from spectroflow.modality import Modality

_X_UNITS = {"cm-1": "1/CM", "nm": "NANOMETERS", "um": "MICROMETERS", "deg": "DEGREES 2THETA"}
_Y_UNITS = {"absorbance": "ABSORBANCE", "transmittance": "TRANSMITTANCE", "counts": "COUNTS"}
_DATA_TYPES = {"raman": "RAMAN SPECTRUM", "ir": "INFRARED SPECTRUM", "xrd": "X-RAY DIFFRACTION PATTERN"}
_LINE = 79


def write_jcamp(
    axis: FloatArray,
    intensity: npt.NDArray[np.float32] | FloatArray,
    modality: Modality,
    record: Mapping[str, Any],
) -> bytes:
    """Return one spectrum as a JCAMP-DX 4.24 file.

    Parameters
    ----------
    axis
        Ascending, shape ``(points,)``, in the modality's axis unit.
    intensity
        Same shape, NaN where there is no data.
    modality
        Gives units and data type.
    record
        Its row of the record table; ``sample_id``, ``label``, ``formula``, ``source``, ``digest``,
        ``laser`` and ``origin`` are written where they are there.
    """
    finite = intensity[np.isfinite(intensity)]
    label = _plain(record.get("label")) or _plain(record.get("sample_id")) or "spectrum"
    header = {
        "TITLE": label,
        "JCAMP-DX": "4.24",
        "DATA TYPE": _DATA_TYPES.get(modality.name, f"{modality.title.upper()} SPECTRUM"),
        "ORIGIN": "SpectroFlow export",
        "OWNER": _plain(record.get("owner")) or "unknown",
        "MOLFORM": _plain(record.get("formula")),
        "$SAMPLE ID": _plain(record.get("sample_id")),
        "$MODALITY": modality.name,
        "$SPECTRUM ORIGIN": _plain(record.get("origin")),
        "$SOURCE": _plain(record.get("source")),
        "$DIGEST": _plain(record.get("digest")),
        "$LASER": _plain(record.get("laser")),
        "XUNITS": _X_UNITS.get(modality.axis_unit, modality.axis_unit.upper()),
        "YUNITS": _Y_UNITS.get(modality.intensity_unit, modality.intensity_unit.upper()),
        "XFACTOR": "1",
        "YFACTOR": "1",
        "FIRSTX": _number(axis[0]),
        "LASTX": _number(axis[-1]),
        "MINY": _number(finite.min()) if finite.size else "",
        "MAXY": _number(finite.max()) if finite.size else "",
        "NPOINTS": str(axis.size),
        "FIRSTY": _number(intensity[0]) if np.isfinite(intensity[0]) else "",
    }
    lines = [f"##{key}={value}" for key, value in header.items() if value]
    regular = axis.size > 1 and np.array_equal(axis, np.linspace(axis[0], axis[-1], axis.size))
    if regular:
        lines.append(f"##DELTAX={_number((axis[-1] - axis[0]) / (axis.size - 1))}")
        lines.append("##XYDATA=(X++(Y..Y))")
        lines.extend(_rows(axis, intensity))
    else:
        lines.append("##XYPOINTS=(XY..XY)")
        lines.extend(f"{_number(x)}, {_number(y)}" for x, y in zip(axis, intensity, strict=True))
    return ("\r\n".join([*lines, "##END="]) + "\r\n").encode()


def _rows(axis: FloatArray, intensity: npt.NDArray[Any]) -> Iterator[str]:
    line = ""
    for x, y in zip(axis, intensity, strict=True):
        value = _number(y)
        if line and len(line) + 1 + len(value) > _LINE:
            yield line
            line = ""
        line = f"{line} {value}" if line else f"{_number(x)} {value}"
    if line:
        yield line


def _number(value: np.floating[Any] | float) -> str:
    """Return the shortest decimal text that reads back to the same float of its own width."""
    if not math.isfinite(float(value)):
        return "?"
    if isinstance(value, np.floating):
        return np.format_float_positional(value, trim="-") if 1e-4 <= abs(value) < 1e9 or value == 0 else str(value)
    return repr(float(value))


def _plain(value: object) -> str:
    """Return a text that is safe in one JCAMP line: no line breaks, no mark of a remark or a label."""
    text = "" if value is None else str(value)
    return re.sub(r"\s+", " ", text).replace("$$", "$ $").replace("##", "# #").strip()[: _LINE * 3]
