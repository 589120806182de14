"""Zarr stores, and xarray datasets in them: versions 2 and 3, as one zip of the store's files.

A store is a folder; what reads sources hands it over as a zip, so that a store on disk, in a bucket and in a
``.zarr.zip`` file are read alike. Dimensions are named as xarray names them (``dimension_names`` in version 3,
the attribute ``_ARRAY_DIMENSIONS`` in version 2), and numbers are unpacked by the conventions for climate and
forecast data, section 8 (``_FillValue``, ``scale_factor``, ``add_offset``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.arrays import Dataset, Variable
from spectroflow.formats.base import Probe, RawRecord
from spectroflow.formats.names import modality_in
from spectroflow.formats.packed import MOST_BYTES, Zip

ROOTS = ("zarr.json", ".zgroup", ".zarray")
"""Files one of which is at the root of every store."""

_EXPORT = "Write the store again."
_MOST_MEMBERS = 1 << 20
_DOCUMENTS = (*ROOTS, ".zmetadata")
_CODEC_KEYS = frozenset({"compressor", "filters", "codecs", "index_codecs"})
# All of them turn bytes into numbers and do nothing else; numcodecs' pickle runs what it reads.
_CODECS = frozenset(
    {"bytes", "transpose", "sharding_indexed", "crc32c", "crc32", "adler32", "fletcher32", "blosc", "zstd", "gzip",
     "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "astype",
     "packbits", "vlen-utf8", "vlen-bytes"}
)  # fmt: skip


class ZarrArrays:
    """One record per spectrum of every array that has a spectral axis, with its place in the others."""

    name = "zarr"
    extensions: tuple[str, ...] = (".zarr", ".zarr.zip")
    isolated = True
    packages = ("zarr",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is a zip in which a store begins, or is called so."""
        if not head.startswith(b"PK"):
            return False
        return any(each.encode() in head[:4096] for each in ROOTS) or name.lower().endswith(self.extensions)

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the spectra from the shapes of the arrays; nothing of them is unpacked."""
        datasets = _open(data, name)
        with _explained(name):
            return Probe(tuple(kind for each in datasets for kind in each.modalities()))

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra."""
        datasets = _open(data, name)
        with _explained(name):
            return [record for each in datasets for record in each.records()]


def _open(data: bytes, name: str) -> list[Dataset]:
    packed = Zip(data, where=name, most_bytes=max(MOST_BYTES, 4 * len(data)), most_members=_MOST_MEMBERS)
    members = {each: packed.read(each) for each in packed.names if not each.endswith("/")}
    for each, content in members.items():
        if each.rsplit("/", 1)[-1] in _DOCUMENTS:
            _refuse_unknown_codecs(content, name)
    with _explained(name):
        groups = _groups(members)
        found = [Dataset(variables, {"modality": modality_in(name)} | attrs, name) for variables, attrs in groups]
        found = [each for each in found if each.spectra]
    if not found:
        raise RecordError(
            "NO_DATA",
            "no array in it has a coordinate that is a spectral axis",
            where=name,
            remedy="Name the dimension (wavenumber, raman_shift, two_theta, ...) or give its coordinate 'units'.",
        )
    return found


def _groups(members: dict[str, bytes]) -> list[tuple[dict[str, Variable], dict[str, Any]]]:
    """Return the arrays and attributes of each group that has arrays, in the order of their paths."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype

    buffer = default_buffer_prototype().buffer
    store = zarr.storage.MemoryStore({key: buffer.from_bytes(value) for key, value in members.items()}, read_only=True)
    # Threads would only add to the memory of a process that reads one file at a time.
    zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})
    root = zarr.open(store, mode="r")
    if isinstance(root, zarr.Array):
        return [({"values": _variable(root)}, {})]
    groups: list[tuple[str, Any]] = [("", root)]
    arrays: dict[str, dict[str, Variable]] = {}
    for path, node in sorted(root.members(max_depth=None)):
        if isinstance(node, zarr.Array):
            parent, _, own = path.rpartition("/")
            arrays.setdefault(parent, {})[own] = _variable(node)
        else:
            groups.append((path, node))
    return [(arrays[path], dict(group.attrs)) for path, group in groups if path in arrays]


def _variable(array: Any) -> Variable:
    attrs = dict(array.attrs)
    named = attrs.pop("_ARRAY_DIMENSIONS", None) or getattr(array.metadata, "dimension_names", None) or ()
    dims = tuple(str(each) if each else f"dim_{i}" for i, each in enumerate(named))
    if len(dims) != array.ndim:
        dims = tuple(f"dim_{i}" for i in range(array.ndim))
    # A chunk is unpacked whole, however little of it belongs to the array.
    chunk = int(np.prod([float(each) for each in array.chunks] or [1.0]))
    return Variable(dims, tuple(array.shape), array.dtype.kind, attrs, lambda: array[...], max(chunk, 1))


def _refuse_unknown_codecs(document: bytes, where: str) -> None:
    try:
        tree = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise RecordError("TRUNCATED", f"its metadata are not JSON ({error})", where=where, remedy=_EXPORT) from None
    for codec in _codecs(tree):
        if codec.lower().removeprefix("numcodecs.") not in _CODECS:
            raise RecordError(
                "UNSUPPORTED_DIALECT",
                f"its chunks are packed with {codec[:60]!r}",
                where=where,
                remedy="Write the store with blosc, zstd, gzip or lz4.",
            )


def _codecs(tree: Any) -> Iterator[str]:
    """Yield the names of all codecs in a metadata document, those inside of shards among them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in _CODEC_KEYS:
                    listed = value if isinstance(value, list) else [value]
                    yield from (str(each.get("id") or each.get("name")) for each in listed if isinstance(each, dict))
                waiting.append(value)


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn whatever a damaged store makes zarr and its codecs raise into one of our errors."""
    try:
        yield
    except (RecordError, MemoryError):
        raise
    except Exception as error:
        message = (str(error).splitlines() or [""])[0][:120]
        raise RecordError(
            "TRUNCATED", f"it is not a whole Zarr store ({type(error).__name__}: {message})", where=where,
            remedy=_EXPORT,
        ) from None  # fmt: skip
