"""``spectroflow jobs``: what was submitted to a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from spectroflow.cluster.addresses import resolve
from spectroflow.cluster.answer import Answer
from spectroflow.cluster.client import connect, reported
from spectroflow.cluster.follow import RESULT_PREFIX, exit_code, follow
from spectroflow.config import nearest
from spectroflow.errors import UsageError

STOP_SECONDS = 60.0


def list_jobs(address: str) -> Answer:
    """List SpectroFlow's jobs on a cluster, the newest first."""
    started = time.monotonic()
    cluster = resolve(address)
    client = connect(cluster)
    with reported(cluster):
        jobs = [job for job in client.list_jobs() if "spectroflow" in (job.metadata or {})]
    jobs.sort(key=lambda job: job.start_time or 0, reverse=True)
    found = [_describe(job) for job in jobs]
    return Answer(
        command="jobs list",
        header=("job", "status", "started", "command"),
        rows=[(job["job"], job["status"], job["started"], _short(job["arguments"])) for job in found],
        details={"jobs": found},
        lines=[] if found else ["no jobs of SpectroFlow on this cluster"],
        seconds=time.monotonic() - started,
    )


def show_log(
    name: str, address: str, *, following: bool, result: Callable[[str], None], log: Callable[[str], None]
) -> int:
    """Show the log of a job; with ``following`` until the job ends.

    Returns
    -------
    int
        The exit code of the command where it has ended, else 0.

    Raises
    ------
    UsageError
        There is no such job.
    """
    cluster = resolve(address)
    client = connect(cluster)
    with reported(cluster):
        _require(client, name)
        if not following:
            for line in client.get_job_logs(name).splitlines():
                (result if line.startswith(RESULT_PREFIX) else log)(line.removeprefix(RESULT_PREFIX))
            info = client.get_job_info(name)
            return exit_code(info, cluster) if info.status.is_terminal() else 0
    return follow(client, cluster, name, result=result, log=log)


def stop_job(name: str, address: str) -> Answer:
    """Stop a job and wait until it has ended; a job that has ended before stays as it is."""
    started = time.monotonic()
    cluster = resolve(address)
    client = connect(cluster)
    with reported(cluster):
        _require(client, name)
        if not client.get_job_status(name).is_terminal():
            client.stop_job(name)
        while not client.get_job_status(name).is_terminal() and time.monotonic() - started < STOP_SECONDS:
            time.sleep(0.5)
        job = _describe(client.get_job_info(name))
    return Answer(
        command="jobs stop",
        status=job["status"],
        rows=[("job", name), ("status", job["status"])],
        details={"job": job},
        lines=["the same command resumes what it did"] if job["status"] == "stopped" else [],
        seconds=time.monotonic() - started,
    )


def _require(client: Any, name: str) -> None:
    known = [str(job.submission_id) for job in client.list_jobs()]
    if name not in known:
        raise UsageError(
            f"there is no job {name!r}", remedy=nearest(name, known) or "List them with: spectroflow jobs list."
        )


def _describe(job: Any) -> dict[str, Any]:
    stamp = datetime.fromtimestamp((job.start_time or 0) / 1000, UTC)
    return {
        "job": str(job.submission_id),
        "status": str(getattr(job.status, "value", job.status)).lower(),
        "started": stamp.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "arguments": (job.metadata or {}).get("spectroflow", ""),
        "exit_code": job.driver_exit_code,
    }


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
