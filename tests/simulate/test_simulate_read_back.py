"""The files go through the readers: spectra come back, broken files do not."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from spectroflow import simulate
from spectroflow.config import SimulateConfig
from spectroflow.errors import RecordError
from spectroflow.formats.normalise import to_record
from spectroflow.formats.registry import detect
from spectroflow.modality import builtin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated")
    simulate.write_files(SimulateConfig(materials=3, samples=1, broken=5, seed=2), root)
    return root


def read(path):
    data = path.read_bytes()
    found = detect(data[:65536], path.name)
    assert found is not None, f"no format claims {path.name}"
    return found.read(data, path.name)


def test_spectra_come_back_as_they_were(folder):
    config = SimulateConfig(materials=3, samples=1, broken=5, seed=2)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    expected = {one.filename: one for one in simulate.spectra(config)}
    for row in rows:
        (raw,) = read(folder / row["path"])
        one = expected[row["path"]]
        if row["modality"] != "xrd":
            assert (raw.sample_id, raw.label, raw.modality) == (one.sample_id, one.label, one.modality)
            assert raw.formula
        record = to_record(raw, builtin()[row["modality"]], min_points=8)
        assert np.allclose(record.axis, one.axis, rtol=1e-6)
        assert np.allclose(record.intensity, one.intensity, rtol=1e-5, atol=1e-3)


def test_broken_files_are_claimed_and_refused(folder):
    broken = sorted(folder.glob("raman/Broken*"))
    assert len(broken) == 5
    codes = []
    for path in broken:
        with pytest.raises(RecordError) as refused:
            to_record(read(path)[0], builtin()["raman"], min_points=8)
        codes.append(refused.value.code)
    assert len(set(codes)) >= 4, codes
