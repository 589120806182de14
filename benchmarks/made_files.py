"""Whole files made as the descriptions of their formats say, for formats of which few files may be passed on."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ranges = Sequence[tuple[float, float, Sequence[float]]]
"""Start and step in degrees, and the counts, of each range of a diffraction file."""


def raw_version_1(ranges: Ranges, *, marked: bool = True) -> bytes:
    """Return a DIFFRAC-AT file; ``marked`` says whether every range begins with the mark, or only the first."""
    out = b""
    for index, (start, step, counts) in enumerate(ranges):
        head = struct.pack("<IffIIf", len(counts), 1.5, step, 0, 0, start) + struct.pack("<fff", -1e6, -1e6, -1e6)
        head += f"sample {index}".encode().ljust(32, b"\0") + struct.pack("<ff", 1.54056, 1.54439) + bytes(72)
        head += struct.pack("<I", int(index + 1 < len(ranges)))
        mark = b"RAW " if marked or index == 0 else b""
        out += mark + head + np.asarray(counts, "<f4").tobytes()
    return out


def raw_version_2(ranges: Ranges) -> bytes:
    """Return a DIFFRAC-AT file of version 2."""
    out = b"RAW2" + struct.pack("<H", len(ranges)) + bytes(162) + b"12-Mar-1995 10:11:12" + b"Cu"
    out = (out + struct.pack("<fff", 1.54056, 1.54439, 0.5)).ljust(256, b"\0")
    for start, step, counts in ranges:
        head = struct.pack("<HHIfff", 64, len(counts), 0, 2.0, step, start) + bytes(26) + struct.pack("<H", 298)
        out += head.ljust(64, b"\0") + np.asarray(counts, "<f4").tobytes()
    return out


def wdf(shift: Floats, spectra: Floats, places: Mapping[str, Floats] | None = None) -> bytes:
    """Return a WiRE file.

    Parameters
    ----------
    shift
        Raman shift in cm-1, shape ``(points,)``.
    spectra
        Shape ``(spectra, points)``.
    places
        Positions in um by the name of their axis, ``x``, ``y`` or ``z``, shape ``(spectra,)`` each.
    """
    count, points = spectra.shape
    places = dict(places or {})
    head = bytearray(512)
    head[:16] = b"WDF1" + struct.pack("<IQ", 0, 512)
    struct.pack_into("<IQQIIIII", head, 60, points, count, count, 1, 1, points, len(places), 0)
    struct.pack_into("<I", head, 132, 3 if places else 1)
    struct.pack_into("<f", head, 156, 1e7 / 532.0)
    blocks = [(b"DATA", spectra.astype("<f4").tobytes())]
    blocks.append((b"XLST", struct.pack("<II", 1, 1) + shift.astype("<f4").tobytes()))
    if places:
        body = struct.pack("<I", len(places))
        for name, values in places.items():
            kind = {"x": 3, "y": 4, "z": 5}[name]
            body += struct.pack("<II", kind, 4) + name.encode().ljust(16, b"\0") + values.astype("<f8").tobytes()
        blocks.append((b"ORGN", body))
    return bytes(head) + b"".join(kind + struct.pack("<IQ", 0, 16 + len(body)) + body for kind, body in blocks)


def nexus(shift: Floats, spectra: Floats) -> bytes:
    """Return a NeXus file with spectra of shape ``(..., points)``."""
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        entry = root.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXraman"
        data = entry.create_group("data")
        axes = [*(f"place{i}" for i in range(spectra.ndim - 1)), "shift"]
        data.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": axes})
        data["shift"], data["counts"] = shift, spectra
        data["shift"].attrs["units"] = "1/cm"
    return file.getvalue()


def zarr_store(shift: Floats, spectra: Floats, version: int = 3) -> dict[str, bytes]:
    """Return the files of a Zarr store with spectra of shape ``(y, x, points)`` in chunks of one line each."""
    import zarr

    store = zarr.storage.MemoryStore()
    dims = ("y", "x", "raman_shift")
    named = [("raman_shift", dims[2:], shift), ("intensity", dims, spectra)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.create_group(store, zarr_format=version)
        for name, own, values in named:
            array = group.create_array(
                name,
                shape=values.shape,
                chunks=(1, *values.shape[1:]),
                dtype=values.dtype,
                dimension_names=own if version == 3 else None,
            )
            array[...] = values
            if version == 2:
                array.attrs["_ARRAY_DIMENSIONS"] = list(own)
        group["raman_shift"].attrs["units"] = "cm-1"
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def brml(angles: Floats, counts: Floats) -> bytes:
    """Return a BRML file with one route."""
    rows = "".join(
        f"<Datum>1,1,{a!r},{a / 2!r},{c!r}</Datum>" for a, c in zip(angles.tolist(), counts.tolist(), strict=True)
    )
    axes = "".join(
        f'<ScanAxisInfo AxisId="{axis}"><Start>{first!r}</Start><Increment>{step!r}</Increment></ScanAxisInfo>'
        for axis, first, step in (
            ("TwoTheta", angles[0], angles[1] - angles[0]),
            ("Theta", angles[0] / 2, (angles[1] - angles[0]) / 2),
        )
    )
    xml = f'<RawData><DataRoutes><DataRoute RouteFlag="Measured">{axes}{rows}</DataRoute></DataRoutes></RawData>'
    return zipped({"Experiment0/RawData0.xml": xml.encode()})


def spc(first: float, last: float, spectra: Floats) -> bytes:
    """Return a new-format SPC file of floats with spectra of shape ``(spectra, points)``."""
    count, points = spectra.shape
    head = struct.pack("<BBBbIddIBB", 0x04, 0x4B, 0, -128, points, first, last, count, 1, 2).ljust(512, b"\0")
    subs = (struct.pack("<BbHfffIIf4x", 0, -128, i, float(i), float(i), 0, 0, 1, 0) for i in range(count))
    return head + b"".join(sub + row.astype("<f4").tobytes() for sub, row in zip(subs, spectra, strict=True))
