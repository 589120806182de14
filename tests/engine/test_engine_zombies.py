"""Exactly-once effect: workers that fall asleep, are thought dead, and write on when others did their work."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, Ledger, Workshop, all_failures, execute, run_folder
from spectroflow.storage import CheckedWriter, Location, UnitAlreadyDone, digest_bytes

ROWS = 93
INLINE = ExecuteOptions(backend="inline")


def run(root: Location):
    numbers = Numbers(ROWS)
    return execute(numbers.plan(), numbers, root, options=INLINE, prepare=numbers.prepare(root))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(place)
    return content(place)


def _work(root: Location, order: int) -> None:
    """Do all units that somebody else has not done, in an order of its own."""
    plan = Numbers(ROWS).plan()
    workshop = Workshop(root, run_folder(root, plan.run), plan.fingerprint, Numbers(ROWS, slow=0.03))
    units = list(plan.units())
    random.Random(order).shuffle(units)
    for unit in units:
        workshop.attempt(unit, order, {})


@pytest.mark.parametrize("seed", range(3))
def test_three_workers_that_fall_asleep_anywhere_have_the_effect_of_one(tmp_path, undisturbed, seed):
    """Each does every unit, is stopped at random for so long that others overtake it, and goes on."""
    root = Location.parse(tmp_path)
    numbers, rng = Numbers(ROWS), random.Random(seed)
    plan = numbers.plan()
    numbers.prepare(root)(plan)
    ledger = Ledger(run_folder(root, plan.run), plan.fingerprint)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(root, number)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    seen: dict[str, bytes] = {}
    naps = 0
    while any(worker.is_alive() for worker in workers):
        sleeper = rng.choice(workers)
        if sleeper.is_alive():
            os.kill(sleeper.pid or 0, signal.SIGSTOP)
            naps += 1
            time.sleep(rng.uniform(0.0, 0.05))
            os.kill(sleeper.pid or 0, signal.SIGCONT)
        time.sleep(rng.uniform(0.0, 0.01))
        for unit_id in ledger.names():
            marker = (ledger.folder / f"{unit_id}.json").read_bytes()
            assert seen.setdefault(unit_id, marker) == marker, "a unit was done twice"
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert naps >= 3
    assert len({ledger.read(unit_id).attempt for unit_id in ledger.names()}) > 1, "one worker did everything"
    for unit_id in ledger.names():
        for key, written in ledger.read(unit_id).keys.items():
            assert digest_bytes((root / key).read_bytes()) == written.digest
    assert content(root) == undisturbed
    result = run(root)
    assert result.resumed_units == plan.unit_count
    assert result.rows == expected_rows(ROWS)
    assert result.metrics == {"rows": ROWS, "sum_of_rows": sum(range(ROWS))}
    failed = [failure.row for _, failure in all_failures(ledger.run_dir)]
    assert failed == sorted(set(failed))
    assert len(failed) == result.rows["failed"] + result.rows["skipped"]


def test_a_zombie_that_slept_while_it_wrote_does_not_put_its_file_in_place(tmp_path, monkeypatch):
    """It had asked before it wrote; on disks it asks again before the file gets its name."""
    root = Location.parse(tmp_path)
    done: list[bool] = []
    fsync = os.fsync

    def slow_fsync(handle: int) -> None:
        fsync(handle)
        # While the zombie's bytes went to the disk, another worker wrote and finished the unit.
        done.append(True)

    (root / "shard").write_bytes(b"of the worker that finished")
    zombie = CheckedWriter(root, frozenset({"shard"}), lambda: bool(done))
    monkeypatch.setattr(os, "fsync", slow_fsync)
    with pytest.raises(UnitAlreadyDone):
        zombie.put("shard", b"of the zombie")
    assert (root / "shard").read_bytes() == b"of the worker that finished"
    assert root.list() == ["shard"]
    assert zombie.written == {}
