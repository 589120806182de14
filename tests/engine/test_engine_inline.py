from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import (
    ExecuteOptions,
    Ledger,
    UnitResult,
    Workshop,
    all_failures,
    execute,
    read_events,
    run_folder,
)
from spectroflow.engine.faults import IN_RUN, IN_UNIT, VARIABLE
from spectroflow.errors import ArchiveError, Interrupted, PlanMismatch, UnitError, Unreachable
from spectroflow.storage import CheckedWriter, Location

INLINE = ExecuteOptions(backend="inline", verify_fraction=1.0)


def run(numbers: Numbers, root: Location, options: ExecuteOptions = INLINE, **fields):
    extra = {name: fields.pop(name) for name in ("listener", "finalize") if name in fields}
    return execute(numbers.plan(**fields), numbers, root, options=options, prepare=numbers.prepare(root), **extra)


@pytest.fixture
def root(tmp_path) -> Location:
    return Location.parse(tmp_path / "archive")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    """The content of an archive of 61 rows in shards of 8, written by one undisturbed run."""
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(Numbers(61), place)
    return content(place)


def test_every_row_is_accounted_for(root):
    heard = []
    result = run(Numbers(61), root, groups=2, listener=heard.append, finalize=lambda result: {"seen": result.units})
    assert result.rows == expected_rows(61, groups=2)
    assert result.codes["OK"] == result.rows["ok"]
    assert result.metrics == {"rows": 122, "sum_of_rows": 61 * 60}
    assert (result.units, result.resumed_units, result.details) == (16, 0, {"seen": 16})
    place = run_folder(root, result.run)
    failures = list(all_failures(place))
    assert len(failures) == result.rows["failed"] + result.rows["skipped"]
    assert all(failure.source == f"file-{failure.row}" for _, failure in failures)
    saved = json.loads((place / "metrics.json").read_bytes())
    assert saved["rows"] == result.rows
    assert saved["details"] == {"seen": 16}
    assert [event.name() for event in heard].count("unit_done") == 16
    logged = list(read_events(place))
    assert logged == [event for event in heard if event.name() != "unit_started"]


def test_a_second_run_finds_everything_done(root):
    first = run(Numbers(61), root)
    heard = []
    second = run(Numbers(61), root, listener=heard.append)
    assert (second.resumed_units, second.rows, second.metrics) == (first.units, first.rows, first.metrics)
    assert "unit_done" not in [event.name() for event in heard]


def test_an_empty_plan_is_done_at_once(root):
    assert run(Numbers(0), root).rows == {"total": 0, "ok": 0, "failed": 0, "skipped": 0}


@pytest.mark.parametrize("unit_shards", [1, 3, 100])
@pytest.mark.parametrize("order", ["planned", "shuffled"])
def test_bytes_do_not_depend_on_order_or_on_how_units_are_cut(root, undisturbed, unit_shards, order):
    run(Numbers(61), root, ExecuteOptions(backend="inline", order=order), unit_shards=unit_shards)
    assert content(root) == undisturbed


def _child(root: Location, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    run(Numbers(61), root)


def in_child(root: Location, **environment: str) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=_child, args=(root, environment))
    child.start()
    child.join(60)
    return child.exitcode


@pytest.mark.parametrize(
    ("point", "unit"),
    [*itertools.product(IN_UNIT, ["g0-000000", "g0-000003", "g0-000007"]), *((point, "*") for point in IN_RUN)],
)
def test_killed_anywhere_and_resumed_gives_the_same_bytes(root, undisturbed, point, unit):
    assert in_child(root, **{VARIABLE: f"{point}:{unit}:1"}) == -signal.SIGKILL
    done = Ledger(run_folder(root, Numbers(61).plan().run), Numbers(61).plan().fingerprint).names()
    if point in IN_UNIT:
        assert (unit in done) is (point == "after-marker")
    else:
        assert len(done) == (0 if point == "after-plan" else 8)
    result = run(Numbers(61), root)
    assert result.resumed_units == len(done)
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    assert not [info for info in root.walk() if info.path.endswith(".partial")]


def test_a_unit_that_has_output_but_no_marker_is_done_again(root, undisturbed):
    """Law 2: a file's existence is not completion."""
    result = run(Numbers(61), root)
    Ledger(run_folder(root, result.run), "").forget("g0-000004")
    shard = root / "segments/g0/spectra.zarr/values/c/4/0"
    shard.write_bytes(b"half a shard")
    again = run(Numbers(61), root)
    assert again.resumed_units == result.units - 1
    assert content(root) == undisturbed


@pytest.mark.parametrize("damage", ["truncated", "flipped", "of another plan", "output gone", "output cut"])
def test_damaged_markers_and_missing_output_are_healed(root, undisturbed, damage):
    result = run(Numbers(61), root)
    marker = run_folder(root, result.run) / "done/g0-000002.json"
    shard = root / "segments/g0/spectra.zarr/values/c/2/0"
    whole = marker.read_bytes()
    match damage:
        case "truncated":
            marker.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            marker.write_bytes(whole.replace(b'"OK":6', b'"OK":7'))
            assert marker.read_bytes() != whole
        case "of another plan":
            marker.write_bytes((run_folder(root, result.run) / "done/g0-000001.json").read_bytes())
        case "output gone":
            shard.delete()
        case "output cut":
            shard.write_bytes(shard.read_bytes()[:-1])
    heard = []
    again = run(Numbers(61), root, listener=heard.append)
    assert [event.unit for event in heard if event.name() == "unit_done"] == ["g0-000002"]
    assert again.rows == result.rows
    assert content(root) == undisturbed


def test_no_unit_can_write_the_shard_of_another(root):
    """Law 1: two units cannot write the same key."""
    numbers = Numbers(61)
    plan = numbers.plan(unit_shards=2)
    owned = [key for unit in plan.units() for key in numbers.keys(unit)]
    assert len(owned) == len(set(owned))

    class Greedy(Numbers):
        def process(self, unit, writer, skip):
            result = super().process(unit, writer, skip)
            writer.put(f"segments/g0/spectra.zarr/values/c/{(unit.shard_start + 1) % 8}/0", b"mine")
            return result

    greedy = Greedy(61)
    with pytest.raises(ArchiveError, match="does not own"):
        run(greedy, root)
    assert not Ledger(run_folder(root, greedy.plan().run), "").names()


@pytest.mark.parametrize("how", ["zarr", "put"])
def test_what_an_earlier_attempt_wrote_and_this_one_does_not_is_removed(root, how):
    """A killed attempt leaves a shard; the attempt that skips its rows has nothing to write there."""

    class Silent(Numbers):
        """Writes the status only, by hand."""

        def process(self, unit, writer, skip):
            writer.put(f"segments/g0/spectra.zarr/status/c/{unit.shard_start}", b"all skipped")
            return UnitResult({"CRASHED_WORKER": len(unit)})

    numbers = Numbers(61)
    run(numbers, root)
    plan = numbers.plan()
    shard = root / "segments/g0/spectra.zarr/values/c/1/0"
    assert shard.exists()
    ledger = Ledger(run_folder(root, plan.run), plan.fingerprint)
    ledger.forget("g0-000001")
    processor = numbers if how == "zarr" else Silent(61)
    workshop = Workshop(root, run_folder(root, plan.run), plan.fingerprint, processor)
    unit = plan.unit("g0-000001")
    workshop.attempt(unit, 1, dict.fromkeys(unit.rows, "CRASHED_WORKER"))
    assert not shard.exists()
    assert run(numbers, root).codes["CRASHED_WORKER"] == 8


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (UnitResult({"OK": 7}), "7 of 8 rows"),
        (UnitResult({"OK": 9}), "9 of 8 rows"),
        (UnitResult({"FINE": 8}), "unknown status 'FINE'"),
    ],
)
def test_rows_that_do_not_add_up_stop_the_run(root, result, message):
    """Law 4: nothing goes missing silently."""

    class Careless(Numbers):
        def process(self, unit, writer, skip):
            return result

    heard = []
    with pytest.raises(ArchiveError, match=message):
        run(Careless(61), root, listener=heard.append)
    assert "unit_done" not in [event.name() for event in heard]


@pytest.mark.parametrize("asleep_at", ["before its data", "after its data"])
def test_a_zombie_cannot_change_a_unit_that_is_done(root, undisturbed, asleep_at):
    """Law 2: an attempt thought dead goes on writing after another one finished its unit.

    The zombie computes something else, as if code or machine differed. It is stopped between its puts,
    and writes nothing from the moment the unit is done. What remains is one put that was asked for
    before that moment and ends after it: there, law 3 makes both write the same bytes.
    """
    numbers = Numbers(61)
    plan = numbers.plan()
    numbers.prepare(root)(plan)
    asleep, awake = threading.Event(), threading.Event()

    class Zombie(Numbers):
        def process(self, unit, writer, skip):
            result = super().process(unit, writer, skip) if asleep_at == "after its data" else None
            asleep.set()
            assert awake.wait(30)
            result = result or super().process(unit, writer, skip)
            return UnitResult(result.codes, [], result.metrics)

    place = run_folder(root, plan.run)
    zombie = Workshop(root, place, plan.fingerprint, Zombie(61, seed=99))
    unit = plan.unit("g0-000002")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(zombie.attempt(unit, 1, {})))
    thread.start()
    assert asleep.wait(30)
    run(numbers, root)
    marker = (place / "done/g0-000002.json").read_bytes()
    quarantine = (place / "quarantine/g0-000002.jsonl").read_bytes()
    awake.set()
    thread.join(30)
    assert answers[0].codes == Ledger(place, plan.fingerprint).read("g0-000002").codes
    assert content(root) == undisturbed
    assert (place / "done/g0-000002.json").read_bytes() == marker
    assert (place / "quarantine/g0-000002.jsonl").read_bytes() == quarantine


def test_output_that_does_not_read_back_is_found_before_the_marker(root, monkeypatch):
    honest = CheckedWriter.put

    def lossy(self, key, data):
        honest(self, key, data)
        self.settle()
        if key.endswith("values/c/3/0") and not lost:
            lost.append(key)
            (self.root / key).write_bytes(bytes(data)[:-1] + b"?")

    lost = []
    monkeypatch.setattr(CheckedWriter, "put", lossy)
    heard = []
    run(Numbers(61), root, listener=heard.append)
    retried = [event for event in heard if event.name() == "unit_retried"]
    assert [event.unit for event in retried] == ["g0-000003"]
    assert "does not read back" in retried[0].detail


def test_an_error_that_passes_is_tried_again(root, undisturbed, tmp_path):
    result = run(Numbers(61, misbehave={20: "error", 40: "error"}, once=str(tmp_path)), root)
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed


def test_an_error_that_stays_stops_the_run_and_keeps_what_is_done(root, undisturbed):
    heard = []
    with pytest.raises(UnitError, match="row 20 is wrong") as caught:
        run(Numbers(61, misbehave={20: "error"}), root, listener=heard.append)
    assert caught.value.exit_code == 1
    assert "Traceback" not in str(caught.value)
    assert any("row 20 is wrong" in note for note in caught.value.__notes__)
    assert [event.name() for event in heard].count("unit_retried") == 2
    assert heard[-1].name() == "run_stopped"
    done = Ledger(run_folder(root, Numbers(61).plan().run), "").names()
    assert done == {f"g0-00000{n}" for n in range(8) if n != 2}
    assert run(Numbers(61), root).resumed_units == 7
    assert content(root) == undisturbed


def test_full_storage_is_unreachable_storage(root):
    with pytest.raises(Unreachable, match="No space left") as caught:
        run(Numbers(61, misbehave={20: "full"}), root)
    assert caught.value.exit_code == 6


def test_memory_that_runs_out_condemns_the_row_that_takes_it(root):
    result = run(Numbers(61, misbehave={20: "memory", 41: "memory"}), root)
    assert result.codes["OUT_OF_MEMORY"] == 2
    assert result.rows["total"] == 61
    rows = [failure.row for _, failure in all_failures(run_folder(root, result.run)) if failure.code == "OUT_OF_MEMORY"]
    assert rows == [20, 41]


def test_drivers_that_do_the_same_run_at_once_do_no_harm(root, undisturbed):
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        drivers = [context.Process(target=_child, args=(root, {})) for _ in range(3)]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join(60)
        assert [driver.exitcode for driver in drivers] == [0, 0, 0]
        assert content(root) == undisturbed
        root.delete_tree()


def test_a_clock_that_jumps_decides_nothing(root, undisturbed, monkeypatch):
    jumps = itertools.cycle([4e9, 0.0, 1e9, -5.0])
    monkeypatch.setattr("time.time", lambda: next(jumps))
    heard = []
    result = run(Numbers(61, misbehave={}), root, listener=heard.append)
    assert result.rows == expected_rows(61)
    assert 0 <= result.seconds < 60
    assert all((event.eta_seconds or 0) >= 0 for event in heard if event.name() == "progress")
    assert content(root) == undisturbed


def test_interrupting_keeps_what_is_done(root, undisturbed):
    def interrupt(event):
        if event.name() == "unit_done" and event.unit == "g0-000002":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(Numbers(61), root, listener=interrupt)
    assert caught.value.exit_code == 130
    assert run(Numbers(61), root).resumed_units == 3
    assert content(root) == undisturbed


def test_a_run_of_the_same_name_with_another_plan_is_refused(root):
    numbers = Numbers(61)
    run(numbers, root)
    other = Numbers(61, seed=1)
    plan = other.plan().model_copy(update={"run": numbers.plan().run})
    with pytest.raises(PlanMismatch, match=r"payload\.seed: 0 -> 1"):
        execute(plan, other, root, options=INLINE)


def test_it_runs_in_memory(undisturbed):
    root = Location.parse("memory://engine-inline")
    run(Numbers(61), root, ExecuteOptions())
    assert content(root) == undisturbed


def test_nothing_of_ray_is_imported_inline(tmp_path):
    code = (
        "import sys; from engine_work import Numbers; from spectroflow.engine import ExecuteOptions, execute\n"
        "from spectroflow.storage import Location\n"
        f"root = Location.parse({str(tmp_path)!r}); n = Numbers(20)\n"
        "sys.modules['ray'] = None\n"
        "execute(n.plan(), n, root, options=ExecuteOptions(workers=0), prepare=n.prepare(root))\n"
        "assert not [name for name in sys.modules if name.startswith('ray.')]"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
