"""A bucket that answers with errors half way: what it gave stays, what it did not give is tried again."""

from __future__ import annotations

import pytest
from sources_kit import outcomes, plan, rruff

from spectroflow.errors import Unreachable
from spectroflow.sources import SourceReader
from spectroflow.storage import Location

pytest.importorskip("moto")
from botocore.exceptions import ClientError

from tests.s3 import s3_server


@pytest.fixture(scope="module")
def server():
    with s3_server("errors") as url:
        yield url


@pytest.fixture
def night(server, request):
    """A prefix of twelve files."""
    root = Location.parse(f"{server}/{request.node.name}")
    for i in range(12):
        (root / f"{i:02d}_raman.txt").write_bytes(rruff(i).encode())
    return root


class _Failing:
    """The file system of a bucket that answers with an error for some files, or for everything."""

    def __init__(self, real, files, down, error):
        self._real, self._files, self._down, self._error = real, files, down, error

    def __getattr__(self, name):
        return getattr(self._real, name)

    def cat_file(self, path, **kwargs):
        if any(name in path for name in self._files):
            raise self._error
        return self._real.cat_file(path, **kwargs)

    def exists(self, path):
        if self._down:
            raise self._error
        return self._real.exists(path)


def busy():
    """Return the error that s3fs raises when a bucket has too much to do."""
    answer = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    error = OSError("503 SlowDown")
    error.__cause__ = ClientError(answer, "GetObject")
    return error


def failing(monkeypatch, *, files, down=False, error=None):
    real = Location._fs
    error = error or busy()
    monkeypatch.setattr(Location, "_fs", lambda self: _Failing(real(self), files, down, error))


def test_an_object_that_fails_costs_one_record_and_is_tried_again(night, monkeypatch):
    failing(monkeypatch, files=["05_raman"])
    first = plan(night.url)
    assert outcomes(first) == {f"{i:02d}_raman.txt": "STORAGE_ERROR" if i == 5 else "OK" for i in range(12)}
    (row,) = first.rows["unknown"].to_pylist()
    assert "503 SlowDown" in row["reason"]
    assert row["remedy"]
    still = plan(night.url, previous=first)
    assert still.rows == {}, "no second failed row as long as nothing changes"
    monkeypatch.undo()
    mended = plan(night.url, previous=still)
    assert outcomes(mended) == {"05_raman.txt": "OK"}
    assert mended.replaced == ((night / "05_raman.txt").url,), "the failed row is superseded"


def test_a_refused_object_costs_one_record(night, monkeypatch):
    failing(monkeypatch, files=["07_raman"], error=PermissionError("Access Denied"))
    assert outcomes(plan(night.url))["07_raman.txt"] == "STORAGE_ERROR"


def test_a_bucket_that_is_gone_half_way_is_nobodys_failed_record(night, monkeypatch):
    """The listing came, half of the files came, then nothing more: the run ends, and the next one takes all."""
    real = SourceReader.read
    read = []

    def until_it_is_gone(self, source):
        read.append(source)
        if len(read) == 7:
            failing(monkeypatch, files=["_raman"], down=True)
        return real(self, source)

    monkeypatch.setattr(SourceReader, "read", until_it_is_gone)
    with pytest.raises(Unreachable) as caught:
        plan(night.url)
    assert caught.value.exit_code == 6
    monkeypatch.undo()
    assert set(outcomes(plan(night.url)).values()) == {"OK"}


def test_a_failure_while_records_are_read_is_that_records(night, monkeypatch):
    (row, *_) = plan(night.url).rows["raman"].to_pylist()
    failing(monkeypatch, files=["00_raman"])
    with SourceReader() as reader, pytest.raises(Exception, match="503") as caught:
        reader.records(row["source"], row["name"], digest=row["digest"], format_name=row["format"])
    assert caught.value.code == "STORAGE_ERROR"


def test_patterns_over_a_prefix(night):
    (night / "deep/er" / "z_raman.txt").write_bytes(rruff(99).encode())
    assert set(outcomes(plan(f"{night.url}/*1_raman.txt"))) == {"01_raman.txt", "11_raman.txt"}
    assert set(outcomes(plan(f"{night.url}/**/z*.txt"))) == {"z_raman.txt"}
