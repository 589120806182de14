"""NeXus/HDF5 spectra, NXraman among them: every ``NXdata`` group with a signal and an axis."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord
from spectroflow.formats.packed import MOST_BYTES, missing_package

_MAGIC = b"\x89HDF\r\n\x1a\n"
_EXPORT = "Export the spectrum again."
_MOST_RECORDS = 1 << 20
_MODALITIES = {"nxraman": "raman", "nxxrd": "xrd", "nxxrd_pan": "xrd", "nxir": "ir", "nxftir": "ir"}


class Nexus:
    """One record per spectrum; the last dimension of a signal is its axis."""

    name = "nexus"
    extensions: tuple[str, ...] = (".nxs", ".h5", ".hdf5")
    isolated = True
    packages = ("h5py",)

    def claims(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        """Say whether it is HDF5 that speaks NeXus."""
        return head.startswith(_MAGIC) and b"NX" in head

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the spectra from the shapes of the signals."""
        with _open(data, name) as file:
            return Probe(tuple(kind for group, kind in _groups(file, name) for _ in range(_spectra(group, name))))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra."""
        records = []
        with _open(data, name) as file:
            for group, kind in _groups(file, name):
                axis_set, signal = _axis(group), group[_text(group.attrs["signal"])]
                if signal.size * 8 > MOST_BYTES or axis_set.size * 8 > MOST_BYTES:
                    raise RecordError(
                        "HOSTILE_FILE", f"a signal of {signal.size} points", where=name, remedy="Split the file."
                    )
                axis = np.asarray(axis_set[()], dtype=np.float64).ravel()
                values = np.asarray(signal[()], dtype=np.float64).reshape(-1, signal.shape[-1])
                common = _metadata(group)
                places = _places(group, signal.shape[:-1], axis_set.name)
                for index, row in enumerate(values):
                    metadata = dict(common)
                    if len(values) > 1:
                        at = np.unravel_index(index, signal.shape[:-1])
                        metadata |= {"spectrum": index} | {
                            name: float(along[at[dimension]]) for name, (dimension, along) in places.items()
                        }
                    records.append(
                        RawRecord(
                            axis=axis.copy(),
                            intensity=row.copy(),
                            axis_unit=_text(axis_set.attrs.get("units", "")) or None,
                            intensity_unit=_text(signal.attrs.get("units", "")) or None,
                            modality=kind,
                            metadata=metadata,
                        )
                    )
        return records


def _open(data: bytes, name: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", name) from None
    try:
        return h5py.File(io.BytesIO(data), "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise RecordError("TRUNCATED", f"it is not whole HDF5 ({error})"[:160], where=name, remedy=_EXPORT) from None


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _groups(file: Any, name: str) -> list[tuple[Any, str | None]]:
    found: list[tuple[Any, str | None]] = []

    def visit(_: str, node: Any) -> None:
        if hasattr(node, "keys") and _text(node.attrs.get("NX_class", "")) == "NXdata" and "signal" in node.attrs:
            signal = _text(node.attrs["signal"])
            if signal in node and node[signal].ndim and _axis(node) is not None:
                found.append((node, _kind(node)))

    try:
        file.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise RecordError("TRUNCATED", f"it is not whole HDF5 ({error})"[:160], where=name, remedy=_EXPORT) from None
    if not found:
        raise RecordError("NO_DATA", "no NXdata group in it has a signal and an axis", where=name, remedy=_EXPORT)
    return found


def _spectra(group: Any, name: str) -> int:
    shape = group[_text(group.attrs["signal"])].shape
    count = int(np.prod(shape[:-1], dtype=np.float64))
    if count > _MOST_RECORDS:
        raise RecordError("HOSTILE_FILE", f"a signal of {count} spectra", where=name, remedy="Split the file.")
    return count


def _axis(group: Any) -> Any:
    """Return the dataset of the last axis whose length fits the signal, or None."""
    axes = group.attrs.get("axes", [])
    names = [_text(each) for each in np.atleast_1d(np.asarray(axes, dtype=object))]
    points = group[_text(group.attrs["signal"])].shape[-1]
    return next((group[each] for each in reversed(names) if each in group and group[each].size == points), None)


def _places(group: Any, shape: tuple[int, ...], axis: str) -> dict[str, tuple[int, FloatArray]]:
    """Return the axes that count the spectra: for each its dimension of the signal and its positions."""
    names = [_text(each) for each in np.atleast_1d(np.asarray(group.attrs.get("axes", []), dtype=object))]
    found = {}
    for dimension, name in enumerate(names[: len(shape)]):
        if name in group and group[name].name != axis and group[name].shape == (shape[dimension],):
            found[name] = dimension, np.asarray(group[name][()], dtype=np.float64)
    return found


def _kind(node: Any) -> str | None:
    """Return the modality that the definition of the entry above names."""
    while node is not None and node.name != "/":
        if "definition" in node and node["definition"].shape == ():
            return _MODALITIES.get(_text(node["definition"][()]).lower())
        node = node.parent
    return None


def _metadata(group: Any) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {"group": str(group.name)}
    entry = group
    while entry.parent is not None and entry.parent.name != "/" and entry.name != "/":
        entry = entry.parent
    for key, column in (("title", "title"), ("start_time", "date"), ("experiment_description", "description")):
        if key in entry and entry[key].shape == ():
            metadata[column] = _text(entry[key][()])[:200]
    return metadata
