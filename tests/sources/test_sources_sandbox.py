"""Readers that are not trusted run in a child process; what they do to it costs one record."""

from __future__ import annotations

import textwrap
import time

import pytest
from sources_kit import outcomes, plan, put

from spectroflow.errors import RecordError, UsageError
from spectroflow.formats import registry
from spectroflow.sources.reading import SourceReader
from spectroflow.sources.sandbox import Sandbox

PLUGIN = '''
import os, time
import numpy as np
from spectroflow.formats import Probe, RawRecord

class Rogue:
    """Does what its file says."""
    name = "rogue"
    extensions = (".rogue",)
    def claims(self, head, name):
        return head.startswith(b"ROGUE")
    def probe(self, data, name):
        return Probe(("raman",))
    def read(self, data, name):
        word = data.split()[1].decode()
        if word == "loop":
            while True: pass
        if word == "sleep":
            time.sleep(1000)
        if word == "swell":
            return [np.ones(1 << 34)]
        if word == "creep":
            kept = []
            while True: kept.append(bytearray(1 << 20))
        if word == "die":
            os._exit(3)
        if word == "crash":
            os.abort()
        if word == "raise":
            raise KeyError("nothing of ours")
        if word == "print":
            print("x" * 100_000)
            os.write(1, b"noise")
        return [RawRecord(np.arange(20.0), np.arange(20.0) ** 2 + 1, modality="raman", label="Größe",
                          metadata={"n": 1, "x": 2.5, "s": "t"}, flags=("STICKS",))]
'''


@pytest.fixture
def rogue(tmp_path, monkeypatch):
    """A format that another package brings through the entry point."""
    site = tmp_path / "site"
    (site / "rogue-1.0.dist-info").mkdir(parents=True)
    (site / "rogue_format.py").write_text(textwrap.dedent(PLUGIN))
    (site / "rogue-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rogue\nVersion: 1.0\n")
    (site / "rogue-1.0.dist-info" / "entry_points.txt").write_text(
        "[spectroflow.formats]\nrogue = rogue_format:Rogue\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    registry.formats.cache_clear()
    registry.fingerprint.cache_clear()
    yield site
    registry.formats.cache_clear()
    registry.fingerprint.cache_clear()


def test_a_plug_in_is_found_claims_and_reads(rogue, tmp_path):
    put(tmp_path / "in" / "a.rogue", "ROGUE fine")
    found = plan(tmp_path / "in")
    assert outcomes(found) == {"a.rogue": "OK"}
    (row,) = found.rows["raman"].to_pylist()
    assert row["format"] == "rogue"
    with SourceReader() as reader:
        (raw,) = reader.records(row["source"], row["name"], digest=row["digest"], format_name="rogue")
        assert reader.sandbox.starts == 1
    assert raw.intensity[3] == 10
    assert (raw.label, raw.metadata, raw.flags) == ("Größe", {"n": 1, "x": 2.5, "s": "t"}, ("STICKS",))


@pytest.mark.parametrize(
    ("word", "code", "starts"),
    [
        ("loop", "READER_TIMEOUT", 2),
        ("sleep", "READER_TIMEOUT", 2),
        ("swell", "READER_MEMORY", 1),
        ("creep", "READER_MEMORY", 1),
        ("die", "READER_FAILED", 2),
        ("crash", "READER_FAILED", 2),
        ("raise", "READER_FAILED", 1),
    ],
)
def test_each_misdeed_costs_one_file_and_the_next_one_is_read(rogue, word, code, starts):
    with Sandbox(memory=256 << 20, timeout=30.0) as sandbox:
        sandbox.read("rogue", b"ROGUE fine", "warm-up")
        sandbox.timeout = 1.0 if code == "READER_TIMEOUT" else 30.0
        started = time.monotonic()
        with pytest.raises(RecordError) as caught:
            sandbox.read("rogue", f"ROGUE {word}".encode(), word)
        assert caught.value.code == code
        assert caught.value.remedy
        assert time.monotonic() - started < 30
        sandbox.timeout = 30.0
        assert len(sandbox.read("rogue", b"ROGUE fine", "the next one")) == 1
        assert sandbox.starts == starts, "only what loops or dies costs a new child"


def test_a_parser_that_prints_does_not_disturb_the_answers(rogue):
    with Sandbox() as sandbox:
        for _ in range(2):
            assert len(sandbox.read("rogue", b"ROGUE print", "noisy")) == 1


def test_a_large_file_goes_through_the_pipe(rogue):
    with Sandbox() as sandbox:
        assert len(sandbox.read("rogue", b"ROGUE fine " + b"x" * (20 << 20), "big")) == 1


def test_a_plug_in_that_cannot_be_loaded_is_named(rogue):
    (rogue / "rogue-1.0.dist-info" / "entry_points.txt").write_text("[spectroflow.formats]\nrogue = no_module:X\n")
    registry.formats.cache_clear()
    with pytest.raises(UsageError, match="'rogue' cannot be loaded"):
        registry.formats()


def test_a_new_format_claims_files_that_nobody_claimed(rogue, tmp_path, monkeypatch):
    put(tmp_path / "in" / "a.rogue", "ROGUE fine")
    (rogue / "rogue-1.0.dist-info" / "entry_points.txt").rename(tmp_path / "later.txt")
    registry.formats.cache_clear()
    registry.fingerprint.cache_clear()
    first = plan(tmp_path / "in")
    assert first.unclaimed == {".rogue": 1}
    (tmp_path / "later.txt").rename(rogue / "rogue-1.0.dist-info" / "entry_points.txt")
    registry.formats.cache_clear()
    registry.fingerprint.cache_clear()
    assert outcomes(plan(tmp_path / "in", previous=first)) == {"a.rogue": "OK"}
