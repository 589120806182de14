"""``--cluster``: the same command as a Ray Job, its log followed, its exit code returned."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spectroflow.cluster.addresses import Cluster, resolve
from spectroflow.cluster.client import connect, reported
from spectroflow.cluster.follow import RESULT_PREFIX, RESULT_VARIABLE, follow
from spectroflow.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PathKind = Literal["shared", "carried"]
Sink = Callable[[str], None]

MOST_CARRIED_BYTES = 16 << 20
"""Files that travel with a job are configuration, pipelines and manifests, not data."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command line, as it was parsed.

    Attributes
    ----------
    option
        ``--where``, or None for a positional argument.
    values
        Nothing for a flag, one value, or several for a repeated option.
    path
        ``shared`` for paths that the command opens where it runs, ``carried`` for small files of the
        submitter, None for what is no path.
    """

    option: str | None
    values: tuple[str, ...] = ()
    path: PathKind | None = None


def submit(command: str, arguments: Sequence[Argument], address: str, *, result: Sink, log: Sink) -> int:
    """Run a command on a cluster and wait for it.

    A job of the same command that is still running there is followed instead of started twice.

    Parameters
    ----------
    command
        The words of the command: ``convert``, ``library build``.
    arguments
        Everything behind them, but ``--cluster``.
    address
        A name or an address; see :func:`spectroflow.cluster.addresses.resolve`.
    result, log
        Take the lines that the command writes to stdout, and all others.

    Returns
    -------
    int
        The exit code of the command.

    Raises
    ------
    Unreachable
        The cluster cannot be reached, or the command never started there.
    """
    cluster = resolve(address)
    with tempfile.TemporaryDirectory(prefix="spectroflow-job-") as folder:
        words = command_line(command, arguments, Path(folder))
        client = connect(cluster)
        with reported(cluster):
            name = _start(client, cluster, command, words, Path(folder))
    log(f"job {name} on {cluster.address}, also seen with: spectroflow jobs logs {name} --follow --cluster {address}")
    return follow(client, cluster, name, result=result, log=log)


def command_line(command: str, arguments: Sequence[Argument], carried: Path) -> list[str]:
    """Return the words of a command as the cluster will run it, copying carried files to a folder.

    Local paths become absolute, because a job starts in another folder: they must be on a file system
    that every node sees.

    Raises
    ------
    UsageError
        A path is on ``memory://``, which no other process sees.
    InvalidInput
        A file that should travel along does not exist or is too large.
    """
    words, positional = [], []
    for argument in arguments:
        values = [_place(value, argument.path, carried) for value in argument.values]
        if argument.option is None:
            positional += values
        elif values:
            words += [f"{argument.option}={value}" for value in values]
        else:
            words.append(argument.option)
    return [*command.split(), *words, "--", *positional]


def _place(value: str, kind: PathKind | None, carried: Path) -> str:
    if kind is None:
        return value
    if "://" in value:
        if value.startswith("memory://"):
            raise UsageError(
                "memory:// is seen by one process only", where=value, remedy="Use a path or URL that the cluster sees."
            )
        return value
    path = Path(os.path.abspath(os.path.expanduser(value)))
    if kind == "shared":
        return str(path)
    if not path.is_file():
        raise InvalidInput("there is no such file", where=value, remedy="Correct the path.")
    if path.stat().st_size > MOST_CARRIED_BYTES:
        raise InvalidInput(
            "too large to travel with a job", where=value, remedy="Put it where the cluster sees it and give its URL."
        )
    target = carried / path.name
    number = 1
    while target.exists():
        number += 1
        target = carried / f"{path.stem}-{number}{path.suffix}"
    shutil.copyfile(path, target)
    return target.name


def _start(client: JobSubmissionClient, cluster: Cluster, command: str, words: list[str], folder: Path) -> str:
    """Submit, or find the job of the same command that is running, and return its name."""
    base = _job_name(command, words, folder)
    jobs = {str(job.submission_id): str(getattr(job.status, "value", job.status)) for job in client.list_jobs()}
    attempt = 1
    name = base
    while name in jobs:
        if jobs[name] in {"PENDING", "RUNNING"}:
            return name
        attempt += 1
        name = f"{base}-{attempt}"
    environment = {name: os.environ[name] for name in cluster.environment if name in os.environ}
    runtime: dict[str, Any] = {"env_vars": {**environment, RESULT_VARIABLE: RESULT_PREFIX}}
    if any(folder.iterdir()):
        runtime["working_dir"] = str(folder)
    try:
        client.submit_job(
            # exec: a signal that stops the job must reach Python, not a shell around it.
            entrypoint=f"exec {shlex.join([cluster.python, '-m', 'spectroflow_cli', *words])}",
            submission_id=name,
            runtime_env=runtime,
            metadata={"spectroflow": shlex.join(words)[:4000]},
        )
    except RuntimeError as error:
        # Two submitters of one command: the second follows the job of the first.
        if "already exists" not in str(error):
            raise
    return name


def _job_name(command: str, words: Sequence[str], folder: Path) -> str:
    state = hashlib.blake2b(digest_size=6)
    for word in words:
        state.update(word.encode() + b"\0")
    for path in sorted(folder.iterdir()):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"spectroflow-{command.replace(' ', '-')}-{state.hexdigest()}"
