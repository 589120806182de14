from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, Ledger, Resources, all_failures, execute, run_folder
from spectroflow.engine.executor import Task
from spectroflow.engine.preflight import Canary
from spectroflow.engine.ray_cluster import connect
from spectroflow.engine.ray_worker import Hand
from spectroflow.errors import UnitError, Unreachable, UsageError
from spectroflow.storage import Location

pytestmark = pytest.mark.ray

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    # Ray's processes inherit the environment of the driver: this is how workers find the processor's module.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]))
        connect(4)
        yield
        ray.shutdown()


def run(numbers: Numbers, root: Location, workers: int = 2, listener=lambda event: None, **options):
    options = {"backend": "ray", "workers": workers, "verify_fraction": 0.2, **options}
    return execute(
        numbers.plan(),
        numbers,
        root,
        options=ExecuteOptions(**options),
        prepare=numbers.prepare(root),
        listener=listener,
    )


@pytest.fixture
def root(tmp_path) -> Location:
    return Location.parse(tmp_path / "archive")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    """The content that an undisturbed inline run writes."""
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(Numbers(61), place, backend="inline")
    return content(place)


def test_one_or_three_workers_or_none_write_the_same_bytes(tmp_path, undisturbed):
    """Law 3: content depends on input, configuration and code alone."""
    for workers, order in ((1, "planned"), (3, "shuffled")):
        root = Location.parse(tmp_path / f"{workers}")
        result = run(Numbers(61), root, workers, order=order)
        assert result.rows == expected_rows(61)
        assert result.metrics == {"rows": 61, "sum_of_rows": 61 * 30}
        assert content(root) == undisturbed
        leftovers = [info.path for info in root.walk() if "canary" in info.path or info.path.endswith(".partial")]
        assert leftovers == []


@pytest.mark.slow
def test_a_worker_killed_from_outside_costs_nothing(root, undisturbed):
    pids: list[int] = []
    lost: list[str] = []

    def kill_once(event):
        if event.name() == "worker_started":
            pids.append(event.pid)
        if event.name() == "unit_done" and pids and not lost:
            os.kill(pids[0], signal.SIGKILL)
        if event.name() == "worker_lost":
            lost.append(event.reason)

    result = run(Numbers(61, slow=0.05), root, listener=kill_once)
    assert lost[0] == "crashed"
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed


def test_workers_that_die_at_any_step_cost_their_unit_an_attempt(root, undisturbed):
    points = ["before-data", "between-arrays", "after-data", "before-marker", "after-marker"]
    faults = {f"g0-00000{n}": point for n, point in enumerate(points, start=1)}
    numbers = Numbers(61, fault=",".join(f"{point}:{unit}:1" for unit, point in faults.items()))
    heard = []
    result = run(numbers, root, listener=heard.append)
    # A worker that dies at once may take the answer to its last unit with it; then nobody is blamed, once more.
    reasons = [event.reason for event in heard if event.name() == "worker_lost"]
    assert set(reasons) == {"crashed"}
    assert len(points) <= len(reasons) <= 2 * len(points)
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    ledger = Ledger(run_folder(root, result.run), numbers.plan().fingerprint)
    attempts = {unit: ledger.read(unit).attempt for unit in faults}
    assert attempts == {unit: 1 if point == "after-marker" else 2 for unit, point in faults.items()}


def test_many_small_units_share_calls_and_a_death_among_them_costs_none_twice(root):
    """Units of milliseconds go many to a call; the driver still hears of each once, and blames the right one."""
    numbers = Numbers(1600, shard_rows=4, fault="after-data:g0-000150:1,before-marker:g0-000290:1")
    heard = []
    result = run(numbers, root, listener=heard.append, verify_fraction=0.0)
    done = [event.unit for event in heard if event.name() == "unit_done"]
    assert sorted(done) == [unit.id for unit in numbers.plan().units()]
    assert result.rows == expected_rows(1600)
    retried = {event.unit for event in heard if event.name() == "unit_retried"}
    assert retried == {"g0-000150", "g0-000290"}


def test_a_call_is_worth_its_cost():
    task = Task(next(Numbers(8).plan().units()), 1)
    sent = []
    actor = SimpleNamespace(do=SimpleNamespace(remote=lambda tasks: sent.append(len(tasks)) or len(sent)))
    hand = Hand("worker", actor, None)
    for pace, sizes in ((None, [1] * 40), (0.5, [1] * 40), (0.01, [5] * 8), (0.0001, [32, 8])):
        hand.pace, hand.given, sent[:] = pace, [task] * 40, []
        hand.calls.clear()
        assert hand.queued == 40
        hand.send()
        assert sent == sizes
        assert (hand.queued, hand.given) == (40, [])
        assert [ref for ref, _ in hand.calls] == list(range(1, len(sizes) + 1))


def test_records_that_kill_cost_only_themselves(root):
    """Law 7: the unit is split until the records are found; everything else is as if they were not there."""
    numbers = Numbers(61, misbehave={20: "kill", 22: "kill"})
    heard = []
    result = run(numbers, root, listener=heard.append, attempts=1)
    assert result.codes["CRASHED_WORKER"] == 2
    assert result.rows["total"] == 61
    failures = [failure for _, failure in all_failures(run_folder(root, result.run))]
    assert [failure.row for failure in failures if failure.code == "CRASHED_WORKER"] == [20, 22]
    assert sorted(event.row for event in heard if event.name() == "row_condemned") == [20, 22]
    place = (root / "segments/g0/spectra.zarr").path
    found = zarr.open_group(place, mode="r")
    for row in range(61):
        fine = numbers.outcome(row) == "OK" and row not in numbers.misbehave
        values = np.asarray(found["values"][row])
        assert np.isfinite(values).all() == fine
        assert not fine or np.array_equal(values, Numbers(61).compute(row))


@pytest.mark.slow
def test_a_record_that_hangs_is_found_by_its_time_limit(root, monkeypatch):
    monkeypatch.setattr("spectroflow.engine.dispatch._SHORTEST_PROBE", 1.0)
    heard = []
    numbers = Numbers(24, shard_rows=2, misbehave={9: "hang"})
    result = run(numbers, root, listener=heard.append, attempts=1, unit_timeout=1.5)
    assert result.codes["TIMED_OUT"] == 1
    assert {event.reason for event in heard if event.name() == "worker_lost"} == {"timeout"}


@pytest.fixture
def small_memory():
    """A control group of 600 MiB that workers move into."""
    for kind, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        place = Path("/sys/fs/cgroup", kind, f"spectroflow-{os.getpid()}")
        try:
            place.mkdir()
            (place / limit).write_text(str(600 << 20))
        except OSError:
            continue
        yield str(place)
        time.sleep(0.5)
        place.rmdir()
        return
    pytest.skip("making a control group needs the rights to do so")


@pytest.mark.slow
def test_a_record_that_makes_the_kernel_kill_for_memory_is_told_from_a_crash(root, small_memory):
    heard = []
    numbers = Numbers(8, shard_rows=4, misbehave={5: "eat"}, cgroup=small_memory)
    result = run(numbers, root, listener=heard.append, attempts=1)
    assert result.codes["OUT_OF_MEMORY"] == 1
    assert {event.reason for event in heard if event.name() == "worker_lost"} == {"memory"}


@pytest.mark.slow
def test_hanging_once_costs_one_attempt(root, tmp_path, undisturbed):
    numbers = Numbers(61, misbehave={33: "hang"}, once=str(tmp_path))
    assert run(numbers, root, unit_timeout=2.0).rows == expected_rows(61)
    assert content(root) == undisturbed


@pytest.mark.slow
def test_an_error_that_stays_stops_the_run_and_it_resumes(root, undisturbed):
    with pytest.raises(UnitError, match="row 20 is wrong"):
        run(Numbers(61, misbehave={20: "error"}), root)
    result = run(Numbers(61), root)
    assert result.resumed_units == 7
    assert content(root) == undisturbed


@pytest.mark.parametrize(
    ("how", "message"), [("raise", "the model cannot be loaded"), ("die", "died while they were set up")]
)
def test_workers_that_cannot_be_set_up_are_told(root, how, message):
    with pytest.raises(UnitError, match=message):
        run(Numbers(61, setup_error=how), root)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Resources(gpus=1), r"no node of the cluster has 1 graphics processors \(the most is 0\)"),
        (Resources(cpus=64), r"64 cores \(the most is 4\)"),
        (Resources(memory_bytes=1 << 50), r"GiB of memory"),
    ],
)
def test_what_the_cluster_can_never_give_is_refused_at_once(root, needs, message):
    began = time.monotonic()
    with pytest.raises(Unreachable, match=message) as caught:
        run(Numbers(61, resources=needs), root)
    assert caught.value.exit_code == 6
    assert time.monotonic() - began < 5


def test_workers_that_never_come_are_given_up(root, monkeypatch):
    blocker = ray.remote(num_cpus=4)(lambda: time.sleep(60)).remote()
    monkeypatch.setattr("spectroflow.engine.ray.START_SECONDS", 1.0)
    monkeypatch.setattr("spectroflow.engine.ray._LOOK_SECONDS", 0.2)
    try:
        with pytest.raises(Unreachable, match="0 of at least 1 workers were ready"):
            run(Numbers(61), root)
    finally:
        ray.cancel(blocker, force=True)


@pytest.mark.slow
def test_metrics_of_a_run_reach_prometheus(root):
    """What Prometheus would scrape from this node's metrics agent adds up to the rows of the run."""
    result = run(Numbers(61, seed=11), root)  # No other test has a run of this name: counters go on through runs.
    port = ray.nodes()[0]["MetricsExportPort"]
    wanted = {"ok": result.rows["ok"], "failed": result.rows["failed"], "skipped": result.rows["skipped"]}
    found: dict[str, float] = {}
    for _ in range(60):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith("ray_spectroflow_rows") and result.run in line]
        samples = [re.search(r'outcome="(\w+)".* ([0-9.e+]+)$', line) for line in lines]
        found = {match[1]: float(match[2]) for match in samples if match}
        if found == wanted:
            break
        time.sleep(1)
    assert found == wanted


def test_memory_is_no_storage_for_workers():
    with pytest.raises(UsageError, match="one process only"):
        run(Numbers(61), Location.parse("memory://engine-ray"))


def test_storage_that_a_node_does_not_see_is_refused(root):
    """Each worker reads the driver's canary; here the driver's is withdrawn, as if it lay on another disk."""

    canary = Canary(run_folder(root, "x"))
    with pytest.raises(Unreachable, match="does not see what the driver wrote"):
        canary.answer("worker", "node")
    canary.release()
    canary.answer("worker", "node")
    canary.require_answer("worker", "node")
    with pytest.raises(Unreachable, match="does not arrive at the driver"):
        canary.require_answer("another", "node")


def test_a_folder_that_only_the_driver_has_is_refused(tmp_path):
    """The path leads through a folder that this process alone has open, as a disk of one node would."""
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        root = Location.parse(f"/proc/self/fd/{handle}/archive")
        with pytest.raises(Unreachable, match="does not see what the driver wrote") as caught:
            run(Numbers(61), root)
    finally:
        os.close(handle)
    assert caught.value.exit_code == 6


def test_workers_with_other_packages_are_refused(root):
    with pytest.raises(Unreachable, match=r"has numba 0\.0, the driver has"):
        run(Numbers(61, setup_error="other package"), root)


def test_a_cluster_of_another_version_of_ray_is_refused():
    code = """
import ray
ray.__version__ = "1.0.0"
from spectroflow.engine.ray_cluster import connect
from spectroflow.engine.ray_worker import Hand
from spectroflow.errors import Unreachable
try:
    connect()
except Unreachable as error:
    print(error, error.remedy)
"""
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    child = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=True, capture_output=True)
    assert b"Version mismatch" in child.stdout
    assert b"the same versions of Ray and Python" in child.stdout


def test_a_worker_without_work_is_let_go_while_another_goes_on(root, undisturbed, monkeypatch):
    monkeypatch.setattr("spectroflow.engine.ray._IDLE_SECONDS", 0.5)
    monkeypatch.setattr("spectroflow.engine.ray._LOOK_SECONDS", 0.2)
    heard = []
    result = run(Numbers(61, slow_rows={60: 3.0}), root, listener=heard.append)
    assert [event.name() for event in heard].count("worker_released") == 1
    assert [event.name() for event in heard].count("worker_started") == 2
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed


def test_a_driver_killed_half_way_is_resumed_with_any_number_of_workers(root, undisturbed):
    code = f"""
import os, signal
from engine_work import Numbers
from spectroflow.engine import ExecuteOptions, execute
from spectroflow.storage import Location
root = Location.parse({root.path!r})
numbers = Numbers(61, slow=0.05)
count = 0
def die(event):
    global count
    count += event.name() == "unit_done"
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
options = ExecuteOptions(backend="ray", workers=2)
execute(numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), listener=die)
"""
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__), "RAY_ADDRESS": address}
    child = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    result = run(Numbers(61), root, workers=3)
    assert 3 <= result.resumed_units < 8
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
