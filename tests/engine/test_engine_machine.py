"""Whatever happens in whatever order, a run ends with the same bytes, and what is done stays done.

A machine that starts runs, kills them at any point, lets workers thought dead write on, damages what
storage may damage, and resumes. Kills here are exceptions that nothing catches, so that thousands of them
take seconds; that real kills are no different is shown elsewhere.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from engine_work import Numbers, content, expected_rows
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spectroflow.engine import ExecuteOptions, Ledger, Marker, execute, faults, run_folder
from spectroflow.storage import CheckedWriter, Location, UnitAlreadyDone, digest_bytes

ROWS = 21
SHARD_ROWS = 4
UNITS = [unit.id for unit in Numbers(ROWS, SHARD_ROWS).plan().units()]


class Killed(BaseException):
    """Nothing of the engine catches this, as nothing catches SIGKILL."""


def _die() -> None:
    raise Killed


def _run(root: Location, unit_shards: int, order: str = "planned"):
    numbers = Numbers(ROWS, SHARD_ROWS)
    options = ExecuteOptions(backend="inline", order=order, verify_fraction=1.0)
    return execute(numbers.plan(unit_shards=unit_shards), numbers, root, options=options, prepare=numbers.prepare(root))


class RunMachine(RuleBasedStateMachine):
    @initialize(unit_shards=st.sampled_from([1, 1, 2, 5]))
    def begin(self, unit_shards):
        self.folder = Path(tempfile.mkdtemp())
        self.root = Location.parse(self.folder)
        self.numbers = Numbers(ROWS, SHARD_ROWS)
        self.plan = self.numbers.plan(unit_shards=unit_shards)
        self.run_dir = run_folder(self.root, self.plan.run)
        self.ledger = Ledger(self.run_dir, self.plan.fingerprint)
        self.zombies = []
        self.damaged = set()

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @property
    def units(self):
        return list(self.plan.units())

    @rule(
        point=st.sampled_from([*faults.IN_UNIT, *faults.IN_RUN]), unit=st.sampled_from(UNITS), shards=st.integers(1, 3)
    )
    def killed_on_the_way(self, point, unit, shards):
        """A driver that plans other units is killed somewhere; the saved plan keeps its own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(faults, "die", _die)
            patch.setenv(faults.VARIABLE, f"{point}:{unit if point in faults.IN_UNIT else '*'}")
            first_time = not (self.run_dir / "plan.json").exists()
            try:
                _run(self.root, self.plan.unit_shards if first_time else shards)
            except Killed:
                return
        self.damaged.clear()

    @rule(order=st.sampled_from(["planned", "shuffled"]))
    def resumed_to_the_end(self, order):
        result = _run(self.root, self.plan.unit_shards, order)
        assert result.rows == expected_rows(ROWS)
        assert result.metrics == {"rows": ROWS, "sum_of_rows": sum(range(ROWS))}
        assert content(self.root) == undisturbed()
        assert not [info for info in self.root.walk() if info.path.endswith(".partial")]
        self.damaged.clear()

    @rule(data=st.data())
    def a_worker_falls_asleep_before_a_write(self, data):
        unit = data.draw(st.sampled_from(self.units))
        key = data.draw(st.sampled_from(sorted(self.numbers.keys(unit))))
        writer = CheckedWriter(self.root, self.numbers.keys(unit), lambda: self.ledger.is_done(unit.id))
        self.zombies.append((unit, key, writer))

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def a_zombie_writes(self, data):
        """It must be refused if its unit is done; otherwise its unit's next attempt has to undo it."""
        unit, key, writer = self.zombies.pop(data.draw(st.integers(0, len(self.zombies) - 1)))
        if self.ledger.is_done(unit.id):
            with pytest.raises(UnitAlreadyDone):
                writer.put(key, b"written by a zombie")
        else:
            writer.put(key, b"written by a zombie")

    @precondition(lambda self: self.ledger.names())
    @rule(data=st.data(), how=st.sampled_from(["cut marker", "drop marker", "drop shard", "cut shard"]))
    def storage_loses_something(self, data, how):
        unit_id = data.draw(st.sampled_from(sorted(self.ledger.names())))
        marker = self.run_dir / f"done/{unit_id}.json"
        keys = sorted(self.numbers.keys(self.plan.unit(unit_id)))
        shard = self.root / data.draw(st.sampled_from(keys))
        self.damaged.add(unit_id)
        match how:
            case "cut marker":
                marker.write_bytes(marker.read_bytes()[: data.draw(st.integers(0, 200))])
            case "drop marker":
                marker.delete()
            case "drop shard":
                shard.delete()
            case "cut shard":
                if shard.exists():
                    shard.write_bytes(shard.read_bytes()[:-1])

    @rule(unit=st.sampled_from(UNITS))
    def a_kill_leaves_a_partial_file(self, unit):
        for place in (self.run_dir / "done", self.root / "segments/g0/spectra.zarr/values/c/0"):
            (place / f"{unit}.json.{os.getpid()}.partial").write_bytes(b"half")

    @invariant()
    def what_is_done_is_whole(self):
        if not hasattr(self, "ledger"):
            return
        for unit_id in self.ledger.names() - self.damaged:
            unit = self.plan.unit(unit_id)
            marker = self.ledger.read(unit_id)
            assert isinstance(marker, Marker)
            assert unit is not None
            assert sum(marker.codes.values()) == len(unit)
            for key, written in marker.keys.items():
                assert digest_bytes((self.root / key).read_bytes()) == written.digest


_UNDISTURBED: dict[str, str] = {}


def undisturbed() -> dict[str, str]:
    if not _UNDISTURBED:
        with tempfile.TemporaryDirectory() as folder:
            root = Location.parse(folder)
            _run(root, 1)
            _UNDISTURBED.update(content(root))
    return _UNDISTURBED


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
