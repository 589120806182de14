"""Checks before anything runs: what the cluster can never give, and storage that not every node sees.

A worker that asks for a graphics processor or memory that no node has would stay pending for ever
without an error, and a folder that is another folder on each node would lose data silently.
"""

from __future__ import annotations

import platform
import secrets
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from spectroflow.engine.code import code_digest
from spectroflow.engine.processor import Resources
from spectroflow.errors import Unreachable, UsageError
from spectroflow.storage import Location

CANARY_FOLDER = "canary"

_DECIDE_CONTENT = ("ray", "numpy", "scipy", "numba", "zarr", "numcodecs", "pyarrow", "torch")


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine of the cluster has in all, whether or not it is in use now."""

    name: str
    cpus: float
    gpus: float
    memory_bytes: float


def require_resources(needed: Resources, nodes: list[Node]) -> None:
    """Raise :class:`Unreachable`, saying what is missing, unless one node can hold a worker."""
    if any(
        node.cpus >= needed.cpus and node.gpus >= needed.gpus and node.memory_bytes >= needed.memory_bytes
        for node in nodes
    ):
        return
    checks = (
        ("cores", needed.cpus, max((node.cpus for node in nodes), default=0.0), 1),
        ("graphics processors", needed.gpus, max((node.gpus for node in nodes), default=0.0), 1),
        ("GiB of memory", needed.memory_bytes, max((node.memory_bytes for node in nodes), default=0.0), 1 << 30),
    )
    lacking = [
        f"{need / scale:g} {what} (the most is {most / scale:.3g})" for what, need, most, scale in checks if most < need
    ]
    missing = " and ".join(lacking) or "all of what a worker needs at once"
    raise Unreachable(
        f"no node of the cluster has {missing}",
        remedy="Start larger nodes, or lower what a worker needs: smaller units take less memory.",
    )


def capacity(needed: Resources, nodes: list[Node]) -> int:
    """Return how many workers the nodes can hold together."""
    total = 0
    for node in nodes:
        fits = [
            have / need
            for have, need in (
                (node.cpus, needed.cpus),
                (node.gpus, needed.gpus),
                (node.memory_bytes, needed.memory_bytes),
            )
            if need > 0
        ]
        total += int(min(fits, default=node.cpus) + 1e-9)
    return total


def require_shareable(root: Location) -> None:
    """Refuse storage that exists in one process only."""
    if root.is_memory:
        raise UsageError(
            "memory:// exists in one process only, so workers cannot write to it",
            where=root.url,
            remedy="Use --workers 0, a folder or an object store.",
        )


def environment() -> dict[str, str]:
    """Return what must be the same on the driver and on each worker: Python, packages and this code."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "spectroflow": code_digest()[:12]}
    for package in _DECIDE_CONTENT:
        with suppress(PackageNotFoundError):
            # Builds of one version for different devices have a suffix: a node without a GPU may have another.
            found[package] = version(package).partition("+")[0]
    return found


def require_same_environment(driver: dict[str, str], worker: dict[str, str], node: str) -> None:
    """Raise :class:`Unreachable` where a worker has another version of something that decides content."""
    for name in sorted(driver.keys() | worker.keys()):
        mine, theirs = driver.get(name, "none"), worker.get(name, "none")
        if mine != theirs:
            raise Unreachable(
                f"the node {node} has {name} {theirs}, the driver has {mine}",
                remedy="Install the same packages on every node, or use one container image.",
            )


class Canary:
    """A token that the driver writes, each worker reads and answers, and the driver reads again.

    It goes both ways: a node that sees the driver's files but whose own stay behind is found too.
    """

    def __init__(self, run_dir: Location, token: str = "") -> None:
        self.run_dir = run_dir
        self.token = token or secrets.token_hex(8)

    def release(self) -> None:
        """Write the token; called by the driver."""
        self._place("driver").write_bytes(self.token.encode())

    def answer(self, worker: str, node: str) -> None:
        """Read the token and write an answer; called by each worker.

        Raises
        ------
        Unreachable
            The worker's node does not see what the driver wrote.
        """
        if self._read("driver") != self.token:
            raise Unreachable(
                f"the node {node} does not see what the driver wrote",
                where=str(self.run_dir),
                remedy="Use a path or URL that is the same storage on every node.",
            )
        self._place(worker).write_bytes(self.token.encode())

    def require_answer(self, worker: str, node: str) -> None:
        """Check that the driver sees what a worker wrote; raise :class:`Unreachable` otherwise."""
        if self._read(worker) != self.token:
            raise Unreachable(
                f"what the node {node} wrote does not arrive at the driver",
                where=str(self.run_dir),
                remedy="Use a path or URL that is the same storage on every node.",
            )

    def withdraw(self) -> None:
        """Delete the token and all answers."""
        (self.run_dir / CANARY_FOLDER / self.token).delete_tree()

    def _place(self, name: str) -> Location:
        return self.run_dir / CANARY_FOLDER / self.token / name

    def _read(self, name: str) -> str | None:
        try:
            return self._place(name).read_bytes().decode()
        except (FileNotFoundError, NotADirectoryError):  # on another node a part of the path may be a file
            return None
