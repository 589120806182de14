"""Checks of this machine and of storage."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from spectroflow.cluster import examine
from spectroflow.cluster.machine import required
from spectroflow.cluster.storage_checks import check_storage
from spectroflow.storage import Location


def test_this_machine_is_fit() -> None:
    answer = examine()
    tree = json.loads(json.dumps(answer.to_json()))
    states = {check["name"]: check["state"] for check in tree["checks"]}
    assert answer.exit_code == 0
    assert tree["status"] == "done"
    assert {"command", "run", "status", "rows", "seconds", "output"} <= set(tree)
    assert states["python"] == states["packages"] == states["ray"] == states["cores"] == "ok"


def test_required_packages_leave_extras_out() -> None:
    assert {"numpy", "ray", "zarr", "torch"} <= set(required())
    assert not {"s3fs", "pytest", "lmfit"} & set(required())


@pytest.mark.parametrize("name", ["", "not/there/yet"])
def test_a_good_storage_is_left_as_it_was(tmp_path: Path, name: str) -> None:
    (check,) = check_storage(str(tmp_path / name))
    assert check.state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_memory_is_a_storage_too() -> None:
    (check,) = check_storage("memory://doctor")
    assert check.state == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_storage_fails(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    (check,) = check_storage(str(tmp_path))
    assert (check.state, check.exit_code) == ("failed", 6)


def test_a_file_is_no_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    answer = examine([str(tmp_path / "file")])
    assert answer.exit_code == 6
    assert answer.status == "failed"


def test_a_storage_that_overwrites_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Location, "create_exclusive", Location.write_bytes)
    (check,) = check_storage(str(tmp_path))
    assert check.state == "failed"
    assert "two writers" in check.found
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_protocol_is_a_failed_check_and_no_crash() -> None:
    answer = examine(["nothing://bucket"])
    assert answer.exit_code in {3, 6, 2}
    assert answer.status == "failed"


def test_nodes_need_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    answer = examine(nodes=True)
    assert answer.exit_code == 6
    assert any("belongs to no cluster" in row[2] for row in answer.rows)
