from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.archive import SegmentEntry, add_segments, commit, latest_version, read_version
from spectroflow.archive.findings import Examined, Finding
from spectroflow.archive.verify import verify
from spectroflow.engine import Unit, UnitResult
from spectroflow.errors import ArchiveError
from spectroflow.storage import CheckedWriter, Location
from tests.archive.archive_kit import Filler, add_lines, add_measured, run_filler

ROWS = {"raman-a": 19, "raman-b": 8}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    root = Location.parse(folder)
    add_measured(root, ROWS)
    add_lines(root, ROWS)
    return folder


@pytest.fixture
def archive(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "archive")
    return tmp_path / "archive"


def _verify(folder: Path | str, **options: bool) -> list[Finding]:
    root = Location.parse(folder)
    try:
        version = latest_version(root)
    except ArchiveError:
        # The newest version itself is damaged; the one before it names part of what the newest names.
        version = read_version(root, 1)
    return list(verify(root, version, **options))  # type: ignore[arg-type]


def _checked_files(folder: Path) -> list[Path]:
    """Everything whose bytes a reader of the archive relies on."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.relative_to(folder).parts[0] != "runs"]
    return [*files, *sorted(folder.glob("runs/*/done/*.json")), *sorted(folder.glob("runs/*/quarantine/*.jsonl"))]


def test_nothing_is_found_in_what_was_just_written(archive: Path) -> None:
    examined = Examined()
    root = Location.parse(archive)
    assert list(verify(root, latest_version(root), examined=examined)) == []
    data = [p for p in _checked_files(archive) if p.parent.name != "done"]
    assert examined.objects == len(data)
    assert examined.bytes == sum(p.stat().st_size for p in data)
    assert (examined.damaged, examined.leftovers) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_is_found(pristine: Path, data: st.DataObject) -> None:
    files = _checked_files(pristine)
    victim = data.draw(st.sampled_from(files))
    content = victim.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flip = data.draw(st.integers(1, 255))
    victim.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
    try:
        found = _verify(pristine)
    finally:
        victim.write_bytes(content)
    assert any(finding.damage for finding in found)
    key = str(victim.relative_to(pristine))
    if not key.startswith("runs"):
        assert key in {finding.key for finding in found}


def test_any_missing_object_is_found(pristine: Path) -> None:
    for victim in _checked_files(pristine):
        if victim.parent.name == "versions":
            continue
        content = victim.read_bytes()
        victim.unlink()
        try:
            found = _verify(pristine)
        finally:
            victim.write_bytes(content)
        assert found, victim
        assert all(finding.kind in {"missing", "marker"} for finding in found) or victim.name == "zarr.json"
    assert _verify(pristine) == []


def test_extra_shards_and_unknown_objects_are_found_and_leftovers_told_apart(archive: Path) -> None:
    extra = {
        "segments/raman-a/spectra.zarr/intensity/c/3/0": "unexpected",
        "segments/raman-a/records/part-000003.parquet": "unexpected",
        "layers/raman-b-lines-c1/notes.txt": "unexpected",
        "versions/3.json": "unexpected",
        f"runs/{latest_version(Location.parse(archive)).run}/quarantine/nobody.jsonl": "unexpected",
        "segments/raman-b/spectra.zarr/status/c/0.0123456789abcdef.partial": "leftover",
    }
    for key in extra:
        (archive / key).parent.mkdir(exist_ok=True)
        (archive / key).write_bytes(b"?")
    found = _verify(archive)
    assert {finding.key: finding.kind for finding in found} == extra
    assert [finding.key for finding in found if not finding.damage] == [key for key in extra if "partial" in key]


def test_a_shard_that_was_all_fill_and_is_there_is_found(tmp_path: Path) -> None:
    """A marker names no object for a shard of fill values; one that turns up would be read as data."""

    class Empty(Filler):
        def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
            result = super().process(unit, writer, skip)
            if unit.shard_start == 1:
                for key in self.layout(unit.group).keys(1):
                    if "/status/" not in key:
                        writer.discard(key)
            return result

    root = Location.parse(tmp_path)
    plan = run_filler(root, Empty(root, {"raman-a": 19}), ["of-raman-a"], "convert")
    entry = SegmentEntry(id="raman-a", modality="raman", rows=19, shard_rows=8, origin="measured", run=plan.run)
    commit(root, lambda base: add_segments(base, [entry]), command="convert", run=plan.run)
    assert _verify(tmp_path) == []
    shards = root / "segments/raman-a/spectra.zarr/intensity/c"
    (shards / "1/0").write_bytes((shards / "0/0").read_bytes())
    assert [finding.kind for finding in _verify(tmp_path)] == ["unexpected"]


def test_swapped_shards_are_found(archive: Path) -> None:
    one, other = (archive / f"segments/raman-a/spectra.zarr/intensity/c/{n}/0" for n in (0, 1))
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    assert {finding.kind for finding in _verify(archive)} == {"altered"}


def test_sizes_alone_find_truncation_without_reading(archive: Path) -> None:
    victim = archive / "segments/raman-a/spectra.zarr/axis/c/0/0"
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert _verify(archive, read=False) == []
    victim.write_bytes(content[:-1])
    found = _verify(archive, read=False)
    assert [(finding.kind, finding.key) for finding in found] == [("altered", str(victim.relative_to(archive)))]


def test_a_lost_plan_and_a_lost_run_are_said(archive: Path) -> None:
    version = latest_version(Location.parse(archive))
    plan = archive / "runs" / version.segments[0].run / "plan.json"
    plan.unlink()
    found = _verify(archive)
    assert any(finding.kind == "marker" and finding.key.endswith("plan.json") for finding in found)
    shutil.rmtree(archive / "runs" / version.layers[0].run)
    assert sum(finding.key.endswith("plan.json") for finding in _verify(archive)) == 2


def test_the_output_of_a_run_in_progress_is_nobodys_damage(archive: Path) -> None:
    root = Location.parse(archive)
    run_filler(root, Filler(root, {"raman-c": 8}), ["of-raman-c"], "convert")
    assert _verify(archive) == []


def test_a_version_that_contradicts_itself_is_found(archive: Path) -> None:
    root = Location.parse(archive)
    commit(
        root,
        lambda base: base.model_copy(
            update={
                "superseded": {"raman-a": ((5, 25),), "raman-x": ((0, 1),)},
                "segments": base.segments[:1],
                "catalogues": ("convert-000",),
            }
        ),
        command="test",
        run="test",
    )
    texts = " ".join(finding.detail for finding in _verify(archive))
    assert "rows that segment raman-a does not have" in texts
    assert "rows of segment raman-x, which it does not name" in texts
    assert "describes segment raman-b, which it does not name" in texts
    assert "catalogue of sources counts is gone" in texts


def test_an_entry_of_other_facts_than_its_arrays_is_found(archive: Path) -> None:
    root = Location.parse(archive)
    wrong = latest_version(root).segments[0].model_copy(update={"origin": "simulated", "rows": 20})
    commit(
        root,
        lambda base: base.model_copy(update={"segments": (wrong, *base.segments[1:])}),
        command="test",
        run="test",
    )
    details = [finding.detail for finding in _verify(archive) if finding.key.endswith("spectra.zarr/zarr.json")]
    assert any("origin is 'measured'" in detail for detail in details)
    assert any("has 19 rows, the version says 20" in detail for detail in details)


def test_findings_on_s3_are_the_same(pristine: Path, s3: str) -> None:
    remote = Location.parse(f"{s3}/verify")
    for path in sorted(pristine.rglob("*")):
        if path.is_file():
            (remote / str(path.relative_to(pristine))).write_bytes(path.read_bytes())
    assert list(verify(remote, latest_version(remote))) == []
    key = "segments/raman-a/spectra.zarr/intensity/c/1/0"
    content = (remote / key).read_bytes()
    (remote / key).write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
    (remote / "segments/raman-a/extra").write_bytes(b"x")
    (remote / "segments/raman-a/records/part-000001.parquet").delete()
    found = {finding.key: finding.kind for finding in verify(remote, latest_version(remote))}
    assert found == {
        key: "altered",
        "segments/raman-a/extra": "unexpected",
        "segments/raman-a/records/part-000001.parquet": "missing",
    }


def test_memory_does_not_grow_with_what_is_read(tmp_path: Path) -> None:
    peaks = []
    for shards in (6, 48):
        root = Location.parse(tmp_path / str(shards))
        add_measured(root, {"raman-a": 8 * shards})
        tracemalloc.start()
        assert sum(1 for _ in verify(root, latest_version(root), threads=1)) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    size = sum(path.stat().st_size for path in tmp_path.rglob("segments/**/*") if path.is_file())
    assert peaks[1] - peaks[0] < size / 4, (peaks, size)
