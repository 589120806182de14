"""Members of zip and tar files are sources; bombs and climbers are refused."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest
from sources_kit import modality_of, outcomes, plan, put, rruff, spectrum

from spectroflow.errors import RecordError
from spectroflow.sources import SourceReader
from spectroflow.sources.objects import is_container, split_member

FILES = {f"day{i % 2}/{i}_raman.txt": rruff(i).encode() for i in range(6)} | {"notes.cif": b"data_x"}


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def make_tar(path, files):
    mode = {"tar": "w", "tgz": "w:gz", "gz": "w:gz", "xz": "w:xz", "bz2": "w:bz2"}[path.suffix[1:]]
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1_600_000_000
            archive.addfile(entry, io.BytesIO(data))


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tgz", "s.tar.xz", "s.tar.bz2"])
def test_members_are_sources(tmp_path, name):
    (make_zip if name.endswith("zip") else make_tar)(tmp_path / name, FILES)
    found = plan(tmp_path)
    assert outcomes(found) == {f"{i}_raman.txt": "OK" for i in range(6)}
    assert found.unclaimed == {".cif": 1}
    assert found.counts.containers == 1
    with SourceReader() as reader:
        for row in found.rows["raman"].to_pylist():
            (raw,) = reader.records(row["source"], row["name"], digest=row["digest"], format_name="rruff")
            assert len(raw.axis) == 20
    again = plan(tmp_path, previous=found)
    assert again.rows == {}
    assert again.counts.bytes_read == 0


def test_an_unchanged_archive_is_not_even_opened(tmp_path, monkeypatch):
    make_zip(tmp_path / "s.zip", FILES)
    found = plan(tmp_path)
    monkeypatch.setattr(SourceReader, "container", lambda *_: pytest.fail("it was opened"))
    assert plan(tmp_path, previous=found).counts.unchanged == found.counts.objects


def test_one_more_member_is_one_more_record(tmp_path):
    path = tmp_path / "s.zip"
    make_zip(path, FILES)
    first = plan(tmp_path)
    make_zip(path, FILES | {"new_raman.txt": rruff(9).encode()})
    os.utime(path, (1, 1))
    second = plan(tmp_path, previous=first)
    assert outcomes(second) == {"new_raman.txt": "OK"}
    assert second.replaced == ()


def test_a_loose_file_and_its_archived_copy_are_one_spectrum(tmp_path):
    make_zip(tmp_path / "z.zip", {"a_raman.txt": rruff(1).encode()})
    put(tmp_path / "a_raman.txt", rruff(1))
    rows = plan(tmp_path).rows["raman"].to_pylist()
    assert [row["status"] for row in rows] == ["OK", "DUPLICATE"]
    assert rows[0]["source"] == str(tmp_path / "a_raman.txt")


@pytest.mark.parametrize("name", ["../up_raman.xy", "/etc/abs_raman.xy", "a/../../b_raman.xy", "..\\win_raman.xy"])
@pytest.mark.parametrize("kind", ["s.zip", "s.tar"])
def test_names_that_climb_out_are_refused(tmp_path, name, kind):
    files = {name: spectrum(1).encode(), "fine_raman.xy": spectrum(2).encode()}
    (make_zip if kind.endswith("zip") else make_tar)(tmp_path / kind, files)
    found = plan(tmp_path)
    statuses = sorted(outcomes(found).values())
    assert statuses == ["HOSTILE_FILE", "OK"]
    (row,) = found.rows["unknown"].to_pylist()
    assert "climbs" in row["reason"]


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    make_zip(tmp_path / "s.zip", {"bomb_raman.xy": b"1 2\n" * 3_000_000, "fine_raman.xy": spectrum(2).encode()})
    assert (tmp_path / "s.zip").stat().st_size < 100_000
    monkeypatch.setattr(zipfile.ZipFile, "open", _only("fine_raman.xy", zipfile.ZipFile.open))
    found = plan(tmp_path)
    assert outcomes(found) == {"bomb_raman.xy": "HOSTILE_FILE", "fine_raman.xy": "OK"}


def _only(allowed, real):
    def open_member(self, name, *args, **kwargs):
        assert name == allowed, "the bomb was opened"
        return real(self, name, *args, **kwargs)

    return open_member


def test_a_zip_that_lies_about_sizes_is_bounded(tmp_path):
    path = tmp_path / "s.zip"
    make_zip(path, {"lie_raman.xy": b"1 2\n" * 500_000})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(mark) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    (status,) = outcomes(plan(tmp_path)).values()
    assert status in {"TRUNCATED", "TOO_LARGE"}


def test_a_compressed_tar_that_swells_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spectroflow.sources.containers._FREE_BYTES", 1 << 20)
    make_tar(tmp_path / "s.tar.xz", {"a_raman.xy": b"\0" * (8 << 20)})
    found = plan(tmp_path)
    assert outcomes(found) == {"s.tar.xz": "HOSTILE_FILE"}
    assert "swell" in found.rows["unknown"].to_pylist()[0]["reason"]


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz"])
@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_truncated_archive_is_one_failed_record(tmp_path, name, cut):
    make = make_zip if name.endswith("zip") else make_tar
    make(tmp_path / name, FILES)
    data = (tmp_path / name).read_bytes()
    put(tmp_path / name, data[:cut])
    found = plan(tmp_path)
    assert modality_of(found) == {name: "unknown"} or (name == "s.tar" and cut == 0)
    assert set(outcomes(found).values()) <= {"TRUNCATED", "EMPTY_FILE"}
    assert plan(tmp_path, previous=found).rows == {}
    put(tmp_path / name, b"")
    make(tmp_path / name, FILES)
    repaired = plan(tmp_path, previous=found)
    assert outcomes(repaired) == {f"{i}_raman.txt": "OK" for i in range(6)}


def test_encrypted_members_are_refused(tmp_path):
    path = tmp_path / "s.zip"
    make_zip(path, {"a_raman.xy": spectrum(1).encode()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[data.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(bytes(data))
    found = plan(tmp_path)
    assert outcomes(found) == {"a_raman.xy": "HOSTILE_FILE"}
    assert "encrypted" in found.rows["unknown"].to_pylist()[0]["reason"]


def test_a_member_that_went_missing(tmp_path):
    make_zip(tmp_path / "s.zip", FILES)
    with SourceReader() as reader, pytest.raises(RecordError) as caught:
        reader.read(f"{tmp_path}/s.zip!/none.txt")
    assert caught.value.code == "SOURCE_MISSING"


def test_names():
    assert is_container("a.TAR.GZ")
    assert not is_container("scan.brml")
    location, member = split_member("s3://bucket/a.zip!/b/c.txt")
    assert (str(location), member) == ("s3://bucket/a.zip", "b/c.txt")
    assert split_member("/data/plain.txt")[1] is None
