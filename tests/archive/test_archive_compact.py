from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectroflow import status
from spectroflow.archive import Archive, LayerEntry, Version, add_layers, add_segments, commit, latest_version
from spectroflow.archive.arrays import ArraySpec, Layout
from spectroflow.archive.compact import (
    Merge,
    choose_merges,
    commit_merges,
    compaction_plan,
    merge_processor,
    prepare_merges,
)
from spectroflow.archive.layer import create_layer, layer_path
from spectroflow.archive.records import SCHEMA
from spectroflow.archive.verify import verify
from spectroflow.config import ArchiveConfig
from spectroflow.engine import ExecuteOptions, Group, Ledger, Marker, Plan, all_failures, execute, run_folder
from spectroflow.engine.plan import secure
from spectroflow.errors import ArchiveError, CommitConflict, SpectroFlowError
from spectroflow.storage import CheckedWriter, Location
from tests.archive.archive_kit import CONFIG, add_lines, add_measured, layer_id, record_of, values_of

NIGHTS = {"raman-a": 19, "raman-b": 8, "raman-c": 3}


def _archive(root: Location) -> None:
    for name, rows in NIGHTS.items():
        add_measured(root, {name: rows})
    add_lines(root, NIGHTS)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    _archive(Location.parse(folder))
    return folder


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Location:
    shutil.copytree(pristine, tmp_path / "archive")
    return Location.parse(tmp_path / "archive")


def _supersede(root: Location, rows: dict[str, list[int]], run: str = "convert-late") -> Version:
    return commit(root, lambda base: add_segments(base, [], superseded=rows), command="convert", run=run)


def _write(
    root: Location, merges: list[Merge], config: ArchiveConfig = CONFIG, unit_shards: int = 1
) -> tuple[str, dict[str, int]]:
    plan = compaction_plan(latest_version(root), merges, config, unit_shards=unit_shards)
    result = execute(
        plan,
        pickle.loads(pickle.dumps(merge_processor(root, merges, config))),
        root,
        prepare=lambda _: prepare_merges(root, merges, config),
        options=ExecuteOptions(workers=0),
    )
    return plan.run, result.metrics["ok"]


def _compact(root: Location, config: ArchiveConfig = CONFIG) -> Version:
    merges = choose_merges(root, latest_version(root), config)
    run, ok = _write(root, merges, config)
    return commit_merges(root, merges, run, ok)


def _members(merges: list[Merge]) -> list[list[str]]:
    return [[member.entry.id for member in merge.members] for merge in merges]


def _content(root: Location) -> dict[str, tuple[object, ...]]:
    """Everything a reader gets of each record that is not superseded, by what identifies the record."""
    archive = Archive(root)
    found = {}
    for entry in archive.segments():
        arrays = {name: archive.array(entry.id, name) for name in ("axis", "intensity", "status")}
        layers = {
            (layer.kind, layer.config): {name: archive.layer_array(layer, name) for name in ("lines", "fit", "status")}
            for layer in archive.version.layers
            if layer.segment == entry.id
        }
        for record in archive.segment_records(entry).to_pylist():
            row = record["row"]
            fitted = [
                (key, *(array[row].tobytes() for array in values.values())) for key, values in sorted(layers.items())
            ]
            known = tuple(record[name] for name in SCHEMA.names if name != "row")
            found[record["digest"]] = (known, *(array[row].tobytes() for array in arrays.values()), *fitted)
    return found


def test_nothing_but_the_number_of_segments_changes(root: Location) -> None:
    before = _content(root)
    version = _compact(root)
    assert len(version.segments) == len(version.layers) == 1
    assert version.segments[0].rows == sum(NIGHTS.values())
    assert version.segments[0].ok == sum(
        values_of(n, r)["status"] == 0 for n, rows in NIGHTS.items() for r in range(rows)
    )
    assert _content(root) == before
    assert len(before) == 30
    records = Archive(root).records()
    assert records["row"].to_pylist() == list(range(30))
    assert list(verify(root, latest_version(root))) == []


def test_superseded_rows_are_dropped_and_layers_stay_aligned(root: Location) -> None:
    _supersede(root, {"raman-a": [0, 1, 2, 17], "raman-c": [0, 1, 2]})
    before = _content(root)
    version = _compact(root)
    assert version.segments[0].rows == 23
    assert version.superseded == {}
    assert _content(root) == before
    lines = Archive(root).layer_array(version.layers[0], "lines")[:, 0, 0]
    status = Archive(root).array(version.segments[0].id, "status")
    wanted = [row for row in range(19) if row not in {0, 1, 2, 17}] + list(range(8))
    assert np.array_equal(lines[status == 0], [row for row, code in zip(wanted, status, strict=True) if code == 0])
    assert list(verify(root, version)) == []


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hidden=st.fixed_dictionaries({name: st.sets(st.integers(0, rows - 1)) for name, rows in NIGHTS.items()}),
    shard_rows=st.integers(1, 40),
    chunk_rows=st.integers(1, 8),
    unit_shards=st.integers(1, 3),
)
def test_any_cut_and_any_superseded_rows_keep_every_other_record(
    pristine: Path,
    tmp_path_factory: pytest.TempPathFactory,
    hidden: dict[str, set[int]],
    shard_rows: int,
    chunk_rows: int,
    unit_shards: int,
) -> None:
    folder = tmp_path_factory.mktemp("cut") / "archive"
    shutil.copytree(pristine, folder)
    root = Location.parse(folder)
    _supersede(root, {name: sorted(rows) for name, rows in hidden.items()})
    before = _content(root)
    config = ArchiveConfig(shard_rows=shard_rows, chunk_rows=chunk_rows)
    merges = choose_merges(root, latest_version(root), config, small_rows=1000)
    if before:
        run, ok = _write(root, merges, config, unit_shards)
        commit_merges(root, merges, run, ok)
    assert _content(root) == before
    assert list(verify(root, latest_version(root))) == []


def test_compacting_twice_does_nothing_more(root: Location) -> None:
    version = _compact(root)
    assert choose_merges(root, version, CONFIG) == []


def test_a_compaction_killed_at_any_time_is_taken_up_again(root: Location) -> None:
    merges = choose_merges(root, latest_version(root), CONFIG)
    run, _ = _write(root, merges)
    assert len(latest_version(root).segments) == 3
    for name in (run_folder(root, run) / "done").list()[1:]:
        (run_folder(root, run) / "done" / name).delete()
    again = choose_merges(root, latest_version(root), CONFIG)
    assert again == merges
    same_run, ok = _write(root, again)
    assert same_run == run
    version = commit_merges(root, again, run, ok)
    assert commit_merges(root, again, run, ok) == version == latest_version(root)


def test_what_failed_can_still_be_explained(root: Location) -> None:
    version = _compact(root)
    archive = Archive(root)
    noted = {failure.row: failure for _, failure in all_failures(run_folder(root, version.segments[0].run))}
    failed = archive.records("status != 0")
    assert set(failed["row"].to_pylist()) == set(noted)
    for row, source in zip(failed["row"].to_pylist(), failed["source"].to_pylist(), strict=True):
        assert (noted[row].code, noted[row].source, noted[row].reason) == (
            "BAD_NUMBER",
            source,
            "text among the numbers",
        )


def test_only_what_belongs_together_is_merged(root: Location) -> None:
    add_measured(root, {"xrd-a": 5}, kind="xrd")
    add_measured(root, {"raman-d": 4})
    add_measured(root, {"raman-e": 6})
    merges = choose_merges(root, latest_version(root), CONFIG)
    assert _members(merges) == [["raman-a", "raman-b", "raman-c"], ["raman-d", "raman-e"]]


def test_large_segments_are_left_alone_unless_much_of_them_is_superseded(root: Location) -> None:
    version = latest_version(root)
    assert [[m.entry.id for m in x.members] for x in choose_merges(root, version, CONFIG, small_rows=8)] == [
        ["raman-b", "raman-c"]
    ]
    version = _supersede(root, {"raman-a": list(range(6))})
    assert [[m.entry.id for m in x.members] for x in choose_merges(root, version, CONFIG, small_rows=2)] == [
        ["raman-a"]
    ]


def test_segments_aligned_with_another_archive_are_left_alone(root: Location) -> None:
    def aligned(base: Version) -> Version:
        entries = [entry.model_copy(update={"source_segment": f"in-{entry.id}"}) for entry in base.segments]
        return base.model_copy(update={"segments": tuple(entries)})

    version = commit(root, aligned, command="transfer", run="transfer-1")
    assert choose_merges(root, version, CONFIG) == []


@pytest.mark.parametrize("harm", ["flip", "lose"])
@pytest.mark.parametrize("key", ["spectra.zarr/intensity/c/1/0", "records/part-000001.parquet", "of its failed rows"])
def test_damage_is_never_copied(root: Location, harm: str, key: str) -> None:
    """A shard that is missing reads as fill values; its copy would be whole and wrong."""
    victim = root / "segments/raman-a" / key
    if key == "of its failed rows":
        run = latest_version(root).segment("raman-a").run
        victim = run_folder(root, run) / "quarantine/of-raman-a-000001.jsonl"
    content = victim.read_bytes()
    victim.delete() if harm == "lose" else victim.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    merges = choose_merges(root, latest_version(root), CONFIG)
    with pytest.raises(SpectroFlowError, match=r"missing|altered"):
        _write(root, merges)
    assert len(latest_version(root).segments) == 3


def test_altered_metadata_is_never_copied(root: Location) -> None:
    victim = root / "segments/raman-a/spectra.zarr/zarr.json"
    victim.write_bytes(victim.read_bytes().replace(b'"cm-1"', b'"cm-2"'))
    with pytest.raises(ArchiveError, match="altered"):
        choose_merges(root, latest_version(root), CONFIG)


def test_rows_superseded_while_it_ran_are_superseded_in_the_new_segment(root: Location) -> None:
    _supersede(root, {"raman-a": [2, 5]})
    merges = choose_merges(root, latest_version(root), CONFIG)
    run, ok = _write(root, merges)
    _supersede(root, {"raman-a": [4, 18], "raman-c": [1]}, run="convert-later")
    before = _content(root)
    version = commit_merges(root, merges, run, ok)
    assert len(version.segments) == 1
    assert _content(root) == before
    assert list(verify(root, version)) == []


def test_a_layer_added_while_it_ran_is_not_lost(root: Location) -> None:
    merges = choose_merges(root, latest_version(root), CONFIG)
    run, ok = _write(root, merges)
    add_lines(root, {"raman-b": 8}, config="c2")
    with pytest.raises(CommitConflict, match=r"raman-b-lines-c2 was added to segment raman-b"):
        commit_merges(root, merges, run, ok)
    assert layer_id("raman-b", "c2") in {layer.id for layer in latest_version(root).layers}


def test_others_that_rely_on_compacted_segments_are_told(root: Location) -> None:
    _compact(root)
    with pytest.raises(CommitConflict, match="no longer part of the archive"):
        _supersede(root, {"raman-a": [3]})
    with pytest.raises(CommitConflict, match="no longer part of the archive"):
        add_lines(root, {"raman-a": 19}, config="c2")


def _evaluate(root: Location, name: str, segment: str, target: str) -> np.ndarray:
    """Write and commit an evaluation layer of one direction, and return its scores."""
    arrays = (
        ArraySpec("score", (2,), "float32", float("nan"), ("spectrum", "measure")),
        ArraySpec("status", (), "uint8", status.NOT_DONE, ("spectrum",), noisy=False),
    )
    layout = Layout(layer_path(name, "evaluation"), 8, 8, 4, arrays)
    create_layer(root, layout, segment, {"measure": ("r", "rmse")}, target=target)
    plan = Plan.of(job="evaluate", groups=[Group(name=name, rows=8, shard_rows=8)])
    scores = np.random.default_rng(len(target)).random((8, 2), np.float32)
    secure(plan, run_folder(root, plan.run))
    writer = CheckedWriter(root, layout.keys(0))
    layout.write(writer.zarr_store(layout.path), 0, {"score": scores, "status": np.zeros(8, np.uint8)})
    marker = Marker(f"{name}-000000", 1, 8, {"OK": 8}, {}, writer.written, plan.fingerprint, 0.0)
    Ledger(run_folder(root, plan.run), plan.fingerprint).mark(marker)
    layer = LayerEntry(id=name, kind="evaluation", segment=segment, config="m1", run=plan.run)
    commit(root, lambda base: add_layers(base, [layer]), command="evaluate", run=plan.run)
    return scores


def test_layers_of_other_kinds_stay_with_rows_that_are_not_done_where_a_segment_had_none(root: Location) -> None:
    """Two directions of one evaluation have the same kind and configuration, and are not the same."""
    wanted = {target: _evaluate(root, f"e-{target}", "raman-b", target) for target in ("ir", "xrd")}
    version = _compact(root)
    archive = Archive(root)
    merged = [layer for layer in version.layers if layer.kind == "evaluation"]
    assert {archive.layer_names(layer)["target"] for layer in merged} == {"ir", "xrd"}
    for layer in merged:
        assert layer.config == "m1"
        names = archive.layer_names(layer)
        assert (names["measure"], names["segment"]) == (["r", "rmse"], version.segments[0].id)
        found = archive.layer_array(layer, "score")
        assert np.array_equal(found[19:27], wanted[names["target"]])
        assert np.isnan(np.delete(found, range(19, 27), axis=0)).all()
        assert archive.layer_array(layer, "status").tolist() == [255] * 19 + [0] * 8 + [255] * 3
    assert list(verify(root, version)) == []


def test_a_conversion_committed_meanwhile_stays(root: Location) -> None:
    merges = choose_merges(root, latest_version(root), CONFIG)
    run, ok = _write(root, merges)
    add_measured(root, {"raman-new": 5})
    version = commit_merges(root, merges, run, ok)
    assert [entry.id for entry in version.segments] == [merges[0].segment, "raman-new"]


def test_it_works_on_s3(s3: str) -> None:
    root = Location.parse(f"{s3}/compact")
    add_measured(root, {"raman-a": 5})
    add_measured(root, {"raman-b": 4})
    add_lines(root, {"raman-a": 5, "raman-b": 4})
    version = _compact(root)
    assert [entry.rows for entry in version.segments] == [9]
    assert list(verify(root, version)) == []
    spectrum = Archive(root).spectrum(version.segments[0].id, 6)
    assert spectrum.record["digest"] == record_of("raman-b", 1)["digest"]
