"""Checks that run on a cluster: on its head as a job, and on each node as a task."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from spectroflow.cluster.addresses import resolve
from spectroflow.cluster.check import Check
from spectroflow.cluster.client import connect, reported
from spectroflow.cluster.machine import installed_version
from spectroflow.cluster.storage_checks import CANARY
from spectroflow.cluster.submission import Argument, submit
from spectroflow.errors import Unreachable
from spectroflow.storage import Location

NODE_SECONDS = 60.0


def on_cluster(address: str, storage: Sequence[str]) -> Iterator[Check]:
    """Run the examination there, as any command would run, and return what it found."""
    cluster = resolve(address)
    client = connect(cluster)
    with reported(cluster):
        theirs = str(client._server_ray_version)
    ours = installed_version("ray")
    same = theirs == ours
    yield Check(
        "cluster",
        "ok" if same else "note",
        f"{cluster.address}, Ray {theirs}",
        "" if same else f"Ray is {ours} here; the same version on both sides is safer.",
    )
    log: list[str] = []
    answer: list[str] = []
    arguments = [Argument("--json"), Argument("--nodes"), Argument(None, tuple(storage), "shared")]
    submit("doctor", arguments, address, result=answer.append, log=log.append)
    try:
        checks = json.loads(answer[-1])["checks"]
    except (IndexError, ValueError, KeyError):
        last = " / ".join(line.strip() for line in log[-3:])
        raise Unreachable(
            f"the examination did not run there: {last}", remedy="Install SpectroFlow on the cluster."
        ) from None
    for check in checks:
        yield Check(**{**check, "name": f"cluster: {check['name']}"})


def each_node(storage: Sequence[str]) -> Iterator[Check]:
    """Read a canary of each storage from every node, and compare versions.

    Raises
    ------
    Unreachable
        This process belongs to no cluster, or a node does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if "RAY_ADDRESS" not in os.environ:
        raise Unreachable("this process belongs to no cluster", remedy="Use --cluster, or set RAY_ADDRESS.")
    ray.init(log_to_driver=False, configure_logging=False)
    canaries = [Location.parse(place) / f"{CANARY}{os.urandom(8).hex()}" for place in storage]
    try:
        for canary in canaries:
            canary.create_exclusive(b"canary")
        alive = [node for node in ray.nodes() if node["Alive"]]
        here = _look([])
        look = ray.remote(num_cpus=0, max_retries=0)(_look)
        for node in alive:
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            pending = look.options(scheduling_strategy=strategy).remote([canary.url for canary in canaries])
            done, _ = ray.wait([pending], timeout=NODE_SECONDS)
            if not done:
                yield Check(
                    f"node {node['NodeManagerHostname']}",
                    "failed",
                    f"no answer within {NODE_SECONDS:.0f} s",
                    exit_code=6,
                )
                continue
            yield _judge(node, ray.get(pending), here, storage)
    finally:
        for canary in canaries:
            canary.delete()
        ray.shutdown()


def _look(canaries: list[str]) -> dict[str, Any]:
    """Say what this node has; runs on each of them."""
    from spectroflow.cluster.machine import installed_version

    seen = []
    for canary in canaries:
        try:
            seen.append(Location.parse(canary).read_bytes() == b"canary")
        except Exception:
            seen.append(False)
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "spectroflow": installed_version("spectroflow"),
        "seen": seen,
    }


def _judge(node: dict[str, Any], found: dict[str, Any], here: dict[str, Any], storage: Sequence[str]) -> Check:
    name = f"node {found['host']}"
    blind = [place for place, seen in zip(storage, found["seen"], strict=True) if not seen]
    if blind:
        remedy = "Use object storage, or mount the folder on every node."
        return Check(name, "failed", f"does not see {', '.join(blind)}", remedy, exit_code=6)
    for what in ("python", "spectroflow"):
        if found[what] != here[what]:
            remedy = "Install the same on every node."
            return Check(name, "failed", f"{what} {found[what]}, elsewhere {here[what]}", remedy, exit_code=6)
    resources = node["Resources"]
    processors = f"{resources.get('CPU', 0):g} CPU, {resources.get('GPU', 0):g} GPU"
    return Check(name, "ok", f"{processors}, {resources.get('memory', 0) / 2**30:.1f} GiB")
