"""Starting up: what is imported, and what the help lists."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"ray", "torch", "plotly", "zarr", "pyarrow", "numpy", "scipy", "numba", "fsspec", "pandas"}

PROBE = """
import json, resource, sys
from spectroflow_cli.main import app
try:
    app(sys.argv[1:], prog_name="spectroflow")
except SystemExit as end:
    code = end.code
used = resource.getrusage(resource.RUSAGE_SELF)
seconds = used.ru_utime + used.ru_stime
print(json.dumps({"code": code, "modules": sorted(sys.modules), "seconds": seconds}), file=sys.stderr)
"""

CONTRACT = """
    convert fit train transfer evaluate run report simulate export
    status verify retry inspect plot compact gc doctor jobs demo versions restore
""".split()  # noqa: SIM905


def start(*arguments: str) -> tuple[str, dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["jobs", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    _, found = start(*arguments)
    print(f"spectroflow {' '.join(arguments)}: {found['seconds']:.2f} s of CPU")
    assert found["code"] == 0
    modules = found["modules"]
    assert isinstance(modules, list)
    # Typer itself looks at pydantic as soon as a command has parameters.
    heavy = HEAVY if "fit" in arguments or "jobs" in arguments else HEAVY | {"pydantic"}
    assert {name.split(".")[0] for name in modules} & heavy == set()
    assert "spectroflow_cli.main" in modules


def test_the_help_names_every_command_of_the_contract() -> None:
    shown, _ = start("--help")
    words = {line.split()[1] for line in shown.splitlines() if len(line.split()) > 2}
    assert set(CONTRACT) <= words


def test_a_wrong_command_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spectroflow_cli", "covnert"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "convert" in done.stderr
    assert done.stdout == ""
