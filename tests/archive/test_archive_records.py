from __future__ import annotations

import io
import string
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectroflow.archive import Archive, add_segments, commit
from spectroflow.archive.records import SCHEMA, encode, read_part
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location
from tests.archive.archive_kit import add_measured, record_of, values_of

_VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.none() | st.integers(-(2**31), 2**31 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.uint32(): st.none() | st.integers(0, 2**32 - 1),
    pa.float64(): st.none() | st.floats(allow_nan=False),
    pa.string(): st.none() | st.text(max_size=12) | st.text(string.whitespace + "\x00\u2028🜁", max_size=4),
}
_RECORDS = st.lists(st.fixed_dictionaries({field.name: _VALUES[field.type] for field in SCHEMA}), max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=_RECORDS)
def test_records_come_back_as_they_were(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    data = encode(rows)
    assert encode(rows) == data
    place = Location.parse(tmp_path_factory.mktemp("records")) / "part.parquet"
    place.write_bytes(data)
    table = read_part(place)
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == rows
    assert read_part(place, ["label", "row"]).to_pylist() == [{"label": r["label"], "row": r["row"]} for r in rows]
    assert pq.read_table(io.BytesIO(data)).to_pylist() == rows


def test_a_record_without_row_or_status_is_refused() -> None:
    for row in ({"row": 1}, {"status": 0}):
        with pytest.raises(pa.ArrowException):
            encode([row])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Location:
    root = Location.parse(tmp_path_factory.mktemp("archive"))
    add_measured(root, {"raman-a": 19})
    add_measured(root, {"raman-b": 5})
    add_measured(root, {"xrd-a": 3}, kind="xrd")
    commit(root, lambda base: add_segments(base, [], superseded={"raman-a": [0, 9, 10]}), command="test", run="test")
    return root


def test_the_record_table_of_an_archive_has_each_record_once(root: Location) -> None:
    archive = Archive(root)
    table = archive.records()
    wanted = [("raman-a", row) for row in range(19) if row not in {0, 9, 10}]
    wanted += [("raman-b", row) for row in range(5)] + [("xrd-a", row) for row in range(3)]
    assert list(zip(table["segment"].to_pylist(), table["row"].to_pylist(), strict=True)) == wanted
    assert table["digest"].to_pylist() == [record_of(name, row)["digest"] for name, row in wanted]
    assert archive.modalities == ["raman", "xrd"]
    ok = sum(values_of(name, row)["status"] == 0 for name, row in wanted if name.startswith("raman"))
    assert archive.counts["raman"] == {"OK": ok, "BAD_NUMBER": 21 - ok}


def test_records_are_filtered_and_columns_chosen(root: Location) -> None:
    table = Archive(root).records("label == 'Quartz' and status == 0", modality="raman", columns=["laser"])
    assert table.column_names == ["segment", "modality", "row", "laser"]
    wanted = [
        (name, row)
        for name, rows in (("raman-a", 19), ("raman-b", 5))
        for row in range(rows)
        if row % 3 == 0 and values_of(name, row)["status"] == 0 and (name, row) not in {("raman-a", 0), ("raman-a", 9)}
    ]
    assert list(zip(table["segment"].to_pylist(), table["row"].to_pylist(), strict=True)) == wanted


def test_spectra_come_trimmed_with_their_records(root: Location) -> None:
    found = {(s.segment, s.row): s for s in Archive(root).spectra(modality="raman")}
    wanted = {
        (name, row): values_of(name, row)
        for name, rows in (("raman-a", 19), ("raman-b", 5))
        for row in range(rows)
        if values_of(name, row)["status"] == 0 and not (name == "raman-a" and row in {0, 9, 10})
    }
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        points = values["points"]
        assert found[key].axis.tolist() == values["axis"][:points].tolist()
        assert found[key].intensity.tolist() == values["intensity"][:points].tolist()
        assert found[key].record["digest"] == f"{key[0]}:{key[1]}"
        again = Archive(root).spectrum(*key)
        assert again.axis.tolist() == found[key].axis.tolist()


def test_a_row_without_a_spectrum_says_why(root: Location) -> None:
    with pytest.raises(ArchiveError, match="row 3 holds no spectrum: BAD_NUMBER"):
        Archive(root).spectrum("raman-a", 3)
    with pytest.raises(ArchiveError, match=r"no row 19.*0 to 18"):
        Archive(root).spectrum("raman-a", 19)
    with pytest.raises(ArchiveError, match="no segment 'raman-z'"):
        Archive(root).spectrum("raman-z", 0)


def test_a_lost_shard_is_an_error_and_never_an_empty_spectrum(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 19})
    (root / "segments/raman-a/spectra.zarr/axis/c/1/0").delete()
    with pytest.raises(ArchiveError, match=r"has 0 points.*verify"):
        Archive(root).spectrum("raman-a", 8)
    with pytest.raises(ArchiveError, match="has 0 points"):
        list(Archive(root).spectra())
    part = root / "segments/raman-a/records/part-000002.parquet"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ArchiveError, match=r"cannot be read.*verify"):
        Archive(root).records()
    part.delete()
    with pytest.raises(ArchiveError, match=r"is missing.*verify"):
        Archive(root).records()
