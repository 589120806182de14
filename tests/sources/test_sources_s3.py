"""Prefixes of a bucket are sources like any folder."""

from __future__ import annotations

import pytest
from sources_kit import outcomes, plan, rruff
from test_sources_containers import FILES, make_zip

from spectroflow.sources import SourceReader
from spectroflow.storage import Location
from tests.s3 import s3_server


@pytest.fixture(scope="module")
def bucket():
    pytest.importorskip("moto")
    with s3_server("sources") as url:
        yield url


def test_a_prefix(bucket, tmp_path):
    root = Location.parse(f"{bucket}/night")
    for i in range(20):
        (root / f"{i}_raman.txt").write_bytes(rruff(i).encode())
    first = plan(root.url)
    assert outcomes(first) == {f"{i}_raman.txt": "OK" for i in range(20)}
    assert plan(root.url, previous=first).rows == {}
    (root / "3_raman.txt").write_bytes(rruff(77).encode())
    (root / "4_raman.txt").delete()
    second = plan(root.url, previous=first)
    assert outcomes(second) == {"3_raman.txt": "OK"}
    assert second.vanished == ((root / "4_raman.txt").url,)
    make_zip(tmp_path / "s.zip", FILES)
    (root / "s.zip").write_bytes((tmp_path / "s.zip").read_bytes())
    third = plan(root.url, previous=second)
    assert len(outcomes(third)) == 6
    row = third.rows["raman"].to_pylist()[0]
    with SourceReader() as reader:
        (raw,) = reader.records(row["source"], row["name"], digest=row["digest"], format_name=row["format"])
    assert len(raw.axis) == 20
