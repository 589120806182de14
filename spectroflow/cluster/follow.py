"""Following a job: its log as it comes, then its exit code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from spectroflow.cluster.addresses import Cluster
from spectroflow.errors import Interrupted, Unreachable

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

RESULT_VARIABLE = "SPECTROFLOW_RESULT_PREFIX"
RESULT_PREFIX = "spectroflow-result| "
"""A job has one log; lines of the result carry this mark in it."""

LOST_SECONDS = 120.0
"""How long a cluster may be silent before a follower gives up."""

_RETRY_SECONDS = 2.0


def follow(
    client: JobSubmissionClient,
    cluster: Cluster,
    name: str,
    *,
    result: Callable[[str], None],
    log: Callable[[str], None],
    patience: float = LOST_SECONDS,
) -> int:
    """Pass the log of a job on until it ends.

    Parameters
    ----------
    client, cluster, name
        The job.
    result, log
        Take the lines of the command's result, and all other lines.
    patience
        Seconds for which the cluster may not answer; the log goes on where it was.

    Returns
    -------
    int
        The exit code of the command; 130 where the job was stopped.

    Raises
    ------
    Unreachable
        The cluster fell silent, or the command never started.
    Interrupted
        The user stopped following; the job goes on.
    """
    reader = LogLines(result, log)
    try:
        asyncio.run(_follow(client, cluster, name, reader, patience))
    except KeyboardInterrupt:
        raise Interrupted(
            f"the job {name} goes on without this terminal",
            remedy=f"Stop it with: spectroflow jobs stop {name} --cluster {cluster.address}",
        ) from None
    reader.close()
    return exit_code(client.get_job_info(name), cluster)


def exit_code(info: Any, cluster: Cluster) -> int:
    """Return the exit code of a job that has ended.

    Raises
    ------
    Unreachable
        The cluster could not start the command.
    """
    status = str(getattr(info.status, "value", info.status))
    code = info.driver_exit_code
    if status == "SUCCEEDED":
        return 0
    if status == "STOPPED":
        return 130
    if code is None or code in {126, 127}:
        raise Unreachable(
            f"the cluster could not start the command: {' '.join(str(info.message).split())[-400:]}",
            where=cluster.address,
            remedy=f"SpectroFlow must be installed there; python in clusters.toml says where (now {cluster.python}).",
        )
    # Anything else is a signal: the shell says 128 + N for it, Python says -N.
    return int(code) if 0 < code < 126 or code == Interrupted.exit_code else 1


async def _follow(client: JobSubmissionClient, cluster: Cluster, name: str, reader: LogLines, patience: float) -> None:
    silent_since: float | None = None
    while True:
        try:
            seen = 0
            async with aclosing(_tail(client, name)) as chunks:
                async for chunk in chunks:
                    silent_since = None
                    reader.feed(chunk, at=seen)
                    seen += len(chunk)
            if client.get_job_status(name).is_terminal():
                return
        except Exception as error:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > patience:
                raise Unreachable(
                    f"the cluster fell silent ({type(error).__name__})",
                    where=cluster.address,
                    remedy=f"The job may go on; follow it with: spectroflow jobs logs {name} --follow",
                ) from None
        await asyncio.sleep(_RETRY_SECONDS)


async def _tail(client: JobSubmissionClient, name: str) -> AsyncGenerator[str, None]:
    async for chunk in client.tail_job_logs(name):
        yield chunk


class LogLines:
    """Cuts chunks of a log into lines; a log that is read again from its start is shown once."""

    def __init__(self, result: Callable[[str], None], log: Callable[[str], None]) -> None:
        self._result = result
        self._log = log
        self._taken = 0
        self._rest = ""

    def feed(self, chunk: str, *, at: int) -> None:
        """Take the part of a chunk, found at character ``at`` of the log, that is new."""
        new = chunk[max(0, self._taken - at) :]
        self._taken = max(self._taken, at + len(chunk))
        *lines, self._rest = (self._rest + new).split("\n")
        for line in lines:
            self._emit(line)

    def close(self) -> None:
        """Show a last line that has no end."""
        if self._rest:
            self._emit(self._rest)
            self._rest = ""

    def _emit(self, line: str) -> None:
        if line.startswith(RESULT_PREFIX):
            self._result(line.removeprefix(RESULT_PREFIX))
        else:
            self._log(line)
