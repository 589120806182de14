"""What the documentation shows exists: commands, options, files, configuration."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spectroflow.config import parse
from spectroflow.modality import resolve
from spectroflow_cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("examples/**/*.md")])
COMMAND = re.compile(r"^(?: {4}|\$ )(?:\S*/)?spectroflow +([a-z].*)$", re.M)

#: Packages that pages show plug-ins of; they come with the plug-in.
OF_PLUG_INS = {"rsciio"}


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.M | re.S)


def parse_command(words: list[str]) -> None:
    """Parse the words behind ``spectroflow`` as the command line does."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("spectroflow", words[:1])
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_commands_exist_with_their_options(path: Path) -> None:
    for line in COMMAND.findall(path.read_text()):
        words = shlex.split(re.split(r"\s{3,}", line)[0], comments=True)
        parse_command([word for word in words if word != "..."])


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^ {4}make ([a-z-]+)", path.read_text(), re.M)) <= targets


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_python_is_python_and_imports_what_exists(path: Path) -> None:
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                if str(node.module).split(".")[0] in OF_PLUG_INS:
                    continue
                module = __import__(str(node.module), fromlist=[alias.name for alias in node.names])
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_modality_of_the_page_is_one() -> None:
    tables = [tomllib.loads(block) for block in blocks(ROOT / "docs" / "adding-a-modality.md", "toml")]
    found = resolve(parse(tables[0]).modality)["uvvis"]
    assert found.grid.points == 601
    assert resolve(parse(tables[1]).modality)["raman"].line_shape == "voigt"


def test_the_format_of_the_page_is_one() -> None:
    import numpy as np

    from spectroflow.errors import RecordError
    from spectroflow.formats.base import Format

    code = blocks(ROOT / "docs" / "adding-a-format.md", "python")[0]
    names: dict[str, Any] = {}
    exec(compile(code, "adding-a-format.md", "exec"), names)
    toy = names["ToySpec"]()
    assert isinstance(toy, Format)
    axis, intensity = np.array([100.0, 200.0, 300.0]), np.array([1.0, -2.0, 3.5])
    data = b"TOYSPEC raman 3\n" + axis.tobytes() + intensity.tobytes()
    assert toy.claims(data, "a.toy")
    assert not toy.claims(b"something else", "a.toy")
    assert toy.probe(data, "a.toy").modalities == ("raman",)
    assert data[toy.probe(data, "a.toy").payload_start :] == axis.tobytes() + intensity.tobytes()
    (record,) = toy.read(data, "a.toy")
    assert np.array_equal(record.axis, axis)
    assert np.array_equal(record.intensity, intensity)
    with pytest.raises(RecordError, match="there are 47"):
        toy.read(data[:-1], "a.toy")
    with pytest.raises(RecordError, match="no header"):
        toy.probe(b"TOYSPEC raman\n", "a.toy")


def test_the_pipeline_and_the_clusters_of_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectroflow.cluster import named_clusters
    from spectroflow.jobs import JobOptions
    from spectroflow.jobs.pipeline import read_pipeline

    pipeline, clusters = blocks(ROOT / "docs" / "operations.md", "toml")
    monkeypatch.setenv("SPECTROFLOW_SOURCES", "in")
    monkeypatch.setenv("SPECTROFLOW_STORE", "s3://bucket")
    (tmp_path / "pipeline.toml").write_text(pipeline)
    found, options = read_pipeline(str(tmp_path / "pipeline.toml"), JobOptions())
    assert found.archive == "s3://bucket/archive"
    assert options.config.fit.effort == "standard"
    (tmp_path / "clusters.toml").write_text(clusters)
    assert set(named_clusters(tmp_path / "clusters.toml")) == {"institute"}


def test_exit_codes_of_the_page_are_those_of_the_errors() -> None:
    from spectroflow import errors

    text = (ROOT / "docs" / "operations.md").read_text()
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    assert shown == {0} | {kind.exit_code for kind in kinds}


def test_the_archive_page_names_every_array_and_column() -> None:
    from spectroflow.archive.records import SCHEMA
    from spectroflow.archive.segment import segment_layout
    from spectroflow.archive.version import Version
    from spectroflow.config import ArchiveConfig
    from spectroflow.modality import builtin

    text = (ROOT / "docs" / "archive-format.md").read_text()
    layout = segment_layout("s", 1, builtin()["raman"], ArchiveConfig(), generated=True)
    names = {*SCHEMA.names, *(array.name for array in layout.arrays), *Version.model_fields}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_map_of_the_house_is_complete() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {path.name for path in (ROOT / "spectroflow").iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`{room}/`" not in text} == set()
