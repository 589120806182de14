"""Conversion: everything accounted for, only what is new, nothing lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

import spectroflow
from spectroflow.archive import commit, latest_version
from spectroflow.config import load
from spectroflow.engine.events import UnitDone
from spectroflow.errors import CommitConflict
from spectroflow.jobs import JobOptions
from spectroflow.jobs.convert import convert
from spectroflow.jobs.export import export
from spectroflow.jobs.inspection import status
from spectroflow.jobs.retry import retry
from spectroflow.sources.reading import has_digest
from spectroflow.storage import Location

Digests = Callable[[Path], dict[str, str]]


def _convert(files: Path, archive: Path, options: JobOptions, **extra: object) -> dict[str, object]:
    summary = convert([str(files)], str(archive), manifest=str(files / "manifest.csv"), options=options, **extra)  # type: ignore[arg-type]
    return summary.to_json()


def _readable(files: Path, modality: str) -> list[Path]:
    return sorted(path for path in (files / modality).iterdir() if path.name.startswith("Syn"))


def _rows(summary: dict[str, object]) -> dict[str, int]:
    rows = summary["rows"]
    assert isinstance(rows, dict)
    assert rows["ok"] + rows["failed"] + rows["skipped"] == rows["total"]
    return rows


def test_every_file_is_accounted_for_and_read_back_equal(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    rows = _rows(_convert(files, tmp_path / "archive", inline))
    opened = spectroflow.open(str(tmp_path / "archive"))
    assert rows["ok"] == 24
    assert rows["failed"] == 5
    assert sum(sum(table.values()) for table in opened.counts.values()) == rows["total"]
    for spectrum in opened.spectra(modality="xrd"):
        columns = np.loadtxt(spectrum.record["source"])
        assert np.array_equal(spectrum.axis, columns[:, 0])
        assert np.array_equal(spectrum.intensity, columns[:, 1].astype(np.float32))
        assert spectrum.record["label"]
        assert spectrum.record["sample_id"]


def test_each_failure_has_a_code_a_source_a_reason_and_a_remedy(
    files: Path, tmp_path: Path, inline: JobOptions
) -> None:
    _convert(files, tmp_path / "archive", inline)
    failures = status(str(tmp_path / "archive")).details["failures"]
    assert len(failures) == 5
    for failure in failures:
        assert failure["code"]
        assert Path(failure["source"]).exists()
        assert failure["reason"]
        assert failure["remedy"]
        data = Path(failure["source"]).read_bytes()
        assert has_digest(data, failure["digest"]), "so that one can tell whether the file was mended since"
    lines = status(str(tmp_path / "archive")).lines
    assert sum(failure["digest"][:12] in line for line in lines for failure in failures) >= 5


def test_status_says_once_why_many_records_of_one_file_failed(tmp_path: Path, inline: JobOptions) -> None:
    """A map of unknown modality is one line with its number of records; another file keeps a line of its own."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = "".join(f"{x}\t{x % 7}\t{x % 5}\t{x % 3}\n" for x in range(200))
    (folder / "map.tsv").write_text("position\tfirst\tsecond\tthird\n" + rows)
    (folder / "one.tsv").write_text("".join(f"{x}\t{x % 11}\n" for x in range(200)))
    summary = convert([str(folder)], str(tmp_path / "archive"), options=inline)
    assert summary.rows.failed == 4
    found = status(str(tmp_path / "archive"))
    (of_map,) = [line for line in found.lines if "map.tsv" in line]
    (of_one,) = [line for line in found.lines if "one.tsv" in line]
    assert of_map.endswith("[3 records]")
    assert "records]" not in of_one
    assert "failed: 4 UNKNOWN_MODALITY" in found.lines
    assert len(found.details["failures"]) == 4
    assert status(str(tmp_path / "archive"), limit=1).lines[-1].startswith("... and ")


def test_a_second_run_takes_nothing_and_a_third_only_what_changed(
    files: Path, tmp_path: Path, inline: JobOptions
) -> None:
    archive = tmp_path / "archive"
    _convert(files, archive, inline)
    again = _convert(files, archive, inline)
    assert again["status"] == "nothing to do"
    assert latest_version(Location.parse(archive)).number == 1
    changed = _readable(files, "raman")[0]
    lines = changed.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if not line.startswith("##"))
    lines[first] = lines[first].split(",")[0] + ", 12.5"
    changed.write_text("\n".join(lines) + "\n")
    os.utime(changed, (time.time() + 5, time.time() + 5))
    assert _rows(_convert(files, archive, inline))["total"] == 1
    opened = spectroflow.open(str(archive))
    records = opened.records(f"source == {str(changed)!r}")
    assert records.num_rows == 1, "the old record is superseded"
    assert len(opened.segments("raman")) == 2
    earlier = spectroflow.open(str(archive), version=1).records(f"source == {str(changed)!r}")
    assert earlier.num_rows == 1
    assert earlier["digest"] != records["digest"]


def test_flags_are_counted_and_what_a_file_says_of_itself_has_columns(tmp_path: Path, inline: JobOptions) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    head = "##TITLE=quartz\n##JCAMP-DX=4.24\n##DATA TYPE=RAMAN SPECTRUM\n##MOLFORM=SiO2\n##LONGDATE=2001/02/03\n"
    head += "##SPECTROMETER/DATA SYSTEM=Horiba\n##$LASER=532\n##XUNITS=1/CM\n##YUNITS=COUNTS\n##XYPOINTS=(XY..XY)\n"
    points = "".join(f"{900 - i}, {i * i % 23 + 1}\n" for i in range(300))
    (folder / "down.jdx").write_text(f"{head}{points}##END=\n")
    rows = "".join(f"{100 + i}, {i * i % 29 + 1}\n" for i in range(300))
    named = "Quartz__R1__Raman__785__45__oriented__Raman_Data_RAW__1.txt"
    (folder / named).write_text(f"##NAMES=Quartz\n##RRUFFID=R1\n{rows}##END=\n")
    summary = convert([str(folder)], str(tmp_path / "archive"), options=inline)
    assert summary.rows.ok == 2
    flags = summary.details["modalities"]["raman"]["flags"]
    assert flags["DESCENDING"] == 1
    table = spectroflow.open(str(tmp_path / "archive")).records("status == 0")
    found = {Path(row["source"]).name: row for row in table.to_pylist()}
    columns = ("laser", "instrument", "orientation", "date", "formula")
    assert [found["down.jdx"][name] for name in columns] == [532.0, "Horiba", None, "2001/02/03", "SiO2"]
    assert [found[named][name] for name in columns] == [785.0, None, "45 oriented", None, None]


def test_the_same_spectrum_under_two_names_is_taken_once(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    original = _readable(files, "ir")[0]
    copy = original.with_name("Z_other_name__R999999__Infrared.txt")
    copy.write_text(original.read_text().replace("##NAMES=", "##NAMES=Also "))
    summary = _convert(files, tmp_path / "archive", inline)
    assert _rows(summary)["skipped"] == 1
    opened = spectroflow.open(str(tmp_path / "archive"))
    record = opened.records(f"source == {str(copy)!r}").to_pylist()[0]
    assert record["duplicate_of"] == str(original)


def test_files_that_vanish_are_reported_and_kept(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    _convert(files, tmp_path / "archive", inline)
    gone = _readable(files, "ir")[0]
    gone.unlink()
    summary = convert([str(files / "ir")], str(tmp_path / "archive"), options=inline)
    assert any("not there any more" in line for line in summary.lines)
    assert spectroflow.open(str(tmp_path / "archive")).records(f"source == {str(gone)!r}").num_rows == 1


def test_a_mended_file_is_taken_by_retry_alone(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    archive = tmp_path / "archive"
    _convert(files, archive, inline)
    failed = status(str(archive)).details["failures"]
    broken = Path(next(f["source"] for f in failed if f["source"].endswith(".txt")))
    good = _readable(files, "raman")[-1].read_text().splitlines()
    header = [line for line in good if line.startswith("##")]
    numbers = [line for line in good if not line.startswith("##")]
    broken.write_text("\n".join([*header[:-1], *numbers[5:], header[-1]]) + "\n")
    (files / "raman" / "new_raman.xy").write_text("".join(f"{100 + i} {i % 7 + 1}\n" for i in range(40)))
    summary = retry(str(archive), options=inline)
    assert summary.rows.ok == 1
    assert summary.rows.total == 5, "the failed ones, and nothing else"
    assert not any("not there any more" in line for line in summary.lines)
    opened = spectroflow.open(str(archive))
    assert opened.records(f"source == {str(broken)!r} and status == 0").num_rows == 1
    total = sum(sum(table.values()) for table in opened.counts.values())
    assert total == 29, "no record is counted twice"
    told = status(str(archive))
    standing = [f for f in told.details["failures"] if not f["replaced"]]
    assert len(standing) == len(failed) - 1, "all but the mended one"
    assert not any(str(broken) in line for line in told.lines)


def test_a_night_cut_short_is_finished_before_new_files_are_taken(
    files: Path, tmp_path: Path, inline: JobOptions, digests: Digests
) -> None:
    archive = tmp_path / "archive"

    class Killed(BaseException):
        pass

    def die(event: object) -> None:
        if isinstance(event, UnitDone):
            raise Killed

    with pytest.raises(Killed):
        _convert(files, archive, replace(inline, listener=die))
    assert not (archive / "versions").exists()
    begun = {p.name for p in (archive / "runs").iterdir()}
    extra = files / "raman" / "Tonight__R123456__Raman__532.txt"
    extra.write_text(
        "\n".join(
            ["##NAMES=Tonight", "##RRUFFID=R123456", *(f"{100 + i}.5, {i % 7 + 1}" for i in range(300)), "##END="]
        )
    )
    assert _rows(_convert(files, archive, inline))["total"] == 30
    version = latest_version(Location.parse(archive))
    assert version.number == 2
    assert {entry.run for entry in version.segments} >= begun


def test_two_conversions_of_the_same_files_exclude_each_other(
    files: Path, tmp_path: Path, inline: JobOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    other = replace(inline, config=load(None, ["archive.shard_rows=16", "archive.chunk_rows=4"]))
    import spectroflow.jobs.convert as module

    raced = []

    def race(root: Location, change: object, **names: str) -> object:
        if not raced:
            raced.append(True)
            _convert(files, archive, other)
        return commit(root, change, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "commit", race)
    with pytest.raises(CommitConflict, match="of the same files in the meantime"):
        _convert(files, archive, inline)
    assert latest_version(Location.parse(archive)).number == 1
    monkeypatch.undo()
    assert _convert(files, archive, inline)["status"] == "nothing to do"


def test_two_conversions_of_different_files_both_stay(
    files: Path, tmp_path: Path, inline: JobOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    import spectroflow.jobs.convert as module

    raced = []

    def race(root: Location, change: object, **names: str) -> object:
        if not raced:
            raced.append(True)
            convert([str(files / "ir")], str(archive), options=inline)
        return commit(root, change, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "commit", race)
    convert([str(files / "raman")], str(archive), options=inline)
    monkeypatch.undo()
    version = latest_version(Location.parse(archive))
    assert sorted({entry.modality for entry in version.segments} - {"unknown"}) == ["ir", "raman"]
    assert len(version.catalogues) == 2
    for part in ("ir", "raman"):
        assert convert([str(files / part)], str(archive), options=inline).status == "nothing to do"


def test_every_segment_opens_in_plain_zarr_and_xarray(files: Path, tmp_path: Path, inline: JobOptions) -> None:
    _convert(files, tmp_path / "archive", inline)
    folders = sorted((tmp_path / "archive" / "segments").glob("*/spectra.zarr"))
    assert len(folders) == 4
    for folder in folders:
        group = zarr.open_group(str(folder), mode="r")
        assert {"modality", "axis_unit", "intensity_unit", "origin", "status_codes"} <= set(group.attrs)
        with xarray.open_zarr(str(folder)) as data:
            assert data["intensity"].dims == ("spectrum", "point")
            assert data["status"].dtype == np.uint8
            assert data["axis"].dtype == np.float64


@pytest.mark.parametrize("form", ["csv", "jcamp", "parquet"])
def test_what_is_exported_reads_back_equal(files: Path, tmp_path: Path, inline: JobOptions, form: str) -> None:
    _convert(files, tmp_path / "archive", inline)
    opened = spectroflow.open(str(tmp_path / "archive"))
    summary = export(str(tmp_path / "archive"), str(tmp_path / form), form=form, options=inline)
    assert summary.rows.ok == 24
    if form != "parquet":
        again = tmp_path / "again"
        for name in ("ir", "raman", "xrd"):
            index = str(tmp_path / form / f"index-{name}.csv")
            convert([str(tmp_path / form / name)], str(again), manifest=index, options=inline)
        expected = sorted(opened.records("status == 0")["digest"].to_pylist())
        assert sorted(spectroflow.open(str(again)).records("status == 0")["digest"].to_pylist()) == expected
        return
    import pyarrow.parquet as pq

    for name in ("ir", "raman", "xrd"):
        table = pq.read_table(tmp_path / form / f"{name}-000000.parquet").to_pylist()
        for row, spectrum in zip(table, opened.spectra(modality=name), strict=True):
            assert np.array_equal(row["axis"], spectrum.axis)
            assert np.array_equal(np.array(row["intensity"], np.float32), spectrum.intensity, equal_nan=True)


@pytest.mark.parametrize("form", ["csv", "jcamp"])
def test_what_was_never_measured_is_not_taken_for_it(
    simulated: Path, tmp_path: Path, inline: JobOptions, form: str
) -> None:
    summary = export(str(simulated), str(tmp_path / form), form=form, options=replace(inline, modalities=("raman",)))
    assert summary.rows.ok > 0
    index = tmp_path / form / "index-raman.csv"
    assert "simulated" in index.read_text().splitlines()[1]
    rows = convert([str(tmp_path / form / "raman")], str(tmp_path / "a"), manifest=str(index), options=inline).rows
    assert (rows.failed, rows.ok) == (summary.rows.ok, 0)


def test_one_sample_claimed_twice_is_kept_twice(tmp_path: Path, inline: JobOptions) -> None:
    """Two files may hold two measurements of one sample; only equal points are one spectrum."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, slope in (("first", 1.0), ("second", 2.0)):
        rows = "".join(f"{100 + i}, {slope * i + 1}\n" for i in range(30))
        (folder / f"{name}_raman.txt").write_text(f"##NAMES=Quartz\n##RRUFFID=R040031\n{rows}")
    assert convert([str(folder)], str(tmp_path / "a"), options=inline).rows.ok == 2
    records = spectroflow.open(str(tmp_path / "a")).records('sample_id == "R040031"').to_pylist()
    assert len({record["digest"] for record in records}) == 2


def test_the_plan_holds_no_secret(
    files: Path, tmp_path: Path, inline: JobOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-write-me")
    _convert(files, tmp_path / "archive", inline)
    for path in (tmp_path / "archive" / "runs").rglob("*.json*"):
        assert b"do-not-write-me" not in path.read_bytes()
        if path.name == "plan.json":
            assert json.loads(path.read_text())["job"] == "convert"
