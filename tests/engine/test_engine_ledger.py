from __future__ import annotations

import pytest

from spectroflow.engine import Ledger, Marker
from spectroflow.errors import ArchiveError
from spectroflow.storage import Location, UnitAlreadyDone, Written


def marker(unit: str = "g0-000001", fingerprint: str = "f" * 64, **changes) -> Marker:
    fields = {
        "unit": unit,
        "attempt": 1,
        "rows": 8,
        "codes": {"OK": 7, "BAD_NUMBER": 1},
        "metrics": {"n": 8, "text": "µm"},
        "keys": {"segments/g0/x": Written(12, "ab" * 16)},
        "fingerprint": fingerprint,
        "seconds": 0.25,
    }
    return Marker(**{**fields, **changes})


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(Location.parse(tmp_path), "f" * 64)


def test_marker_survives_the_way_to_storage_and_back(ledger):
    ledger.mark(marker())
    assert ledger.read("g0-000001") == marker()
    assert ledger.is_done("g0-000001")
    assert not ledger.is_done("g0-000002")


def test_the_first_marker_stays(ledger):
    ledger.mark(marker())
    with pytest.raises(UnitAlreadyDone):
        ledger.mark(marker(attempt=2))
    assert ledger.read("g0-000001").attempt == 1


def test_every_damage_of_a_marker_is_found(ledger, tmp_path):
    whole = marker().to_bytes()
    place = tmp_path / "done" / "g0-000001.json"
    place.parent.mkdir()
    for cut in range(len(whole)):
        place.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError):
            ledger.read("g0-000001")
    for at in range(len(whole)):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ArchiveError):
            ledger.read("g0-000001")


def test_marker_of_another_unit_or_plan_does_not_count(ledger, tmp_path):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "g0-000002.json").write_bytes(marker().to_bytes())
    (tmp_path / "done" / "g0-000003.json").write_bytes(marker("g0-000003", "e" * 64).to_bytes())
    for unit_id in ("g0-000002", "g0-000003", "g0-000004"):
        with pytest.raises(ArchiveError):
            ledger.read(unit_id)


def test_leftovers_and_strangers_are_no_markers(ledger, tmp_path):
    ledger.mark(marker())
    for name in ("g0-000002.json.123-4.partial", "g0-000003", "g0-000004.jsonl", ".json~"):
        (tmp_path / "done" / name).write_bytes(b"x")
    assert ledger.names() == {"g0-000001"}


def test_reading_all_keeps_the_order_asked_for_and_says_what_is_missing(tmp_path):
    for ledger in (Ledger(Location.parse(tmp_path), "f" * 64), Ledger(Location.parse("memory://ledger"), "f" * 64)):
        ids = [f"g0-{n:06d}" for n in range(50)]
        for unit_id in reversed(ids[:-1]):
            ledger.mark(marker(unit_id))
        found = list(ledger.read_all(ids))
        assert [unit_id for unit_id, _ in found] == ids
        assert all(entry == marker(unit_id) for unit_id, entry in found[:-1])
        assert isinstance(found[-1][1], ArchiveError)
