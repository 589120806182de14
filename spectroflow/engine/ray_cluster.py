"""The Ray cluster as the engine sees it: joining it, its nodes, and why one of its actors died."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from spectroflow.engine.events import Reason
from spectroflow.engine.memory import oom_kills
from spectroflow.engine.preflight import Node
from spectroflow.errors import Unreachable

NAMESPACE = "spectroflow"

_OBJECT_STORE_BYTES = 128 << 20
_ASK_SECONDS = 30.0


def connect(least_cpus: int = 0) -> None:
    """Join the cluster this process belongs to, or start Ray on this machine.

    A process that has joined one already, or that runs as a Ray Job (``RAY_ADDRESS`` is set), uses that.

    Raises
    ------
    Unreachable
        The cluster does not answer, or has another version of Ray or Python.
    """
    # Ray prints what its daemons report, such as the end of a worker, to stdout, which is the result's. The
    # engine hears of it anyway and tells it as events.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    import ray

    if ray.is_initialized():
        return
    common: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, **common)
            return
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, least_cpus),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            **common,
        )
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise Unreachable(
            f"Ray cannot be reached or started ({str(error).strip().splitlines()[0]})",
            where=address or "this machine",
            remedy="Check the address and that the cluster has the same versions of Ray and Python.",
        ) from error


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    import ray

    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            found.append(Node(node["NodeID"], has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("memory", 0.0)))
    return found


def why_it_died(error: Exception, node: str, kills_before: int) -> Reason:
    """Tell a lost node and exhausted memory from a crash.

    Parameters
    ----------
    error
        What Ray raised for a call to the actor.
    node
        Where the actor was; empty where it had not come up.
    kills_before
        How many processes had been killed for memory there when it came up.

    Notes
    -----
    A worker's end is heard of before that of its node, which takes seconds to be noticed. So the node is
    asked: one that does not answer is as good as lost.
    """
    import ray

    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "memory"
    if getattr(error, "preempted", False):
        return "node"
    if not node:
        return "crashed"
    if node not in {other.name for other in nodes()}:
        return "node"
    kills = _oom_kills_on(node)
    if kills is None:
        return "node"
    return "memory" if kills > kills_before else "crashed"


def _oom_kills_on(node: str) -> int | None:
    """Ask a node for its count of kills for memory; None where it is dead or does not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    asked = ray.remote(oom_kills).options(num_cpus=0, scheduling_strategy=there, max_retries=0).remote()
    patience = time.monotonic() + _ASK_SECONDS
    while time.monotonic() < patience:
        if ray.wait([asked], timeout=1.0)[0]:
            try:
                return int(ray.get(asked))
            except ray.exceptions.RayError:
                return None
        if node not in {other.name for other in nodes()}:
            return None
    return None


def last_line(error: Exception) -> str:
    """Return the last line of an error that Ray raised: the exception behind it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:400] if lines else type(error).__name__


def one_line(error: Exception) -> str:
    """Return the beginning of an error that Ray raised as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:400] if lines else type(error).__name__
