"""The Dockerfile copies what is there and installs what the project defines."""

from __future__ import annotations

import re
import shlex

from deployment import DEPLOY, HOME, PROJECT, ROOT

TEXT = (DEPLOY / "docker" / "Dockerfile").read_text()
JOINED = re.sub(r"\\\n\s*", " ", TEXT)
STEPS = [line.split(maxsplit=1) for line in JOINED.splitlines() if re.match(r"[A-Z]+ ", line)]


def arguments_of(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_only_known_instructions() -> None:
    assert {name for name, _ in STEPS} <= {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "CMD"}


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = {
        line[1:] for line in (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    copied = {word for rest in arguments_of("COPY") if "--from" not in rest for word in rest.split()[:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_what_the_build_reads_is_copied_before_it() -> None:
    readme, (license_file,) = PROJECT["readme"], PROJECT["license-files"]
    copied = " ".join(arguments_of("COPY"))
    assert readme in copied
    assert license_file in copied


def test_extras_exist() -> None:
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", JOINED)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_python_is_one_that_the_project_supports() -> None:
    (version,) = re.findall(r"^ARG PYTHON=(\S+)", TEXT, re.M)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert set(arguments_of("FROM")) == {"python:${PYTHON}-slim AS build", "python:${PYTHON}-slim"}


def test_it_runs_our_command_as_nobody_special() -> None:
    (command,) = arguments_of("CMD")
    assert "spectroflow" in PROJECT["scripts"]
    assert command == '["spectroflow", "--help"]'
    user = arguments_of("USER")[-1]
    assert user not in {"root", "0"}
    assert f"useradd --create-home --uid 1000 {user}" in JOINED
    assert STEPS.index(["USER", user]) > max(i for i, (name, _) in enumerate(STEPS) if name == "RUN")
    assert any(f"PATH={HOME}/bin:$PATH" in rest for rest in arguments_of("ENV"))


def test_any_build_of_torch_can_be_had() -> None:
    (step,) = [rest for rest in arguments_of("RUN") if "torch" in rest]
    assert 'PIP_INDEX_URL="$TORCH_WHEELS"' in step
    assert "TORCH_WHEELS=" in arguments_of("ARG")
    for line in re.findall(r"^# .*(docker build .*)$", TEXT, re.M):
        words = shlex.split(line)
        assert (ROOT / words[words.index("-f") + 1]).is_file()
        assert words[-1] == "."
