"""Layers: immutable results, row-aligned with one segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectroflow import status
from spectroflow.archive.arrays import ArraySpec, Layout
from spectroflow.config import ArchiveConfig
from spectroflow.storage import Location

LINES = "lines"
EVALUATION = "evaluation"
STRUCTURE = "structure"


def layer_path(layer: str, kind: str) -> str:
    """Return where the arrays of a layer are, relative to the archive."""
    return f"layers/{layer}/{kind}.zarr"


def lines_layout(
    layer: str, rows: int, shard_rows: int, slots: int, parameters: int, quantities: int, config: ArchiveConfig
) -> Layout:
    """Return the arrays of a lines layer.

    Parameters
    ----------
    layer
        Its id.
    rows, shard_rows
        Of the segment it describes, so that the shards of both hold the same rows.
    slots, parameters
        Lines per spectrum and numbers per line.
    quantities
        Numbers per fit.
    config
        Gives the rows of a chunk.
    """
    nan = float("nan")
    arrays = (
        ArraySpec("lines", (slots, parameters), "float32", nan, ("spectrum", "slot", "parameter")),
        ArraySpec("fit", (quantities,), "float32", nan, ("spectrum", "quantity")),
        ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
    )
    return Layout(layer_path(layer, LINES), rows, shard_rows, config.chunk_rows, arrays)


def evaluation_layout(layer: str, rows: int, shard_rows: int, measures: int, config: ArchiveConfig) -> Layout:
    """Return the arrays of an evaluation layer: one score per spectrum and measure."""
    arrays = (
        ArraySpec("score", (measures,), "float32", float("nan"), ("spectrum", "measure")),
        ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
    )
    return Layout(layer_path(layer, EVALUATION), rows, shard_rows, config.chunk_rows, arrays)


def structure_layout(
    layer: str, rows: int, shard_rows: int, lines: int, traits: int, elements: int, config: ArchiveConfig
) -> Layout:
    """Return the arrays of a structure layer: what a crystal diffracts at any wavelength, and what it is like.

    Parameters
    ----------
    lines
        Powder lines per structure: spacing (angstrom), strength (electrons^2 per cell) and multiplicity of each.
    traits, elements
        Numbers that describe a structure, and atomic fractions.
    """
    nan = float("nan")
    arrays = (
        ArraySpec("reflection", (lines, 3), "float32", nan, ("spectrum", "slot", "parameter"), (min(lines, 512), 3)),
        ArraySpec("traits", (traits,), "float32", nan, ("spectrum", "trait")),
        ArraySpec("composition", (elements,), "float32", nan, ("spectrum", "element"), noisy=False),
        ArraySpec("cell", (7,), "float64", nan, ("spectrum", "cell"), noisy=False),
        ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
    )
    return Layout(layer_path(layer, STRUCTURE), rows, shard_rows, config.chunk_rows, arrays)


def create_layer(root: Location, layout: Layout, segment: str, names: dict[str, Sequence[str]], **extra: Any) -> None:
    """Write the metadata of a layer, with the names of what its last axes hold."""
    attributes = {
        "segment": segment,
        "status_codes": status.table(),
        **{key: list(value) for key, value in names.items()},
        **extra,
    }
    layout.create(root, attributes)
