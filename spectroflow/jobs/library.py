"""The library job: crystal structures become an archive of what they diffract."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from spectroflow.archive import LayerEntry, SegmentEntry, Version, add_layers, add_segments, commit, latest_version
from spectroflow.archive.layer import STRUCTURE, create_layer
from spectroflow.archive.records import encode_table, read_part
from spectroflow.archive.segment import create_segment, records_key
from spectroflow.config import Config, digest
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import Estimate, Plan
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Group
from spectroflow.errors import InvalidInput, UsageError
from spectroflow.jobs.converter import planned_key, segment_id
from spectroflow.jobs.library_builder import XRD, LibraryProcessor, diffraction, layer_id, layouts
from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.running import finished, nothing_to_do, planned, run_plan
from spectroflow.jobs.summary import Summary
from spectroflow.materials.cif import count_structures, import_gemmi
from spectroflow.materials.composition import ELEMENTS
from spectroflow.materials.traits import BLOCKS
from spectroflow.sources.manifest import Entry, read_manifest
from spectroflow.sources.walk import walk
from spectroflow.storage import Location, digest_bytes

ENDINGS = (".cif", ".mcif")
CELL = ("a", "b", "c", "alpha", "beta", "gamma", "volume")
_ROWS = pa.schema(
    [
        *((name, pa.string()) for name in ("source", "digest", "said", "made_of", "status", "reason", "duplicate_of")),
        *((name, pa.int64()) for name in ("record", "records")),
    ]
)


def build_library(sources: Sequence[str], library: str, *, manifest: str | None = None, options: JobOptions) -> Summary:
    """Compute the powder patterns of known structures.

    Parameters
    ----------
    sources
        Folders, files, patterns and URLs of CIFs; other files in folders do not count.
    library
        Archive to write: an XRD segment of origin ``simulated`` with a layer ``structure``.
    manifest
        A CSV file with ``path`` and any of ``sample_id``, ``label`` and ``formula`` of the structures.

    Returns
    -------
    Summary
        Rows are the structures of new and changed files.

    Raises
    ------
    UsageError
        No source is given, or the modality of diffraction has no wavelength.
    InvalidInput
        There is no CIF, a source or the manifest does not exist, or gemmi is not installed.
    """
    if not sources:
        raise UsageError("there is no structure to compute", remedy="Give at least one CIF, folder or URL.")
    options.refuse_where("library build", "Name the files to take instead.")
    import_gemmi()
    if diffraction(options.config).wavelengths is None:
        raise UsageError("modality xrd has no wavelengths", remedy="Set modality.xrd.wavelengths.")
    began = time.perf_counter()
    root = Location.parse(library)
    base = latest_version(root)
    rows, replaced = _new_rows(sources, root, base, manifest, options.config)
    if not rows:
        return nothing_to_do("library build", root, "every structure was computed before")
    plan = _plan(rows, replaced, base, root, options)
    if options.dry_run:
        return planned("library build", plan, root)
    shard = plan.groups[0].shard_rows

    def prepare() -> None:
        patterns, structures = layouts(plan.run, len(rows), options.config)
        create_segment(root, patterns, diffraction(options.config), "simulated", _facts(options.config))
        names: dict[str, Sequence[str]] = {
            "parameter": ("spacing", "strength", "multiplicity"),
            "element": ELEMENTS,
            "cell": CELL,
        }
        create_layer(root, structures, segment_id(plan.run, XRD), names, traits=BLOCKS, **_facts(options.config))
        for number in range(-(-len(rows) // shard)):
            part = pa.Table.from_pylist(rows[number * shard : (number + 1) * shard], schema=_ROWS)
            (run_folder(root, plan.run) / planned_key(XRD, number)).write_bytes(encode_table(part))

    processor = LibraryProcessor(root, plan.run, len(rows), options.config)
    result = run_plan(plan, processor, root, options, prepare)
    segment = SegmentEntry(
        id=segment_id(plan.run, XRD),
        modality=XRD,
        rows=len(rows),
        shard_rows=shard,
        origin="simulated",
        run=plan.run,
    )
    layer = LayerEntry(
        id=layer_id(plan.run),
        kind=STRUCTURE,
        segment=segment.id,
        config=digest(options.config.library, 12),
        run=plan.run,
    )

    def change(version: Version) -> Version:
        if any(entry.run == plan.run for entry in version.segments):
            return version
        present = {entry.id for entry in version.segments}
        kept = {name: numbers for name, numbers in replaced.items() if name in present}
        return add_layers(add_segments(version, [segment], superseded=kept), [layer])

    version = commit(root, change, command="library build", run=plan.run)
    summary = finished("library build", result, root, options, version=version.number, structures=result.metrics)
    summary.seconds = time.perf_counter() - began
    return summary


def _new_rows(
    sources: Sequence[str], root: Location, base: Version, manifest: str | None, config: Config
) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Return the structures that the library lacks or has otherwise, and the rows that they replace."""
    entries = read_manifest(manifest, config.convert.manifest_columns).entries if manifest else {}
    known = _known(root, base)
    seen: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    replaced: dict[str, list[int]] = {}
    found = {each.source: each for each in walk(sources, exclude=[root]) if each.source.lower().endswith(ENDINGS)}
    if not found:
        raise InvalidInput(
            "there is no CIF", where=", ".join(sources), remedy=f"Give files that end in {' or '.join(ENDINGS)}."
        )
    for source in sorted(found):
        entry = entries.get(source, Entry())
        if found[source].size > config.convert.max_file_bytes:
            made_of = digest({"size": found[source].size, "limit": config.convert.max_file_bytes}, 32)
            new = [
                _row(source, "", entry, made_of, 0, 1, "TOO_LARGE", "the file is larger than convert.max_file_bytes")
            ]
        else:
            data = Location.parse(source).read_bytes()
            content = digest_bytes(data)
            made_of = digest(_made_of(content, entry, config), 32)
            count = count_structures(data)
            same = seen.setdefault(content, source)
            state = ("DUPLICATE", "it has the same content as another file") if same != source else ("OK", "")
            new = [
                _row(source, content, entry, made_of, i, count, *state, same if same != source else "")
                for i in range(count)
            ]
        before = known.get(source, [])
        if before and all(each[2] == made_of for each in before) and len(before) == len(new):
            continue
        for segment, row, _ in before:
            replaced.setdefault(segment, []).append(row)
        rows += new
    return rows, replaced


def _row(
    source: str,
    content: str,
    entry: Entry,
    made_of: str,
    record: int,
    records: int,
    state: str,
    reason: str,
    duplicate_of: str = "",
) -> dict[str, Any]:
    return {
        "source": source,
        "digest": content,
        "said": entry.to_json(),
        "made_of": made_of,
        "record": record,
        "records": records,
        "status": state,
        "reason": reason,
        "duplicate_of": duplicate_of,
    }


def _made_of(content: str, entry: Entry, config: Config) -> dict[str, Any]:
    return {
        "content": content,
        "said": entry.to_json(),
        **_facts(config),
        "grid": diffraction(config).grid.model_dump(),
    }


def _facts(config: Config) -> dict[str, Any]:
    """Return what decides how a structure is computed; it stands in the attributes."""
    return {
        "library": config.library.model_dump(mode="json"),
        "wavelengths": list(diffraction(config).wavelengths or ()),
        "intensity_unit": "relative to the highest point",
    }


def _known(root: Location, base: Version) -> dict[str, list[tuple[str, int, str]]]:
    """Return ``{source: [(segment, row, made_of), ...]}`` of the library as it is."""
    import json

    result: dict[str, list[tuple[str, int, str]]] = {}
    for entry in base.segments:
        hidden = {row for a, b in base.superseded.get(entry.id, ()) for row in range(a, b)}
        for shard in range(-(-entry.rows // entry.shard_rows)):
            part = read_part(root / records_key(entry.id, shard), ["row", "source", "metadata"]).to_pylist()
            for record in part:
                if record["row"] not in hidden:
                    made_of = json.loads(record["metadata"] or "{}").get("made_of", "")
                    result.setdefault(record["source"], []).append((entry.id, record["row"], made_of))
    return result


def _plan(
    rows: list[dict[str, Any]], replaced: dict[str, list[int]], base: Version, root: Location, options: JobOptions
) -> Plan:
    config = options.config
    both = layouts("", len(rows), config)
    group = Group(name=XRD, rows=len(rows), shard_rows=both[0].shard_rows)
    row_bytes = sum(array.row_bytes for layout in both for array in layout.arrays)
    return Plan.of(
        job="library",
        command={"library": str(root)},
        base_version=base.number,
        config={"library": config.library.model_dump(mode="json"), "modality": config.modality},
        groups=[group],
        unit_shards=config.engine.unit_shards,
        payload={"replaced": replaced},
        digests={"code": code_digest(), "rows": digest({"rows": rows}, 32)},
        estimate=Estimate(
            units=group.count(config.engine.unit_shards),
            rows=len(rows),
            bytes=len(rows) * row_bytes,
            memory_bytes=(400 << 20) + 3 * group.shard_rows * row_bytes,
        ),
    )
