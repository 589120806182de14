"""docs/formats.md tells the truth about formats, flags and codes."""

from __future__ import annotations

import re
from pathlib import Path

from spectroflow.formats import formats
from spectroflow.formats.quality import FLAGS
from spectroflow.status import FAILED, SKIPPED

PAGE = (Path(__file__).parent.parent.parent / "docs" / "formats.md").read_text("utf-8")


def test_every_format_is_described():
    listed = re.findall(r"^\| `([a-z-]+)` \| ", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(entry.name for entry in formats())


def test_every_flag_is_described_with_its_bit():
    listed = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert {name: 1 << int(bit) for bit, name in listed} == dict(FLAGS)


def test_every_code_that_is_named_exists():
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE)) - set(FLAGS)
    assert named <= set(FAILED) | set(SKIPPED) | {"SPECTROFLOW_TEST_DATA"}
    assert len(named) > 8
