"""Checks of this machine, of storage and of a cluster, before a night depends on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial

from spectroflow.cluster import machine, remote_checks
from spectroflow.cluster.answer import Answer
from spectroflow.cluster.check import Check
from spectroflow.cluster.storage_checks import check_storage
from spectroflow.errors import SpectroFlowError, Unreachable


def examine(storage: Sequence[str] = (), *, cluster: str | None = None, nodes: bool = False) -> Answer:
    """Look at everything that a run needs.

    Parameters
    ----------
    storage
        Where archives will be written; each is tried with objects that are removed again.
    cluster
        A cluster to look at as well: its machines run this examination themselves.
    nodes
        Also run it on every node of the cluster that this process belongs to.
    """
    started = time.monotonic()
    checks: list[Check] = []
    for look in (
        machine.python,
        machine.packages,
        machine.ray,
        machine.cores,
        machine.memory,
        machine.scratch,
        machine.gpu,
    ):
        checks += _guarded(look)
    for place in storage:
        checks += _guarded(partial(check_storage, place), name=f"storage {place}", exit_code=6)
    if nodes:
        checks += _guarded(partial(remote_checks.each_node, storage), name="nodes", exit_code=6)
    if cluster:
        checks += _guarded(partial(remote_checks.on_cluster, cluster, storage), name="cluster", exit_code=6)
    return _answer(checks, time.monotonic() - started)


def _guarded(look: Callable[[], Iterable[Check]], name: str = "", exit_code: int = 3) -> list[Check]:
    """Make a failed check of whatever a look raises."""
    try:
        return list(look())
    except Unreachable as error:
        return [Check(name or "cluster", "failed", error.message, error.remedy, exit_code=6)]
    except SpectroFlowError as error:
        return [Check(name, "failed", error.message, error.remedy, exit_code=error.exit_code)]
    except Exception as error:
        title = name or getattr(look, "__name__", "check")
        return [Check(title, "failed", f"{type(error).__name__}: {error}", exit_code=exit_code)]


def _answer(checks: Sequence[Check], seconds: float) -> Answer:
    failed = [check for check in checks if check.state == "failed"]
    return Answer(
        command="doctor",
        status="failed" if failed else "done",
        header=("check", "state", "found"),
        rows=[(check.name, check.state, check.found) for check in checks],
        lines=[f"{check.name}: {check.remedy}" for check in checks if check.remedy and check.state != "ok"],
        details={"checks": [asdict(check) for check in checks]},
        seconds=seconds,
        exit_code=max((check.exit_code for check in failed), default=0),
    )
