"""What is sent to a cluster, and how its log comes back: no cluster needed."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spectroflow.cluster import Argument, Cluster
from spectroflow.cluster.follow import RESULT_PREFIX, LogLines, exit_code
from spectroflow.cluster.submission import command_line
from spectroflow.errors import InvalidInput, Unreachable, UsageError
from spectroflow.storage import Location
from spectroflow_cli import command, options
from spectroflow_cli.request import Request

CLUSTER = Cluster(address="http://head:8265", python="/opt/python")


def test_local_paths_become_absolute_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        Argument(None, ("files/a", "s3://bucket/b"), "shared"),
        Argument(None, ("archive",), "shared"),
        Argument("--where", ("label == 'files/a'",)),
        Argument("--dry-run"),
        Argument("--set", ("a.b=1", "c.d=2")),
    ]
    assert command_line("convert", arguments, tmp_path) == [
        *("convert", "--where=label == 'files/a'", "--dry-run", "--set=a.b=1", "--set=c.d=2", "--"),
        *(str(tmp_path / "files/a"), "s3://bucket/b", str(tmp_path / "archive")),
    ]


def test_files_that_travel_keep_their_content(tmp_path: Path) -> None:
    carried = tmp_path / "carried"
    carried.mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.toml").write_text(folder)
    paths = [str(tmp_path / folder / "config.toml") for folder in ("a", "b")]
    words = command_line("fit", [Argument("--config", (path,), "carried") for path in paths], carried)
    assert words == ["fit", "--config=config.toml", "--config=config-2.toml", "--"]
    assert (carried / "config.toml").read_text() == "a"
    assert (carried / "config-2.toml").read_text() == "b"


def test_what_cannot_travel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one process only"):
        command_line("fit", [Argument(None, ("memory://a",), "shared")], tmp_path)
    with pytest.raises(InvalidInput, match="no such file"):
        command_line("fit", [Argument("--config", (str(tmp_path / "none.toml"),), "carried")], tmp_path)
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(InvalidInput, match="too large"):
        command_line("convert", [Argument("--manifest", (str(large),), "carried")], tmp_path / "x")


WORD = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    positional=WORD.filter(lambda word: "://" not in word and word.strip()),
    where=st.none() | WORD,
    overrides=st.lists(WORD, max_size=3),
    dry_run=st.booleans(),
)
def test_the_cluster_parses_what_was_given_here(
    positional: str,
    where: str | None,
    overrides: list[str],
    dry_run: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command line, parsed here, sent, and parsed there asks for the same."""
    there: list[Any] = []
    sent: list[list[str]] = []

    @command.job
    def act(request: Request, archive: options.Archive, modality: options.Modalities = None) -> None:
        """Act."""
        there.append((archive, request.where, list(request.overrides), request.dry_run))

    app = typer.Typer()
    app.command("act")(act)
    app.command("other")(lambda: None)

    def keep(words: str, arguments: Any, address: str, **_: Any) -> int:
        sent.append(command_line(words, arguments, tmp_path))
        return 0

    monkeypatch.setattr("spectroflow.cluster.submit", keep)
    given_here = ["act", *(["--where=" + where] if where is not None else []), *(f"--set={one}" for one in overrides)]
    given_here += ["--dry-run"] if dry_run else []
    assert CliRunner().invoke(app, [*given_here, "--cluster", "head:1", "--", positional]).exit_code == 0
    assert CliRunner().invoke(app, sent[-1]).exit_code == 0
    assert there[-1] == (Location.parse(positional).path, where, overrides, dry_run)


@given(st.lists(st.sampled_from(["x", "\n", "é", RESULT_PREFIX, "yy\n"]), max_size=40), st.data())
def test_a_log_is_shown_once_however_it_is_cut_and_read_again(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    result: list[str] = []
    log: list[str] = []
    reader = LogLines(result.append, log.append)
    for _ in range(data.draw(st.integers(1, 3))):
        end = data.draw(st.integers(0, len(text)))
        cuts = sorted({0, end, *data.draw(st.lists(st.integers(0, end), max_size=5))})
        for start, stop in itertools.pairwise(cuts):
            reader.feed(text[start:stop], at=start)
    reader.feed(text, at=0)
    reader.close()
    lines = text.removesuffix("\n").split("\n") if text else []
    assert result == [line.removeprefix(RESULT_PREFIX) for line in lines if line.startswith(RESULT_PREFIX)]
    assert log == [line for line in lines if not line.startswith(RESULT_PREFIX)]


def ended(status: str, code: int | None) -> SimpleNamespace:
    return SimpleNamespace(status=status, driver_exit_code=code, message="what happened")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 3, 3),
        ("FAILED", 4, 4),
        ("STOPPED", -15, 130),
        ("FAILED", 130, 130),
        ("FAILED", -9, 1),
    ],
)
def test_exit_codes_of_jobs(status: str, code: int, expected: int) -> None:
    assert exit_code(ended(status, code), CLUSTER) == expected


@pytest.mark.parametrize("code", [None, 126, 127])
def test_a_command_that_never_started(code: int | None) -> None:
    with pytest.raises(Unreachable, match="/opt/python"):
        exit_code(ended("FAILED", code), CLUSTER)
