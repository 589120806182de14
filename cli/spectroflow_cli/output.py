"""What a command prints: the result on stdout and nothing else there; everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Result(Protocol):
    """What a job returns."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        ...

    @property
    def lines(self) -> Sequence[str]:
        """Sentences for people, below the table."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        ...

    def table(self) -> Sequence[Sequence[str]]:
        """Return the result as rows of words for people."""
        ...


def show(result: Result, *, as_json: bool) -> None:
    """Print the result of a command."""
    if as_json:
        write(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        write("\n".join(filter(None, [columns(result.table()), *result.lines])))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def write(text: str) -> None:
    """Print lines of the result.

    A Ray job has one log for stdout and stderr; there, each line of the result is marked, so that the
    submitter can tell them apart.
    """
    prefix = os.environ.get("SPECTROFLOW_RESULT_PREFIX", "")
    for line in text.splitlines():
        sys.stdout.write(f"{prefix}{line}\n")
    sys.stdout.flush()


def say(text: str, *, log_format: str, level: str = "error", **fields: Any) -> None:
    """Write one line for the user to stderr."""
    if log_format == "json":
        entry: Mapping[str, Any] = {"level": level, "message": text, **fields}
        sys.stderr.write(json.dumps(entry, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"spectroflow: {text}\n")
    sys.stderr.flush()


def relay(line: str) -> None:
    """Pass a line of a remote log on to stderr as it is."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
