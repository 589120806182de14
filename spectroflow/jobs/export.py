"""Export: a selection of spectra as files that other programs read."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spectroflow.archive import Archive, Spectrum
from spectroflow.errors import UsageError
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.summary import Rows, Summary
from spectroflow.modality import Modality, lookup, resolve
from spectroflow.storage import Location

PARQUET_ROWS = 1024
"""Spectra in one Parquet file."""

INDEX_COLUMNS = ("path", "sample_id", "label", "modality", "formula", "segment", "row", "source", "digest", "origin")


def export(archive: str, out: str, *, form: str | None, options: JobOptions) -> Summary:
    """Write the selected spectra of an archive to files.

    Parameters
    ----------
    archive
        Path or URL of the archive.
    out
        Folder to write to. It also gets ``index.csv``, which names sample, label and modality of each
        file and can be given back to ``convert`` as ``--manifest``.
    form
        ``csv`` (two columns, one file per spectrum), ``jcamp`` (JCAMP-DX, likewise) or ``parquet``
        (lists, 1,024 spectra per file). None takes it from the name of ``out``, else CSV.
    options
        ``where`` and ``modalities`` select.

    Raises
    ------
    UsageError
        There is no such form.
    """
    started = time.perf_counter()
    opened = Archive(archive)
    modalities = resolve(options.config.modality)
    for name in options.modalities:
        lookup(name, modalities)
    chosen = options.modalities or tuple(opened.modalities)
    form = form or ("parquet" if out.endswith("parquet") else "csv")
    if form not in {"csv", "jcamp", "parquet"}:
        raise UsageError(f"there is no export form {form!r}", remedy="Choose csv, jcamp or parquet.")
    if options.dry_run:
        count = sum(1 for name in chosen for _ in opened.spectra(options.where, modality=name))
        return Summary("export", status="dry run", rows=Rows(total=count), output=out)
    target = Location.parse(out)
    origins = {entry.id: entry.origin for entry in opened.segments()}
    count = 0
    for name in chosen:
        spectra = opened.spectra(options.where, modality=name)
        if form == "parquet":
            count += _write_parquet(target, spectra, modalities[name], opened, origins)
        else:
            count += _write_files(target, spectra, modalities[name], form, origins)
    seconds = time.perf_counter() - started
    return Summary(
        "export", rows=Rows(total=count, ok=count), seconds=seconds, output=str(target), details={"form": form}
    )


def _write_files(
    target: Location, spectra: Iterator[Spectrum], modality: Modality, form: str, origins: Mapping[str, str]
) -> int:
    encode = _encode_csv if form == "csv" else _encode_jcamp
    suffix = "csv" if form == "csv" else "jdx"
    index = io.StringIO()
    writer = csv.writer(index, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    count = 0
    for spectrum in spectra:
        record = spectrum.record
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", record["sample_id"] or record["label"] or "spectrum").strip("._")
        path = f"{modality.name}/{stem or 'spectrum'}-{spectrum.segment}-{spectrum.row:06d}.{suffix}"
        origin = origins[spectrum.segment]
        (target / path).write_bytes(encode(spectrum, modality, origin))
        known = (record["sample_id"], record["label"], modality.name, record["formula"])
        writer.writerow([path, *known, spectrum.segment, spectrum.row, record["source"], record["digest"], origin])
        count += 1
    if count:
        (target / f"index-{modality.name}.csv").write_bytes(index.getvalue().encode())
    return count


def _encode_csv(spectrum: Spectrum, modality: Modality, origin: str) -> bytes:
    # A file may be all that somebody sees of a spectrum that nobody measured.
    lines = [] if origin == "measured" else [f"# origin: {origin}"]
    lines.append(f"{modality.axis_unit},{modality.intensity_unit}")
    # repr is the shortest text that reads back to the same float64 and float32.
    lines += [
        f"{float(x)!r},{np.format_float_positional(y, trim='0') if np.isfinite(y) else 'nan'}"
        for x, y in zip(spectrum.axis, spectrum.intensity, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def _encode_jcamp(spectrum: Spectrum, modality: Modality, origin: str) -> bytes:
    from spectroflow.formats.jcamp_writer import write_jcamp

    return write_jcamp(spectrum.axis, spectrum.intensity, modality, {**spectrum.record, "origin": origin})


def _write_parquet(
    target: Location, spectra: Iterator[Spectrum], modality: Modality, opened: Archive, origins: Mapping[str, str]
) -> int:
    schema = pa.schema(
        [
            *(pa.field(name, pa.string()) for name in ("segment", "modality", "sample_id", "label", "formula")),
            pa.field("row", pa.int64()),
            *(pa.field(name, pa.string()) for name in ("source", "digest", "metadata", "origin")),
            pa.field("axis", pa.list_(pa.float64())),
            pa.field("intensity", pa.list_(pa.float32())),
        ],
        metadata={
            "modality": modality.name,
            "axis_unit": modality.axis_unit,
            "intensity_unit": modality.intensity_unit,
            "archive_version": str(opened.version.number),
        },
    )
    count = part = 0
    while batch := list(islice(spectra, PARQUET_ROWS)):
        rows = [
            {
                **{
                    name: item.record[name]
                    for name in ("sample_id", "label", "formula", "source", "digest", "metadata")
                },
                "segment": item.segment,
                "modality": modality.name,
                "origin": origins[item.segment],
                "row": item.row,
                "axis": item.axis,
                "intensity": item.intensity,
            }
            for item in batch
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
        (target / f"{modality.name}-{part:06d}.parquet").write_bytes(sink.getvalue())
        count += len(batch)
        part += 1
    return count
