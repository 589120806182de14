"""A synthetic archive as files, the way RRUFF gives them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spectroflow.config import SimulateConfig
from spectroflow.simulate.broken import broken_files
from spectroflow.simulate.mixture import spectra
from spectroflow.simulate.profiles import TRUE_LINE_PARAMETERS
from spectroflow.simulate.spectrum import SimulatedSpectrum, modalities_of
from spectroflow.storage import Location

MANIFEST = "manifest.csv"
TRUTH = "truth.parquet"
MANIFEST_COLUMNS = ("path", "sample_id", "label", "modality", "formula")


@dataclass(frozen=True, slots=True)
class Written:
    """What :func:`write_files` wrote.

    Attributes
    ----------
    folder
        Where.
    spectra
        Number of readable spectra for each modality.
    broken
        Paths of unreadable files below the folder, with what is wrong with each.
    manifest, truth
        The table for headerless files and the table of true lines.
    """

    folder: Location
    spectra: dict[str, int]
    broken: dict[str, str]
    manifest: Location
    truth: Location


def write_files(
    config: SimulateConfig, folder: Location | Path | str, modalities: Sequence[str] | None = None
) -> Written:
    """Write a synthetic archive as files.

    Raman and infrared become text with RRUFF's ``##KEY=value`` header, diffraction becomes headerless
    ``.xy``, which only the manifest explains. The true lines stand in ``truth.parquet``: path, sample_id,
    label, modality and :data:`~spectroflow.simulate.profiles.TRUE_LINE_PARAMETERS`.

    Parameters
    ----------
    folder
        Where to; it is created. Files of the same name are replaced.
    modalities
        Those to write; all of the configuration by default.
    """
    root = Location.parse(folder)
    counts = dict.fromkeys(modalities_of(config, modalities), 0)
    manifest: list[tuple[str, ...]] = []
    truth: dict[str, list[str | float]] = {
        name: [] for name in ("path", "sample_id", "label", "modality", *TRUE_LINE_PARAMETERS)
    }
    for one in spectra(config, modalities):
        (root / one.filename).write_bytes(file_bytes(one))
        counts[one.modality] += 1
        manifest.append((one.filename, one.sample_id, one.label, one.modality, one.formula))
        for name in ("sample_id", "label", "modality"):
            truth[name] += [getattr(one, name)] * len(one.lines_true)
        truth["path"] += [one.filename] * len(one.lines_true)
        for column, name in enumerate(TRUE_LINE_PARAMETERS):
            truth[name] += one.lines_true[:, column].tolist()
    broken = {}
    for name, reason, data in broken_files(config.seed, config.broken):
        (root / name).write_bytes(data)
        broken[name] = reason
    (root / MANIFEST).write_bytes(_csv(MANIFEST_COLUMNS, manifest))
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(truth), buffer)
    (root / TRUTH).write_bytes(buffer.getvalue().to_pybytes())
    return Written(root, counts, broken, root / MANIFEST, root / TRUTH)


def file_bytes(one: SimulatedSpectrum) -> bytes:
    """Return a spectrum as the bytes of its file."""
    if one.modality == "xrd":
        return "".join(f"{x:.5f} {y:.8f}\n" for x, y in zip(one.axis, one.intensity, strict=True)).encode()
    header = {
        "NAMES": one.label,
        "RRUFFID": one.sample_id,
        "IDEAL CHEMISTRY": str(one.metadata["ideal_chemistry"]),
        "LOCALITY": "none, a simulated sample",
        "OWNER": "SpectroFlow",
        "SOURCE": "spectroflow simulate",
        "DESCRIPTION": f"Simulated {one.metadata['structure_type']}-type crystal, {one.metadata['crystal_system']}",
        "STATUS": "The identification of this material is certain: it was simulated",
    }
    lines = [f"##{key}={value}" for key, value in header.items()]
    pattern = "{:.4f}, {:.3f}" if one.modality == "raman" else "{:.6e}, {:.6e}"
    lines += [pattern.format(x, y) for x, y in zip(one.axis, one.intensity, strict=True)]
    return ("\n".join([*lines, "##END=", ""])).encode()


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
