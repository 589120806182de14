"""What the tests of deployment files share: where they are, and whether a command line is one of ours."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import typer.main

from spectroflow_cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HOME = "/opt/spectroflow"
IMAGE = "registry.example/spectroflow"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name: str) -> str:
    """Return the version of a package in the tested set."""
    found = re.search(rf"^{re.escape(name)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert found, f"{name} is not pinned"
    return found[1]


def parse(words: list[str]) -> dict[str, Any]:
    """Parse the words behind ``spectroflow`` as the command line does; fail where it would refuse them.

    Returns
    -------
    dict
        The parameters of the command.
    """
    command: Any = typer.main.get_command(app)
    context = command.make_context("spectroflow", list(words[:1]) or ["--help"])
    words = list(words)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    return dict(command.make_context(command.name, words, parent=context).params)


def commands_in(text: str) -> list[list[str]]:
    """Return the words behind every ``spectroflow`` that is run in a text of shell lines."""
    pattern = rf"(?:^|[\s`(\"])(?:{re.escape(HOME)}/bin/)?spectroflow +([a-z][^`|#\n]*)"
    return [shlex.split(match[1].strip()) for match in re.finditer(pattern, text, re.M)]
