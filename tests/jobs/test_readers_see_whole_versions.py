"""Law 5: while a run goes on, a reader sees what was committed and nothing of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import spectroflow
from spectroflow.config import load
from spectroflow.engine.events import Event, UnitDone
from spectroflow.errors import ArchiveError
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.fit import fit
from spectroflow.jobs.simulate import simulate


def _seen(archive: Path) -> tuple[int, int, int]:
    """Return version, rows and layers that a reader finds, after looking at every row."""
    try:
        opened = spectroflow.open(str(archive))
    except ArchiveError:
        return 0, 0, 0
    for entry in opened.segments():
        assert not (opened.array(entry.id, "status") == 255).any()
        assert np.array_equal(np.sort(opened.segment_records(entry)["row"].to_numpy()), np.arange(entry.rows))
    for layer in opened.version.layers:
        assert not (opened.layer_array(layer, "status") == 255).any()
    return opened.version.number, sum(entry.rows for entry in opened.segments()), len(opened.version.layers)


def test_a_reader_never_sees_half_a_run(tmp_path: Path, inline: JobOptions) -> None:
    config = load(None, ["archive.shard_rows=4", "archive.chunk_rows=2", "simulate.materials=3", "simulate.samples=2"])
    for name, seed in (("first", 0), ("second", 1)):
        seeded = config.model_copy(update={"simulate": config.simulate.model_copy(update={"seed": seed})})
        simulate(str(tmp_path / name), form="files", options=replace(inline, config=seeded))
    archive = tmp_path / "archive"
    seen: list[tuple[int, int, int]] = []

    def look(event: Event) -> None:
        if isinstance(event, UnitDone):
            seen.append(_seen(archive))

    options = replace(inline, config=config, listener=look)
    for name in ("first", "second"):
        convert([str(tmp_path / name)], str(archive), manifest=str(tmp_path / name / "manifest.csv"), options=options)
        fit(str(archive), options=options)
    assert len(seen) > 15
    assert sorted(set(seen)) == [(0, 0, 0), (1, 18, 0), (2, 18, 3), (3, 36, 3)]
    assert seen == sorted(seen)
    assert _seen(archive) == (4, 36, 6)
