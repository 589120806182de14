"""The plug-in that docs/adding-a-format.md describes, built and installed as another package would be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-format.md").read_text("utf-8")
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "my-package"
version = "1.0"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder that pip installed the package into."""
    pytest.importorskip("hatchling")
    project = tmp_path_factory.mktemp("project")
    code, entry = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE, re.DOTALL)[:2]
    (project / "my_package").mkdir()
    (project / "my_package" / "__init__.py").touch()
    (project / "my_package" / "toyspec.py").write_text(code)
    (project / "pyproject.toml").write_text(PROJECT + entry)
    target = project / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(target), str(project)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def convert(folder, installed=None):
    """Run the command in a process of its own, as somebody would."""
    environment = os.environ | ({"PYTHONPATH": str(installed)} if installed else {})
    command = [
        sys.executable,
        "-m",
        "spectroflow_cli",
        "convert",
        str(folder / "in"),
        str(folder / "archive"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_files_of_an_installed_plug_in_are_taken_once_it_is_there(installed, tmp_path):
    points = np.linspace(100.0, 900.0, 40), np.arange(40.0) ** 2 + 1
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.toy").write_bytes(b"TOYSPEC raman 40\n" + np.concatenate(points).astype("<f8").tobytes())
    (tmp_path / "in" / "half.toy").write_bytes(b"TOYSPEC raman 40\n" + bytes(100))
    before = convert(tmp_path)
    assert (before["rows"]["total"], before["unclaimed"]) == (0, {".toy": 2})
    after = convert(tmp_path, installed)
    assert after["rows"] == {"total": 2, "ok": 1, "failed": 1, "skipped": 0}
    assert after["codes"] == {"OK": 1, "TRUNCATED": 1}
    import spectroflow

    (spectrum,) = spectroflow.open(str(tmp_path / "archive")).spectra(modality="raman")
    np.testing.assert_array_equal(spectrum.axis, points[0])
    np.testing.assert_array_equal(spectrum.intensity, points[1])


def test_the_plug_in_through_rosettasciio_is_a_format_and_reads_where_that_is_installed():
    from spectroflow.formats import Format

    namespace = {}
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], "page", "exec"), namespace)
    plugin = namespace["Msa"]()
    assert isinstance(plugin, Format)
    rows = "".join(f"{520 + 3 * i}, {4000 + i}\n" for i in range(20))
    head = "#FORMAT : EMSA/MAS SPECTRAL DATA FILE\n#VERSION : 1.0\n#NPOINTS : 20.\n#NCOLUMNS : 1.\n#XUNITS : nm\n"
    text = f"{head}#DATATYPE : XY\n#XPERCHAN : 3\n#OFFSET : 520\n#SPECTRUM : here\n{rows}#ENDOFDATA :\n".encode()
    assert plugin.claims(text, "a.msa")
    pytest.importorskip("rsciio")
    (raw,) = plugin.read(text, "a.msa")
    assert (raw.axis[19], raw.intensity[19], raw.axis_unit) == (577, 4019, "nm")
