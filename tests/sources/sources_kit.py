"""Small archives of sources for tests."""

from __future__ import annotations

import os
from pathlib import Path

from spectroflow.modality import builtin
from spectroflow.sources import Catalogue, SourcePlan, plan_sources, read_manifest

MODALITIES = builtin()
_clock = [1_600_000_000]


def spectrum(seed: int, points: int = 20) -> str:
    """Return two columns of numbers that differ for every seed."""
    return "".join(f"{100 + i} {(seed * 7 + i * i) % 101 + 1}\n" for i in range(points))


def rruff(seed: int, name: str = "Quartz", sample: str = "R000001") -> str:
    """Return a RRUFF text file."""
    return f"##NAMES={name}\n##RRUFFID={sample}\n" + spectrum(seed).replace(" ", ", ") + "##END=\n"


def put(path: Path, text: str | bytes) -> Path:
    """Write a file with a modification time that no other has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    touch(path)
    return path


def touch(path: Path) -> None:
    """Give a file a new modification time."""
    _clock[0] += 10
    os.utime(path, (_clock[0], _clock[0]))


def plan(
    *sources: Path | str, previous: SourcePlan | None = None, manifest: Path | None = None, **options
) -> SourcePlan:
    """Plan, with the catalogue of an earlier plan taken through its Parquet form."""
    before = None if previous is None else Catalogue.from_parquet(previous.catalogue.to_parquet())
    said = None if manifest is None else read_manifest(str(manifest), options.pop("columns", None))
    return plan_sources([str(each) for each in sources], MODALITIES, previous=before, manifest=said, **options)


def outcomes(found: SourcePlan) -> dict[str, str]:
    """Return the status of each planned row by the name of its source's file."""
    return {
        row["source"].rsplit("/", 1)[-1] + (f"#{row['record']}" if row["records"] > 1 else ""): row["status"]
        for table in found.rows.values()
        for row in table.to_pylist()
    }


def modality_of(found: SourcePlan) -> dict[str, str]:
    """Return the modality under which each source's file is planned."""
    return {row["source"].rsplit("/", 1)[-1]: name for name, table in found.rows.items() for row in table.to_pylist()}
