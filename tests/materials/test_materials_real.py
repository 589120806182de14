"""Computed patterns against measured ones of the same samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spectroflow.materials.cif import read_cif
from spectroflow.materials.powder import Widths
from spectroflow.modality import builtin
from spectroflow.models.blend import correlation
from spectroflow.models.library import StructureLibrary
from spectroflow.models.library.diffraction import PatternMatcher, shifted
from spectroflow.models.preprocess import prepare
from spectroflow.signal import resample

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def measured(real_data: Path) -> tuple[StructureLibrary, np.ndarray, np.ndarray]:
    """Every fourth structure of the pack, with the pattern that was measured on its sample."""
    xrd = builtin()["xrd"]
    folders = sorted(path.parent for path in (real_data / "rruff" / "xrd").glob("*/*.cif"))[::4]
    crystals, values, valid = [], [], []
    for folder in folders:
        crystals.append(read_cif((folder / f"{folder.name}.cif").read_bytes())[0])
        table = np.loadtxt(folder / f"{folder.name}.xy", usecols=(0, 1))
        value, known = resample(table[:, 0], table[:, 1], xrd.grid.axis())
        values.append(np.where(known, value, 0.0))
        valid.append(known)
    ready = prepare(np.asarray(values, np.float32), np.asarray(valid), xrd)
    return StructureLibrary.of(crystals, 1.08), ready, np.asarray(valid)


def test_computed_patterns_resemble_measured_ones_more_so_at_the_fitted_zero_shift(
    measured: tuple[StructureLibrary, np.ndarray, np.ndarray],
) -> None:
    library, values, valid = measured
    xrd = builtin()["xrd"]
    drawn = library.patterns(xrd, Widths.plain(0.15))
    still = correlation(drawn, values, valid)
    zeros = np.arange(-0.2, 0.21, 0.025)
    moved = np.stack([correlation(shifted(drawn, xrd, -zero), values, valid) for zero in zeros])
    assert len(values) == 59
    assert still.mean() > 0.6
    assert moved.max(axis=0).mean() > still.mean() + 0.05
    assert abs(np.median(zeros[moved.argmax(axis=0)])) < 0.1


def test_a_measured_pattern_finds_its_structure(measured: tuple[StructureLibrary, np.ndarray, np.ndarray]) -> None:
    library, values, _ = measured
    found = PatternMatcher(library, builtin()["xrd"]).agreement(values)["pattern 0.5"]
    assert (found.argmax(axis=1) == np.arange(len(values))).mean() > 0.9
