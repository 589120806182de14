"""Named dimensions: which arrays of a dataset are spectra, along which dimension, and where each was measured.

A dataset is what xarray calls one: arrays with named dimensions, some of them the coordinates of others. The
spectral axis is a coordinate whose name or unit says so; every other dimension counts spectra, and its coordinates
are kept as their positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, RawRecord
from spectroflow.formats.packed import MOST_BYTES
from spectroflow.formats.titles import Title, modality_of, read_title
from spectroflow.formats.units import axis_unit

_MOST_RECORDS = 1 << 20
_MOST_METADATA = 64
_LONGEST_VALUE = 200
_IDENTITY = ("sample_id", "label", "formula")
_PLACES = frozenset({"x", "y", "z", "t", "time"})
"""Names of places on a sample and of time: coordinates that have units, as spectral axes do, and are none."""

_STRUCTURE = frozenset(
    {"units", "coordinates", "_FillValue", "missing_value", "scale_factor", "add_offset", "axis_unit",
     "intensity_unit", "modality", "long_name", "standard_name", "Conventions", *_IDENTITY}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """One array with named dimensions, not yet loaded.

    Attributes
    ----------
    dims, shape
        Name and length of each dimension.
    kind
        NumPy's letter for its type.
    attrs
        What is written beside it.
    load
        Returns its values as they are stored.
    chunk
        How many values are unpacked at once.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    attrs: Mapping[str, Any]
    load: Callable[[], npt.NDArray[Any]]
    chunk: int = 1

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class _Spectra:
    """An array of spectra, its axis, and which of its dimensions that is."""

    name: str
    values: Variable
    axis_name: str
    axis: Variable
    dimension: int

    @property
    def count(self) -> int:
        return math.prod(self.values.shape) // max(1, self.values.shape[self.dimension])


class Dataset:
    """The arrays of one group.

    Parameters
    ----------
    variables
        Its arrays by name.
    attrs
        What is written beside them; ``modality``, ``axis_unit`` and ``intensity_unit`` count where the arrays
        themselves say nothing.
    where
        Named in errors.

    Raises
    ------
    RecordError
        ``HOSTILE_FILE`` if its arrays are larger than any measurement.
    """

    def __init__(self, variables: Mapping[str, Variable], attrs: Mapping[str, Any], where: str) -> None:
        self._variables = variables
        self._attrs = attrs
        self._where = where
        self.spectra = self._find()
        for each in self.spectra:
            self._bounded(each.values)
            self._bounded(each.axis)
            if each.count > _MOST_RECORDS:
                raise self._hostile(f"an array of {each.count} spectra")

    def modalities(self) -> list[str | None]:
        """Return the modality of each spectrum, in the order of :meth:`records`."""
        return [kind for each in self.spectra for kind in [self._modality(each)] * each.count]

    def records(self) -> Iterator[RawRecord]:
        """Yield the spectra, array by array, the last dimension fastest."""
        for each in self.spectra:
            yield from self._records(each)

    def _records(self, each: _Spectra) -> Iterator[RawRecord]:
        values = _rows(_numbers(each.values), each.dimension)
        axes = _numbers(each.axis)
        axes = _rows(axes, each.dimension) if axes.ndim > 1 else axes[np.newaxis]
        common = _plain({**self._attrs, **each.values.attrs})
        if len(self.spectra) > 1:
            common["variable"] = each.name
        others = [i for i in range(len(each.values.dims)) if i != each.dimension]
        places = np.ndindex(*(each.values.shape[i] for i in others))
        beside = self._beside({each.values.dims[i] for i in others}, {each.name, each.axis_name})
        unit = each.values.attrs.get("units", self._attrs.get("intensity_unit"))
        for row, place in enumerate(places):
            at = {each.values.dims[i]: index for i, index in zip(others, place, strict=True)}
            facts = {key: _one(array[tuple(at[dim] for dim in dims)]) for key, (dims, array) in beside.items()}
            axis = axes[row if len(axes) > 1 else 0]
            there = slice(0, int(np.flatnonzero(np.isfinite(axis))[-1]) + 1 if np.isfinite(axis).any() else 0)
            counted = {"spectrum": row, **at} if others else {}
            metadata = _plain({**common, **counted, **facts})
            sample, label, formula = (_text(facts.get(key, self._attrs.get(key))) for key in _IDENTITY)
            yield RawRecord(
                axis=axis[there].copy(),
                intensity=values[row][there].copy(),
                axis_unit=self._axis_unit(each),
                intensity_unit=None if unit is None else str(unit),
                modality=self._modality(each),
                sample_id=sample,
                label=label,
                formula=formula,
                metadata=metadata,
            )

    def _find(self) -> list[_Spectra]:
        listed = " ".join(
            str(each.get("coordinates", "")) for each in (self._attrs, *(v.attrs for v in self._variables.values()))
        )
        coordinates = {*listed.split(), *(name for name, v in self._variables.items() if v.dims == (name,))}
        found = []
        for name, variable in self._variables.items():
            if name in coordinates or variable.kind not in "fiu" or _title(name, variable).kind in {
                "axis", "uncertainty",
            } or name == "axis":  # fmt: skip
                continue
            axis = self._axis_of(variable)
            if axis is not None:
                found.append(_Spectra(name, variable, *axis))
        named = [each for each in found if _title(each.name, each.values).kind == "intensity"]
        return named or found

    def _axis_of(self, variable: Variable) -> tuple[str, Variable, int] | None:
        """Return the spectral axis of an array: one that differs from spectrum to spectrum, or a coordinate."""
        for name, other in self._variables.items():
            same = other.dims == variable.dims and other.shape == variable.shape and len(other.dims) > 1
            if same and other is not variable and (name == "axis" or _title(name, other).kind == "axis"):
                return name, other, len(variable.dims) - 1
        best: tuple[int, int, str, Variable] | None = None
        for place, dim in enumerate(variable.dims):
            for name, other in self._variables.items():
                fits = other.dims == (dim,) and other.kind in "fiu" and other.shape[0] == variable.shape[place]
                score = _is_axis(name, other) if fits and other is not variable else 0
                if score and (best is None or (score, place) >= best[:2]):
                    best = score, place, name, other
        return None if best is None else (best[2], best[3], best[1])

    def _beside(self, dims: set[str], used: set[str]) -> dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]]:
        """Return the arrays that say something of each spectrum: coordinates of the dimensions that count them."""
        found: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
        for name, variable in self._variables.items():
            if name not in used and variable.dims and set(variable.dims) <= dims and len(found) < _MOST_METADATA:
                self._bounded(variable)
                values = variable.load()
                found[name] = (variable.dims, _numbers(variable) if variable.kind in "fiu" else values)
        return found

    def _axis_unit(self, each: _Spectra) -> str | None:
        unit = each.axis.attrs.get("units", self._attrs.get("axis_unit"))
        return str(unit) if unit is not None else _title(each.axis_name, each.axis).unit

    def _modality(self, each: _Spectra) -> str | None:
        pairs = ((each.axis_name, each.axis), (each.name, each.values))
        implied = modality_of(tuple(_title(name, variable) for name, variable in pairs))
        told = each.values.attrs.get("modality") or implied or self._attrs.get("modality")
        return None if told is None else str(told)

    def _bounded(self, variable: Variable) -> None:
        if max(variable.size, variable.chunk) * 8 > MOST_BYTES:
            raise self._hostile(f"an array of {max(variable.size, variable.chunk)} values")

    def _hostile(self, what: str) -> RecordError:
        return RecordError("HOSTILE_FILE", f"it declares {what}", where=self._where, remedy="Split it.")


def _is_axis(name: str, variable: Variable) -> int:
    """Return 2 where a coordinate's name says that it is a spectral axis, 1 where only its unit does."""
    if name.lower() in _PLACES:
        return 0
    if _title(name, variable).kind == "axis":
        return 2
    return 1 if axis_unit(str(variable.attrs.get("units", ""))) else 0


def _title(name: str, variable: Variable) -> Title:
    """Read a name and the longer one beside it as the title of a column, with the unit in brackets."""
    unit = variable.attrs.get("units")
    words = " ".join(str(variable.attrs[key]) for key in ("long_name", "standard_name") if key in variable.attrs)
    text = f"{name.replace('_', ' ')} {words}".strip()
    title = read_title(f"{text} ({unit})" if unit else text)
    return title if title.unit or unit else Title(title.text, title.kind, read_title(name).unit)


def _numbers(variable: Variable) -> FloatArray:
    """Return values as float64, unpacked, NaN where they are missing."""
    stored = np.asarray(variable.load())
    values = stored.astype(np.float64)
    for key in ("_FillValue", "missing_value"):
        missing = variable.attrs.get(key)
        if isinstance(missing, (int, float)):
            values[stored == missing] = np.nan
    scale, offset = (variable.attrs.get(key, neutral) for key, neutral in (("scale_factor", 1), ("add_offset", 0)))
    if (scale, offset) != (1, 0):
        values = values * float(scale) + float(offset)
    return values


def _rows(values: FloatArray, dimension: int) -> FloatArray:
    moved = np.moveaxis(values, dimension, -1)
    return moved.reshape(-1, moved.shape[-1])


def _one(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)[:_LONGEST_VALUE]


def _plain(facts: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return what can be kept as metadata: finite numbers and short texts."""
    kept: dict[str, MetadataValue] = {}
    for key, value in facts.items():
        if key in _STRUCTURE or len(kept) >= _MOST_METADATA:
            continue
        if isinstance(value, bool):
            kept[key] = int(value)
        elif isinstance(value, str):
            kept[key] = value[:_LONGEST_VALUE]
        elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            kept[key] = value
    return kept
