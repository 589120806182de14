"""The engine on storage that fills up, refuses, stutters, or is an object store."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, all_failures, execute, last_progress, read_events, run_folder
from spectroflow.errors import Unreachable
from spectroflow.storage import Location
from spectroflow.storage.remote import ATTEMPTS
from tests.disks import small_disk
from tests.s3 import s3_server
from tests.s3_faults import KINDS, faulty


def run(numbers: Numbers, root: Location, attempts: int = 3, **fields):
    options = ExecuteOptions(backend="inline", verify_fraction=1.0, attempts=attempts)
    return execute(numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), **fields)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    place = Location.parse(tmp_path_factory.mktemp("undisturbed"))
    run(Numbers(61), place)
    return content(place)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", kib=160) as place:
        yield place


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(disk, undisturbed):
    root = Location.parse(disk / "archive")
    ballast = disk / "ballast"
    plan = Numbers(61).plan()

    def fill(event):
        if event.name() == "unit_done" and event.unit == "g0-000003":
            with contextlib.suppress(OSError):
                ballast.write_bytes(b"x" * (1 << 20))

    with pytest.raises(Unreachable, match="No space left") as caught:
        run(Numbers(61), root, listener=fill)
    assert caught.value.exit_code == 6
    ballast.unlink()
    result = run(Numbers(61), root)
    assert 4 <= result.resumed_units < plan.unit_count
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    assert not [info for info in root.walk() if info.path.endswith(".partial")]


def test_a_read_only_disk_is_told_and_nothing_is_lost(disk, undisturbed):
    root = Location.parse(disk / "archive")

    def lock(event):
        if event.name() == "unit_done" and event.unit == "g0-000003":
            subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)

    with pytest.raises(Unreachable, match="Read-only") as caught:
        run(Numbers(61), root, listener=lock)
    assert caught.value.exit_code == 6
    subprocess.run(["umount", str(disk)], check=True)
    assert run(Numbers(61), root).rows == expected_rows(61)
    assert content(root) == undisturbed


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    with s3_server("engine") as url:
        yield url


def test_an_object_store_holds_the_same_bytes(bucket, undisturbed):
    root = Location.parse(f"{bucket}/plain")
    result = run(Numbers(61), root)
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed
    place = run_folder(root, result.run)
    assert len(list(all_failures(place))) == result.rows["failed"] + result.rows["skipped"]
    assert [event.name() for event in read_events(place)][-1] == "run_finished"
    assert last_progress(place).units_done == 8
    assert run(Numbers(61), root).resumed_units == 8


def test_a_store_that_stutters_changes_nothing(bucket, undisturbed):
    root = Location.parse(f"{bucket}/faulty")
    with faulty() as server:
        result = run(Numbers(61), root)
        assert result.rows == expected_rows(61)
        assert set(server.seen) == set(KINDS)
    assert content(root) == undisturbed


@pytest.mark.parametrize("kind", ["503", "hang", "short"])
def test_a_store_that_is_gone_is_told_and_resumed(bucket, undisturbed, kind, monkeypatch):
    """Nothing works from some moment on: the run ends as documented, after a bounded number of requests."""
    monkeypatch.setenv("SPECTROFLOW_RETRY_SCALE", "0.001")
    root = Location.parse(f"{bucket}/gone-{kind}")
    asked = 0

    def fail_from_the_fourth_unit(event):
        nonlocal asked
        if event.name() == "unit_done" and event.unit == "g0-000003":
            server.kinds, server.every, asked = (kind,), 1, server.requests

    with faulty() as server:
        server.heal()
        with pytest.raises(Unreachable) as caught:
            run(Numbers(61), root, attempts=1, listener=fail_from_the_fourth_unit)
        assert caught.value.exit_code == 6
        assert server.requests - asked < 4 * ATTEMPTS
        server.heal()
        result = run(Numbers(61), root)
    assert 4 <= result.resumed_units < 8
    assert result.rows == expected_rows(61)
    assert content(root) == undisturbed


@pytest.mark.slow
def test_killed_on_an_object_store_and_resumed(bucket, undisturbed):
    root = Location.parse(f"{bucket}/killed")
    code = f"""
from engine_work import Numbers
from spectroflow.engine import ExecuteOptions, execute
from spectroflow.storage import Location
numbers, root = Numbers(61), Location.parse({root.url!r})
execute(numbers.plan(), numbers, root, options=ExecuteOptions(workers=0), prepare=numbers.prepare(root))
"""
    for fault, unit in (("between-arrays", "g0-000002"), ("before-marker", "g0-000004"), ("in-finalize", "*")):
        environment = {
            **os.environ,
            "PYTHONPATH": os.path.dirname(__file__),
            "SPECTROFLOW_FAULT": f"{fault}:{unit}",
        }
        child = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    result = run(Numbers(61), root)
    assert result.resumed_units == 8
    assert content(root) == undisturbed
