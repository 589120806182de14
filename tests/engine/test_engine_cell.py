"""What an inline run does about a record that kills it: a process of its own for what ended two processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, Ledger, all_failures, execute, run_folder
from spectroflow.engine.cell import _live
from spectroflow.engine.faults import VARIABLE
from spectroflow.storage import Location

ONCE = ExecuteOptions(backend="inline", attempts=1)


def run(numbers: Numbers, root: Location, options: ExecuteOptions = ONCE, **fields):
    return execute(numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), **fields)


@pytest.fixture
def root(tmp_path) -> Location:
    return Location.parse(tmp_path / "archive")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(Numbers(61), place)
    return content(place)


def in_child(numbers: Numbers, root: Location, fault: str = "", attempts: int = 1) -> int | None:
    def child() -> None:
        os.environ[VARIABLE] = fault
        run(numbers, root, ExecuteOptions(backend="inline", attempts=attempts))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    return process.exitcode


def test_a_record_that_kills_an_inline_run_costs_two_runs_and_then_only_itself(root, undisturbed):
    """Law 7 without workers: the third run does the unit in a process of its own and finds the record."""
    deadly = Numbers(61, misbehave={20: "kill"})
    assert in_child(deadly, root) == in_child(deadly, root) == -signal.SIGKILL
    heard = []
    result = run(deadly, root, listener=heard.append)
    assert result.codes["CRASHED_WORKER"] == 1
    assert result.rows["total"] == 61
    assert [event.row for event in heard if event.name() == "row_condemned"] == [20]
    found = [failure.row for _, failure in all_failures(run_folder(root, result.run)) if failure.code[0] == "C"]
    assert found == [20]
    assert not (run_folder(root, result.run) / "begun").list()
    differing = {path for path, digest in content(root).items() if digest != undisturbed[path]}
    assert differing == {f"g0/spectra.zarr/{name}" for name in ("values/c/2/0", "status/c/2")}


def test_being_killed_often_from_outside_condemns_no_record(root, undisturbed):
    fault = "before-data:g0-000002:1"
    assert in_child(Numbers(61), root, fault) == in_child(Numbers(61), root, fault) == -signal.SIGKILL
    # The first attempt is killed once more, but not the run with it, and the second is not.
    assert in_child(Numbers(61), root, fault, attempts=2) == 0
    assert run(Numbers(61), root).rows == expected_rows(61)
    assert content(root) == undisturbed


def test_a_suspect_that_hangs_is_ended_by_its_time_limit(root, monkeypatch):
    monkeypatch.setattr("spectroflow.engine.dispatch._SHORTEST_PROBE", 1.0)
    numbers = Numbers(16, misbehave={9: "hang"})
    note = run_folder(root, numbers.plan().run) / "begun/g0-000001"
    note.write_bytes(b"2")
    result = run(numbers, root, ExecuteOptions(backend="inline", attempts=1, unit_timeout=1.5))
    assert result.codes["TIMED_OUT"] == 1


def test_where_there_can_be_no_process_of_its_own_the_work_is_done_here(root, undisturbed):
    class Local(Numbers):
        """Cannot be pickled: nobody else can import it."""

    note = run_folder(root, Numbers(61).plan().run) / "begun/g0-000002"
    note.write_bytes(b"2")
    run(Local(61), root)
    assert content(root) == undisturbed


@pytest.mark.parametrize("name", ["g0-000001.b4f17889791df943.partial", "g0-000002"])
def test_a_note_that_vanishes_while_it_is_read_is_another_drivers(tmp_path, name):
    root, numbers = Location.parse(tmp_path), Numbers(61)
    once = {"options": ExecuteOptions(workers=0), "prepare": numbers.prepare(root)}
    place = run_folder(root, execute(numbers.plan(), numbers, root, **once).run)
    Ledger(place, numbers.plan().fingerprint).forget("g0-000002")
    os.makedirs(tmp_path / "runs" / place.name / "begun", exist_ok=True)
    # Listed, but not there when it is opened.
    os.symlink(tmp_path / "nowhere", tmp_path / "runs" / place.name / "begun" / name)
    assert execute(numbers.plan(), numbers, root, **once).rows == expected_rows(61)


def test_a_process_of_its_own_ends_without_a_word_when_its_driver_is_gone():
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    _live(theirs, SimpleNamespace(processor=Numbers(3)))
