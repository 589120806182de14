from __future__ import annotations

import pytest

from spectroflow.engine import Ledger, Marker
from spectroflow.engine.rollup import RollupWriter
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


@pytest.fixture
def rolled(request) -> tuple[Ledger, list[str]]:
    """A ledger of 2,500 units, the first 2,000 of them in rollups, half of those in another order."""
    run_dir = Location.parse(f"memory://rolled/{request.node.name}")
    ledger = Ledger(run_dir, "f" * 64)
    ids = [f"g0-{n:06d}" for n in range(2500)]
    for unit_id in ids:
        (ledger.folder / f"{unit_id}.json").write_bytes(marker(unit_id).to_bytes())
    writer = RollupWriter(run_dir)
    for unit_id in [*ids[:1000], *reversed(ids[1000:2000]), *ids[2000:]]:
        writer.add(marker(unit_id).to_bytes())
    return ledger, ids


def test_copies_of_markers_save_reading_them(rolled, monkeypatch):
    ledger, ids = rolled
    read: list[str] = []
    honest = Ledger.read
    monkeypatch.setattr(Ledger, "read", lambda self, unit_id: read.append(unit_id) or honest(self, unit_id))
    found = dict(ledger.read_all(ids))
    assert found == {unit_id: marker(unit_id) for unit_id in ids}
    assert sorted(read) == ids[2000:]


@pytest.mark.parametrize("change", ["gone", "cut", "another"])
def test_a_copy_counts_only_while_its_marker_is_there(rolled, change):
    ledger, ids = rolled
    place = ledger.folder / "g0-000007.json"
    match change:
        case "gone":
            place.delete()
        case "cut":
            place.write_bytes(place.read_bytes()[:-9])
        case "another":
            place.write_bytes(marker("g0-000007", attempt=22).to_bytes())
    found = dict(ledger.read_all(ids[:20]))["g0-000007"]
    if change == "another":
        assert found == marker("g0-000007", attempt=22)
    else:
        assert isinstance(found, ArchiveError)


def test_copies_are_thrown_away_when_a_marker_is_taken_back(rolled):
    ledger, ids = rolled
    assert (ledger.run_dir / "rollups").list()
    ledger.forget(ids[3])
    ledger.mark(marker(ids[3], attempt=2))
    assert dict(ledger.read_all(ids[:20]))[ids[3]].attempt == 2
    assert not (ledger.run_dir / "rollups").list()


def test_damaged_copies_are_not_believed(rolled):
    ledger, ids = rolled
    for name in (ledger.run_dir / "rollups").list():
        place = ledger.run_dir / "rollups" / name
        place.write_bytes(place.read_bytes().replace(b'"OK":7', b'"OK":8'))
    assert dict(ledger.read_all(ids)) == {unit_id: marker(unit_id) for unit_id in ids}


def test_on_disks_every_marker_is_read(tmp_path):
    ledger = Ledger(Location.parse(tmp_path), "f" * 64)
    with RollupWriter(ledger.run_dir) as writer:
        ledger.mark(marker())
        writer.add(marker().to_bytes())
    assert not (tmp_path / "rollups").exists()
    assert dict(ledger.read_all(["g0-000001"])) == {"g0-000001": marker()}
