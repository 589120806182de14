"""Any life of an archive: nights, fits, kills, compactions, garbage collections, restorations, in any order."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spectroflow.archive import Archive, add_segments, commit, latest_version, read_version, version_numbers
from spectroflow.archive.compact import choose_merges, commit_merges, compaction_plan, merge_processor, prepare_merges
from spectroflow.archive.gc import collect
from spectroflow.archive.restore import restore_version
from spectroflow.archive.verify import verify
from spectroflow.engine import ExecuteOptions, execute, faults, run_folder
from spectroflow.storage import Location
from tests.archive.archive_kit import CONFIG, Filler, add_lines, add_measured, run_filler, values_of

DAY = 86400.0

Seen = dict[str, bool]
"""What an archive should show: digest of each visible record -> whether it has lines."""


class Killed(BaseException):
    """Nothing catches this, as nothing catches SIGKILL."""


def _dies_at(point: str, work: Callable[[], object]) -> bool:
    """Do work that dies at a point, and say whether it did."""

    def die() -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "die", die)
        patch.setenv(faults.VARIABLE, point)
        try:
            work()
        except Killed:
            return True
    return False


class ArchiveLife(RuleBasedStateMachine):
    """The archive beside a model of it that is a dictionary per version."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="life-"))
        self.root = Location.parse(self.folder / "archive")
        self.counter = 0
        self.history: dict[int, Seen] = {}
        self.unfinished: dict[str, int] = {}
        self.night(rows=5)

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    @property
    def now(self) -> Seen:
        return self.history[max(self.history)]

    def record(self, seen: Seen) -> None:
        self.history[latest_version(self.root).number] = seen

    @rule(rows=st.integers(1, 10))
    def night(self, rows: int) -> None:
        self.counter += 1
        name = f"raman-n{self.counter}"
        before = self.now if self.history else {}
        add_measured(self.root, {name: rows})
        self.record({**before, **{f"{name}:{row}": False for row in range(rows)}})

    @rule(rows=st.integers(9, 20), lost=st.integers(0, 2))
    def night_cut_short(self, rows: int, lost: int) -> None:
        """The driver dies before the commit; some markers were not written."""
        self.counter += 1
        name = f"raman-x{self.counter}"
        plan = run_filler(self.root, Filler(self.root, {name: rows}), [f"of-{name}"], "convert")
        for marker in (run_folder(self.root, plan.run) / "done").list()[:lost]:
            (run_folder(self.root, plan.run) / "done" / marker).delete()

    @rule(rows=st.integers(1, 20), point=st.sampled_from(faults.POINTS))
    def night_killed(self, rows: int, point: str) -> None:
        """At any step, the commit among them."""
        self.counter += 1
        name = f"raman-n{self.counter}"
        if _dies_at(point, lambda: add_measured(self.root, {name: rows})) and point != "after-commit":
            self.unfinished[name] = rows
        else:
            self.committed(name, rows)

    @precondition(lambda self: self.unfinished)
    @rule()
    def killed_night_resumed(self) -> None:
        """By the same command, whatever happened since: also where its parts were collected."""
        name, rows = self.unfinished.popitem()
        add_measured(self.root, {name: rows})
        self.committed(name, rows)

    def committed(self, name: str, rows: int) -> None:
        """Note that a night is part of the archive."""
        self.record({**self.now, **{f"{name}:{row}": False for row in range(rows)}})

    @rule()
    def fit(self) -> None:
        version = latest_version(self.root)
        described = {layer.segment for layer in version.layers}
        rows = {e.id: e.rows for e in version.segments if e.id not in described and e.id.startswith("raman-n")}
        if rows:
            add_lines(self.root, rows)
            archive = Archive(self.root)
            done = {
                d for e in archive.segments() if e.id in rows for d in archive.segment_records(e)["digest"].to_pylist()
            }
            self.record({digest: lines or digest in done for digest, lines in self.now.items()})

    @rule(pick=st.integers(0, 10**6))
    def supersede(self, pick: int) -> None:
        records = Archive(self.root).records(columns=["digest"]).to_pylist()
        if len(records) > 1:
            chosen = records[pick % len(records)]
            rows = {chosen["segment"]: [chosen["row"]]}
            commit(self.root, lambda base: add_segments(base, [], superseded=rows), command="convert", run="late")
            self.record({digest: lines for digest, lines in self.now.items() if digest != chosen["digest"]})

    @rule(point=st.none() | st.sampled_from(faults.POINTS), lost=st.integers(0, 3))
    def compact(self, point: str | None, lost: int) -> None:
        """It may die at any step; the next one takes it up. Markers may be lost before the last attempt."""
        version = latest_version(self.root)
        merges = choose_merges(self.root, version, CONFIG)
        if not merges:
            return
        plan = compaction_plan(version, merges, CONFIG)

        def carry_out() -> dict[str, int]:
            result = execute(
                plan,
                merge_processor(self.root, merges, CONFIG),
                self.root,
                prepare=lambda _: prepare_merges(self.root, merges, CONFIG),
                options=ExecuteOptions(workers=0),
            )
            ok: dict[str, int] = result.metrics["ok"]
            return ok

        def carry_out_and_commit() -> None:
            commit_merges(self.root, merges, plan.run, carry_out())

        before = self.now
        died = point is not None and _dies_at(point, carry_out_and_commit)
        if point is None:
            carry_out()
            for marker in (run_folder(self.root, plan.run) / "done").list()[:lost]:
                (run_folder(self.root, plan.run) / "done" / marker).delete()
            carry_out_and_commit()
        if latest_version(self.root).number not in self.history:
            assert not died or point == "after-commit"
            self.record(before)

    @rule(keep=st.integers(1, 3), steps=st.none() | st.integers(0, 40))
    def collect_garbage(self, keep: int, steps: int | None) -> None:
        """Everything is old by now; the collection may be killed after any number of steps."""
        for info in self.root.walk():
            os.utime(info.location.path, (info.modified - 3 * DAY,) * 2)
        for _ in itertools.islice(collect(self.root, grace=DAY, keep=keep), steps):
            pass
        numbers = version_numbers(self.root)
        assert numbers[-keep:] == sorted(self.history)[-keep:]
        self.history = {number: self.history[number] for number in numbers}

    @precondition(lambda self: len(self.history) > 1)
    @rule(pick=st.integers(0, 100))
    def restore(self, pick: int) -> None:
        number = sorted(self.history)[pick % len(self.history)]
        seen = self.history[number]
        restore_version(self.root, number)
        self.record(seen)

    @invariant()
    def every_version_shows_what_it_showed(self) -> None:
        if not getattr(self, "history", None):
            return
        assert version_numbers(self.root) == sorted(self.history)
        for number in {min(self.history), max(self.history)}:
            archive = Archive(self.root, number)
            shown: Seen = {}
            for entry in archive.segments():
                layer = archive.lines_layer(entry.id)
                intensity = archive.array(entry.id, "intensity")
                lines = None if layer is None else archive.layer_array(layer, "fit")
                for record in archive.segment_records(entry).to_pylist():
                    name, row = record["digest"].split(":")
                    wanted = values_of(name, int(row))
                    assert intensity[record["row"]].tobytes() == wanted["intensity"].tobytes()
                    if lines is not None:
                        assert lines[record["row"]].tobytes() == wanted["fit"].tobytes()
                    assert record["digest"] not in shown
                    shown[record["digest"]] = lines is not None
            assert shown == self.history[number]
            assert list(verify(self.root, read_version(self.root, number))) == []


TestArchiveLife = ArchiveLife.TestCase
TestArchiveLife.settings = settings(
    max_examples=5, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
