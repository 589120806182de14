"""The examples print what they say they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUARTZ = {"128", "206", "355", "464"}


def printed(*words: str) -> str:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_map_of_raman_spectra_gives_the_strain_back() -> None:
    text = printed("examples/fit_map.py", "12")
    assert "144 spectra" in text
    found = re.search(r"median error (\S+) cm-1", text)
    assert found is not None
    assert 0.0 < float(found.group(1)) < 0.15
    # The strain grows along the rows and falls down the columns: dark at one corner, light at the opposite one.
    picture = text.splitlines()[-12:]
    assert {len(row) for row in picture} == {24}
    shades = " .:-=+*#%@"
    assert shades.index(picture[0][-1]) - shades.index(picture[-1][0]) >= 6


@pytest.mark.real
def test_a_real_spectrum_of_quartz_shows_the_lines_of_the_literature(real_data: Path) -> None:
    (path,) = (real_data / "rruff" / "raman").glob("Quartz__R040031__Raman__514*Processed*")
    text = printed("examples/fit_quartz.py", str(path))
    assert set(re.findall(r"literature (\d+)", text)) == QUARTZ
