"""What all commands have in common: shared options, exit codes, where output goes."""

from __future__ import annotations

import inspect
import json
import os
import signal
from dataclasses import dataclass, field
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from spectroflow import errors
from spectroflow_cli import options
from spectroflow_cli.command import job, query
from spectroflow_cli.main import PANELS, app
from spectroflow_cli.request import Request

SHARED = {"config", "overrides", "where", "dry_run", "workers", "max_failed", "cluster", "json", "debug", "log_format"}
ONLY_LOOK = {"status", "inspect", "versions", "restore", "doctor"}


@dataclass
class Plain:
    exit_code: int = 0
    lines: list[str] = field(default_factory=lambda: ["a sentence"])

    def to_json(self) -> dict[str, Any]:
        return {"command": "act", "found": "é"}

    def table(self) -> list[tuple[str, str]]:
        return [("label", "value"), ("longer label", "x")]


def small_app(act: Any) -> typer.Typer:
    made = typer.Typer()
    made.command("act")(act)
    made.command("other")(lambda: None)
    return made


def invoke(body: Any, *arguments: str) -> Any:
    @job
    def act(request: Request, archive: options.Archive, modality: options.Modalities = None) -> Any:
        """Act."""
        return body(request, archive, modality)

    return CliRunner().invoke(small_app(act), ["act", *arguments])


@pytest.mark.parametrize("command", [c for panel in PANELS.values() for c in panel], ids=lambda c: c.__name__)
def test_every_command_that_works_takes_every_shared_option(command: Any) -> None:
    names = set(inspect.signature(command).parameters)
    wanted = {"json", "debug", "log_format"} if command.__name__ in ONLY_LOOK else SHARED
    assert wanted <= names


def test_shared_options_become_a_request() -> None:
    seen: list[Any] = []

    def body(request: Request, archive: str, modality: list[str] | None) -> Plain:
        seen.extend([request, archive, modality])
        return Plain()

    arguments = "A --modality raman --modality ir --set fit.effort=fast --set a.b=1 --where label=='x' --dry-run"
    done = invoke(
        body, *arguments.split(), "--workers", "2..4", "--max-failed", "1%", "--log-format", "json", "--debug"
    )
    assert done.exit_code == 0, done.output
    request, archive, modality = seen
    assert (archive, modality) == ("A", ["raman", "ir"])
    assert request.command == "act"
    assert list(request.overrides) == ["fit.effort=fast", "a.b=1"]
    assert (request.where, request.dry_run, request.debug) == ("label=='x'", True, True)
    assert (request.workers, request.max_failed, request.log_format) == ("2..4", "1%", "json")


def test_the_result_alone_is_on_stdout() -> None:
    def body(request: Request, archive: str, modality: list[str] | None) -> Plain:
        request.listener(started())
        return Plain()

    done = invoke(body, "A")
    assert done.stdout == "label         value\nlonger label  x\na sentence\n"
    assert "fit: 30 records in 3 units" in done.stderr
    done = invoke(body, "A", "--json")
    assert json.loads(done.stdout) == {"command": "act", "found": "é"}
    assert done.stdout.count("\n") == 1


def test_the_exit_code_of_a_result_is_that_of_the_command() -> None:
    done = invoke(lambda *_: Plain(exit_code=4), "A", "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["command"] == "act"


KINDS = [
    (errors.UsageError, 2),
    (errors.InvalidInput, 3),
    (errors.ConfigError, 3),
    (errors.TooManyFailures, 4),
    (errors.QualityGateFailed, 5),
    (errors.Unreachable, 6),
    (errors.Interrupted, 130),
]


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_our_errors_are_one_sentence_and_their_exit_code(kind: type[errors.SpectroFlowError], code: int) -> None:
    def body(*_: Any) -> Plain:
        raise kind("it is not so", where="file.txt", remedy="Make it so.")

    done = invoke(body, "A")
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr == "spectroflow: file.txt: it is not so. Make it so.\n"
    assert "Traceback" in invoke(body, "A", "--debug").stderr
    line = json.loads(invoke(body, "A", "--log-format", "json").stderr)
    assert line == {"level": "error", "message": "file.txt: it is not so. Make it so.", "exit_code": code}


def test_anything_else_is_a_bug() -> None:
    def body(*_: Any) -> Plain:
        raise KeyError("surprise")

    done = invoke(body, "A")
    assert done.exit_code == 1
    assert "this is a bug: KeyError: 'surprise'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in invoke(body, "A", "--debug").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def body(*_: Any) -> Plain:
        os.kill(os.getpid(), number)
        signal.pause()
        return Plain()

    done = invoke(body, "A")
    assert done.exit_code == 130
    assert "the same command resumes" in done.stderr
    assert signal.getsignal(signal.SIGTERM) == before


def test_rays_way_of_ending_on_sigterm_interrupts_too() -> None:
    def body(*_: Any) -> Plain:
        raise SystemExit(int(signal.SIGTERM))

    assert invoke(body, "A").exit_code == 130


def test_a_query_takes_no_job_options() -> None:
    @query
    def act(path: options.Any_) -> Plain:
        """Look."""
        assert path == "A"
        return Plain()

    made = small_app(act)
    assert CliRunner().invoke(made, ["act", "A", "--json"]).exit_code == 0
    assert CliRunner().invoke(made, ["act", "A", "--dry-run"]).exit_code == 2


def test_a_missing_argument_is_a_usage_error() -> None:
    done = CliRunner().invoke(app, ["fit"])
    assert done.exit_code == 2
    assert "ARCHIVE" in done.stderr


def started() -> Any:
    from spectroflow.engine.events import RunStarted

    return RunStarted(run="fit-1", job="fit", units=3, rows=30, resumed_units=1, backend="inline")
