"""What a worker of the library job does: structures in, reflections and patterns out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectroflow import status
from spectroflow.archive.arrays import Array, Layout, choose_shard_rows
from spectroflow.archive.layer import structure_layout
from spectroflow.archive.records import read_part
from spectroflow.archive.segment import segment_layout
from spectroflow.config import Config
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.run import run_folder
from spectroflow.engine.unit import Unit
from spectroflow.errors import RecordError
from spectroflow.jobs.converter import planned_key, segment_id
from spectroflow.jobs.running import AdditiveMetrics
from spectroflow.jobs.shards import ShardBuilder, segment_keys
from spectroflow.materials.cif import read_cif
from spectroflow.materials.composition import ELEMENTS, fractions
from spectroflow.materials.crystal import Crystal
from spectroflow.materials.powder import Widths, powder_pattern
from spectroflow.materials.reflections import Reflections, cost, reflections
from spectroflow.materials.traits import TRAITS, traits
from spectroflow.modality import Modality, resolve
from spectroflow.sources.manifest import Entry
from spectroflow.storage import CheckedWriter, Location, digest_bytes

XRD = "xrd"
MOST_TERMS = 5_000_000_000
"""A structure whose structure factors have more terms (atoms times reflections) is refused: minutes of work."""


@dataclass(slots=True)
class LibraryProcessor(AdditiveMetrics):
    """Computes what the planned structures diffract.

    Attributes
    ----------
    root, run
        The library and the run, below which the planned rows are.
    rows
        Planned structures.
    config
        The whole configuration.
    """

    root: Location
    run: str
    rows: int
    config: Config
    resources: Resources = field(default_factory=Resources)

    def setup(self) -> None:
        """Nothing has to be opened."""

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the patterns, of the record table and of the structures."""
        patterns, structures = layouts(self.run, self.rows, self.config)
        shards = range(unit.shard_start, unit.shard_stop)
        return segment_keys(patterns, segment_id(self.run, XRD), unit).union(*(structures.keys(s) for s in shards))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Read and write the unit shard by shard."""
        patterns, structures = layouts(self.run, self.rows, self.config)
        codes: Counter[str] = Counter()
        flags: Counter[str] = Counter()
        failures: list[Failure] = []
        for shard in range(unit.shard_start, unit.shard_stop):
            builder = ShardBuilder(patterns, shard)
            arrays = _empty(structures, builder.stop - builder.start)
            for row, plan in enumerate(self._planned(shard), builder.start):
                try:
                    if row in skip:
                        raise RecordError(
                            skip[row], "computing it ended the worker", remedy="Leave this structure out."
                        )
                    crystal, lines = self._structure(plan)
                    builder.put(row, *self._pattern(lines), _facts(plan, crystal))
                    _fill(arrays, row - builder.start, crystal, lines)
                    flags.update(crystal.flags)
                except RecordError as error:
                    builder.refuse(row, error.code, {**_named(plan), "made_of": plan["made_of"]})
                    arrays["status"][row - builder.start] = status.code_of(error.code)
                    if error.code != "DUPLICATE":
                        failures.append(Failure(row, error.code, plan["source"], error.message, error.remedy))
            structures.write(writer.zarr_store(structures.path), shard, arrays)
            codes += builder.write(writer, segment_id(self.run, XRD))
        return UnitResult(dict(codes), failures, {"codes": dict(codes), "flags": dict(flags)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Compute structures without writing."""
        patterns, _ = layouts(self.run, self.rows, self.config)
        for shard in range(unit.shard_start, unit.shard_stop):
            for row, plan in enumerate(self._planned(shard), patterns.span(shard)[0]):
                if row in rows:
                    try:
                        self._structure(plan)
                    except RecordError:
                        continue

    def _structure(self, plan: dict[str, Any]) -> tuple[Crystal, Reflections]:
        source = plan["source"]
        if plan["status"] != "OK":
            raise RecordError(plan["status"], plan["reason"], where=source, remedy="Correct or remove the file.")
        try:
            data = Location.parse(source).read_bytes()
        except FileNotFoundError:
            raise RecordError(
                "SOURCE_MISSING", "the file is gone", where=source, remedy="Build the library again."
            ) from None
        if digest_bytes(data) != plan["digest"]:
            raise RecordError(
                "SOURCE_CHANGED", "the file changed meanwhile", where=source, remedy="Build the library again."
            )
        found = read_cif(data, where=source)
        if len(found) != plan["records"]:
            raise RecordError(
                "RECORD_COUNT_CHANGED",
                f"{plan['records']} structures were announced and {len(found)} found",
                where=source,
                remedy="The CIF is damaged or has an unusual layout; export it again.",
            )
        crystal = found[plan["record"]]
        terms = cost(crystal, self.config.library.shortest)
        if terms > MOST_TERMS:
            raise RecordError(
                "TOO_LARGE",
                f"its structure factors would have {terms:.1e} terms",
                where=source,
                remedy="Leave it out, or raise library.shortest.",
            )
        return crystal, reflections(crystal, self.config.library.shortest).strongest(self.config.library.lines)

    def _pattern(self, lines: Reflections) -> tuple[Array, Array]:
        modality = diffraction(self.config)
        assert modality.wavelengths is not None
        axis = modality.grid.axis()
        widths = Widths.plain(self.config.library.fwhm)
        return axis, powder_pattern(lines, axis, wavelengths=modality.wavelengths, widths=widths).astype(np.float32)

    def _planned(self, shard: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = read_part(run_folder(self.root, self.run) / planned_key(XRD, shard)).to_pylist()
        return rows


def layouts(run: str, rows: int, config: Config) -> tuple[Layout, Layout]:
    """Return the arrays of the patterns and of the structures of a run, cut into the same shards."""
    modality = diffraction(config)
    points = modality.grid.points
    first = segment_layout("", rows, modality, config.archive, capacity=points)
    second = structure_layout("", rows, 1, config.library.lines, TRAITS, len(ELEMENTS), config.archive)
    shard = choose_shard_rows(rows, [a.row_bytes for a in (*first.arrays, *second.arrays)], config.archive)
    return (
        segment_layout(segment_id(run, XRD), rows, modality, config.archive, shard_rows=shard, capacity=points),
        structure_layout(layer_id(run), rows, shard, config.library.lines, TRAITS, len(ELEMENTS), config.archive),
    )


def layer_id(run: str) -> str:
    """Return the id of the layer that a run writes."""
    return f"{run}-structure"


def diffraction(config: Config) -> Modality:
    """Return the modality of the patterns."""
    return resolve(config.modality)[XRD]


def _empty(layout: Layout, rows: int) -> dict[str, Array]:
    return {array.name: np.full((rows, *array.inner), array.fill, array.dtype) for array in layout.arrays}


def _fill(arrays: dict[str, Array], i: int, crystal: Crystal, lines: Reflections) -> None:
    columns = (lines.spacing, lines.strength, lines.multiplicity)
    arrays["reflection"][i, : len(lines)] = np.stack(columns, axis=1)
    arrays["traits"][i] = traits(crystal, lines)
    arrays["composition"][i] = fractions([crystal.amounts])[0]
    arrays["cell"][i] = (*crystal.cell, crystal.volume)
    arrays["status"][i] = status.OK


def _named(plan: dict[str, Any]) -> dict[str, Any]:
    entry = Entry.from_json(plan["said"])
    named = {"source": plan["source"], "record": plan["record"], "sample_id": entry.sample_id, "label": entry.label}
    return {**entry.metadata, **named, "formula": entry.formula, "duplicate_of": plan["duplicate_of"] or None}


def _facts(plan: dict[str, Any], crystal: Crystal) -> dict[str, Any]:
    said = _named(plan)
    return {
        **said,
        "label": said["label"] or crystal.name,
        "formula": said["formula"] or crystal.formula,
        "name": crystal.name,
        "space_group": crystal.space_group,
        "space_group_number": crystal.number or None,
        "cell": [round(value, 6) for value in crystal.cell],
        "structure_flags": list(crystal.flags) or None,
        "file_digest": plan["digest"],
        "made_of": plan["made_of"],
    }
