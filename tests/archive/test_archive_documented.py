"""The page on the format: its example runs, and its tables say what is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spectroflow import status
from spectroflow.archive import SegmentEntry, add_segments, commit
from spectroflow.archive.version import LayerEntry
from spectroflow.engine import Marker
from spectroflow.formats.quality import FLAGS
from spectroflow.peaks import FIT_QUANTITIES, LINE_PARAMETERS
from spectroflow.storage import Location
from tests.archive.archive_kit import add_lines, add_measured, record_of, values_of

PAGE = (Path(__file__).parents[2] / "docs/archive-format.md").read_text()


def _example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert found
    return found[1]


def test_the_example_reads_an_archive_without_spectroflow(tmp_path: Path) -> None:
    root = Location.parse(tmp_path)
    add_measured(root, {"raman-a": 19})
    add_lines(root, {"raman-a": 19})
    add_measured(root, {"xrd-a": 4}, kind="xrd")
    commit(root, lambda base: add_segments(base, [], superseded={"raman-a": [0, 9]}), command="convert", run="r")
    code = _example()
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) == {
        "json",
        "math",
        "sys",
        "pathlib",
        "pyarrow",
        "zarr",
    }
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = []
    for modality, segment, rows in (("raman", "raman-a", 19), ("xrd", "xrd-a", 4)):
        for row in range(rows):
            values, record = values_of(segment, row), record_of(segment, row)
            if values["status"] or (segment == "raman-a" and row in {0, 9}):
                continue
            points = values["points"]
            total = np.asarray(values["intensity"][:points]).sum()
            fitted = [float(row)] * 3 if segment == "raman-a" else []
            first = f"{values['axis'][0]:.3f}"
            wanted.append(f"{modality} {record['sample_id']} {record['label']} {points} {first} {total:.6g} {fitted}")
    assert done.stdout.splitlines() == wanted


@pytest.mark.parametrize(
    "names",
    [
        list(status.NAMES.values()),
        list(SegmentEntry.model_fields),
        list(LayerEntry.model_fields),
        list(Marker.__slots__),
        list(LINE_PARAMETERS),
        list(FIT_QUANTITIES),
        ["row", "code", "source", "reason", "remedy"],
    ],
)
def test_the_page_names_what_there_is(names: list[str]) -> None:
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_the_page_numbers_codes_and_flags_as_they_are() -> None:
    codes = {int(number): name for number, name in re.findall(r"\| (\d+) \| `([A-Z_]+)` (?=\|)", PAGE)}
    assert codes == dict(status.NAMES)
    bits = re.search(r"Bits of `flags`, from the lowest: (.*?)\.\n", PAGE, re.S)
    assert bits
    assert re.findall(r"`(\w+)`", bits[1]) == sorted(FLAGS, key=lambda name: FLAGS[name])
