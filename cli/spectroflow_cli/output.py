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

    def table(self) -> Sequence[tuple[str, str]]:
        """Return the result as lines for people."""
        ...


def show(result: Result, *, as_json: bool) -> None:
    """Print the result of a command."""
    if as_json:
        write(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        write("\n".join([table(result.table()), *result.lines]))


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return label and value in two aligned columns."""
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label:<{width}}  {value}".rstrip() for label, value in rows)


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under a header, in aligned columns."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


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
