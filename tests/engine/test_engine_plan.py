from __future__ import annotations

import pytest
from engine_work import Numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spectroflow.engine import Estimate, Group, Plan, load_plan
from spectroflow.engine.code import code_digest
from spectroflow.engine.plan import secure
from spectroflow.errors import ArchiveError, PlanMismatch
from spectroflow.storage import Location

groups = st.lists(
    st.builds(
        Group,
        name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True),
        rows=st.integers(0, 300),
        shard_rows=st.integers(1, 40),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda group: group.name,
)


@settings(deadline=None)
@given(groups, st.integers(1, 5))
def test_units_tile_each_group_in_whole_shards(cut, unit_shards):
    plan = Plan.of(job="x", groups=cut, unit_shards=unit_shards)
    units = list(plan.units())
    assert len(units) == plan.unit_count
    assert len({unit.id for unit in units}) == len(units)
    for group in cut:
        mine = [unit for unit in units if unit.group == group.name]
        assert [row for unit in mine for row in unit.rows] == list(range(group.rows))
        assert [s for unit in mine for s in range(unit.shard_start, unit.shard_stop)] == list(range(group.shards))
        for unit in mine:
            assert unit.start == unit.shard_start * group.shard_rows
            assert unit.stop == min(unit.shard_stop * group.shard_rows, group.rows)
            assert plan.unit(unit.id) == unit


@pytest.mark.parametrize(
    "name", ["g0-0", "g0-000009", "g0-00000x", "g1-000000", "g0", "", "-000000", "g0-0000000", "g0-00000²"]
)
def test_only_exact_names_are_units(name):
    assert Numbers(40).plan().unit(name) is None


def test_ids_sort_as_they_are_cut():
    ids = [unit.id for unit in Numbers(8000).plan().units()]
    assert ids == sorted(ids)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "-a"])
def test_group_names_are_file_names(name):
    with pytest.raises(ValidationError):
        Group(name=name, rows=1, shard_rows=1)


def test_groups_are_distinct():
    group = Group(name="a", rows=1, shard_rows=1)
    with pytest.raises(ValidationError, match="same name"):
        Plan.of(job="x", groups=[group, group])


def test_fingerprint_is_what_decides_content_and_nothing_else():
    base = {"config": {"fit": {"effort": "fast"}, "engine": {"in_flight": 2}}, "digests": {"code": "1"}}
    plan = Numbers(40).plan(**base)
    same = [
        Numbers(40).plan(**base, base_version=7),
        Numbers(40).plan(**base, unit_shards=3),
        Numbers(40).plan(**base, command={"argv": ["x"]}),
        Numbers(40).plan(**base, estimate=Estimate(units=3)),
        Numbers(40).plan(**{**base, "config": {"engine": {"in_flight": 9}, "fit": {"effort": "fast"}}}),
    ]
    assert {other.run for other in same} == {plan.run}
    different = [
        Numbers(41).plan(**base),
        Numbers(40, seed=1).plan(**base),
        Numbers(40, shard_rows=4).plan(**base),
        Numbers(40).plan(**{**base, "config": {"fit": {"effort": "precise"}}}),
        Numbers(40).plan(**{**base, "digests": {"code": "2"}}),
    ]
    assert len({other.run for other in [plan, *different]}) == 6


def test_saved_plan_is_found_again_and_never_changed(tmp_path):
    place = Location.parse(tmp_path / "runs/x")
    plan = Numbers(40).plan(unit_shards=2, config={"fit": {"window": (1, 2)}})
    assert secure(plan, place) == plan
    before = (place / "plan.json").read_bytes()
    again = secure(Numbers(40).plan(unit_shards=5, config={"fit": {"window": (1, 2)}}), place)
    assert again.unit_shards == 2
    assert again.fingerprint == plan.fingerprint
    assert (place / "plan.json").read_bytes() == before
    assert load_plan(place).fingerprint == plan.fingerprint


def test_another_plan_is_refused_and_told_what_differs(tmp_path):
    place = Location.parse(tmp_path / "runs/x")
    secure(Numbers(40).plan(config={"fit": {"effort": "fast"}}), place)
    other = Numbers(48).plan(config={"fit": {"effort": "precise"}})
    with pytest.raises(PlanMismatch) as caught:
        secure(other, place)
    text = str(caught.value)
    assert 'config.fit.effort: "fast" -> "precise"' in text
    assert "groups[0].rows: 40 -> 48" in text
    assert caught.value.exit_code == 3


def test_damaged_and_missing_plans_are_told(tmp_path):
    place = Location.parse(tmp_path / "runs/x")
    with pytest.raises(ArchiveError, match="no such run"):
        load_plan(place)
    (place / "plan.json").write_bytes(b'{"run": "x", "jo')
    with pytest.raises(ArchiveError, match="cannot be read"):
        secure(Numbers(40).plan(), place)


def test_code_digest_changes_with_every_source_file(tmp_path, monkeypatch):
    package = tmp_path / "some_code"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/table.toml", "notes.txt"):
        (package / name).write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def digest() -> str:
        code_digest.cache_clear()
        return code_digest("some_code")

    seen = {digest()}
    (package / "notes.txt").write_text("b = 2\n")
    assert digest() in seen
    for name in ("__init__.py", "inner/__init__.py", "inner/table.toml"):
        (package / name).write_text("b = 2\n")
        assert digest() not in seen
        seen.add(digest())
    (package / "inner/table.toml").rename(package / "inner/other.toml")
    assert digest() not in seen
    code_digest.cache_clear()
