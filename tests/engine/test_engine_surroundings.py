"""Law 3: what bytes depend on besides input, configuration and code is recorded in the run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version

import pytest
from engine_work import Numbers

from spectroflow.engine import ExecuteOptions, execute, run_folder
from spectroflow.storage import Location

INLINE = ExecuteOptions(workers=0)


@dataclass
class OnDevice(Numbers):
    device: str = "cuda"


def made_with(numbers: Numbers, root: Location) -> list[dict[str, str]]:
    result = execute(numbers.plan(), numbers, root, options=INLINE, prepare=numbers.prepare(root))
    found: list[dict[str, str]] = json.loads((run_folder(root, result.run) / "metrics.json").read_bytes())["made_with"]
    return found


def test_a_run_says_what_it_was_computed_with(tmp_path):
    (found,) = made_with(Numbers(20), Location.parse(tmp_path))
    assert found["numpy"] == version("numpy")
    assert found["device"] == "cpu"
    assert int(found["threads"]) >= 1
    assert found["machine"]
    assert found["instruction_set"]


def test_a_run_that_was_continued_elsewhere_names_both(tmp_path):
    root = Location.parse(tmp_path)
    with pytest.raises(Exception, match="row 17 is wrong"):
        made_with(OnDevice(20, misbehave={17: "error"}), root)
    assert {found["device"] for found in made_with(Numbers(20), root)} == {"cpu", "cuda"}
    assert {found["device"] for found in made_with(Numbers(20), root)} == {"cpu", "cuda"}
