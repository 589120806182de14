"""Spectra by index: truth, noise, determinism, and the files."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import voigt_profile

from spectroflow import simulate
from spectroflow.config import SimulateConfig
from spectroflow.errors import UsageError
from spectroflow.modality import builtin
from spectroflow.simulate.instrument import COPPER
from spectroflow.simulate.profiles import TRUE_LINE_PARAMETERS, draw, true_lines, voigt_fwhm
from spectroflow.storage import Location

CONFIG = SimulateConfig(materials=12, samples=2, seed=7)
MODALITIES = ("raman", "ir", "xrd")
COLUMN = {name: index for index, name in enumerate(TRUE_LINE_PARAMETERS)}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.integers(0, 9), st.sampled_from(MODALITIES))
def test_every_spectrum_is_what_its_modality_allows(material, sample, modality):
    one = simulate.spectrum(material, sample, modality, CONFIG)
    kind = builtin()[modality]
    assert one.axis.shape == one.intensity.shape == one.clean.shape
    assert one.axis.dtype == one.intensity.dtype == np.float64
    assert (np.diff(one.axis) > 0).all()
    assert kind.valid_range[0] <= one.axis[0]
    assert one.axis[-1] <= kind.valid_range[1]
    assert len(one.axis) <= kind.capacity
    assert np.isfinite(one.intensity).all()
    lines = one.lines_true
    assert len(lines) >= 1
    assert (np.diff(lines[:, COLUMN["center"]]) >= 0).all()
    assert (lines[:, COLUMN["fwhm"]] > 0).all()
    assert ((lines[:, COLUMN["shape"]] >= 0) & (lines[:, COLUMN["shape"]] <= 1)).all()
    assert one.axis[0] <= lines[0, 0]
    assert lines[-1, 0] <= one.axis[-1] + 0.2


def test_random_access_equals_the_sequence_and_ignores_the_size_of_the_archive():
    sequence = list(simulate.spectra(CONFIG, ("ir",)))
    assert len(sequence) == 24
    larger = CONFIG.model_copy(update={"materials": 500, "samples": 9})
    for row in (0, 7, 23):
        again = simulate.spectrum(row // 2, row % 2, "ir", larger)
        assert np.array_equal(again.intensity, sequence[row].intensity)
        assert again.sample_id == sequence[row].sample_id
    other = simulate.spectrum(0, 0, "ir", CONFIG.model_copy(update={"seed": 8}))
    assert other.formula != sequence[0].formula or not np.array_equal(other.axis, sequence[0].axis)


def test_another_process_makes_the_same_bytes():
    script = (
        "import hashlib, sys; from spectroflow import simulate; from spectroflow.config import SimulateConfig;"
        "c = SimulateConfig(materials=12, samples=2, seed=7);"
        "data = b''.join(simulate.file_bytes(simulate.spectrum(5, 1, m, c)) for m in c.modalities);"
        "print(hashlib.blake2b(data).hexdigest())"
    )
    here = {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"}
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **extra}, capture_output=True, check=True
        ).stdout
        for extra in here
    }
    assert len(outputs) == 1
    assert len(outputs.pop().strip()) == 128


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_true_lines_and_background_are_the_clean_spectrum(modality):
    for index in range(4):
        one = simulate.spectrum(index, 0, modality, CONFIG)
        partner = COPPER if modality == "xrd" else None
        kind = "pseudo-voigt" if modality == "xrd" else "voigt"
        rebuilt = one.background + draw(one.axis, one.lines_true, kind=kind, partner=partner)
        # Lines outside the axis, or too weak for the table, are the only difference.
        assert np.abs(rebuilt - one.clean).max() < 0.02 * np.ptp(one.clean)


@pytest.mark.parametrize(("modality", "expected"), [("xrd", "poisson"), ("raman", "counts")])
def test_noise_is_that_of_counting(modality, expected):
    scaled = []
    for index in range(8):
        one = simulate.spectrum(index, 0, modality, CONFIG)
        if one.metadata.get("cosmic_rays", 0):
            continue
        variance = one.clean + (36.0 if expected == "counts" else 0.0)
        scaled.append((one.intensity - one.clean) / np.sqrt(variance))
    scaled = np.concatenate(scaled)
    assert abs(scaled.mean()) < 0.02
    assert abs(scaled.std() - 1) < 0.02


@pytest.mark.parametrize("modality", MODALITIES)
def test_snr_is_the_median_that_was_asked_for(modality):
    ratios = []
    for index in range(60):
        one = simulate.spectrum(index, 0, modality, CONFIG.model_copy(update={"snr": 40.0}))
        ratios.append(float(one.metadata["snr"]))
    assert 30 < np.median(ratios) < 53


def test_one_sample_is_one_thing_in_all_modalities_and_samples_differ():
    ids = {simulate.spectrum(4, 1, modality, CONFIG).sample_id for modality in MODALITIES}
    assert len(ids) == 1
    two = [simulate.spectrum(4, sample, "raman", CONFIG) for sample in (0, 1)]
    assert two[0].label == two[1].label
    assert two[0].sample_id != two[1].sample_id
    assert len(two[0].axis) != len(two[1].axis) or not np.array_equal(two[0].axis, two[1].axis)


def test_materials_of_one_structure_type_resemble_each_other_more_than_others():
    """The tie that a model has to learn: like structures give like spectra."""
    config = CONFIG.model_copy(update={"materials": 60, "samples": 1, "snr": 500.0})
    grid = np.linspace(420, 1500, 540)
    curves, kinds = [], []
    for index in range(60):
        one = simulate.spectrum(index, 0, "ir", config)
        curve = np.interp(grid, one.axis, one.clean - one.background)
        curves.append(curve - curve.mean())
        kinds.append(one.metadata["structure_type"])
    similarity = np.corrcoef(curves)
    same = np.equal.outer(np.array(kinds), np.array(kinds)) & ~np.eye(60, dtype=bool)
    assert np.median(similarity[same]) > np.median(similarity[~same & ~np.eye(60, dtype=bool)]) + 0.3


@given(st.floats(0.05, 20), st.floats(0.05, 20))
def test_widths_of_voigt_profiles_are_right(gaussian, lorentzian):
    """Half height must be reached half a width away; the formula is good to two parts in ten thousand."""
    sigma = gaussian / 2.3548200450309493
    half = float(voigt_fwhm(np.array(gaussian), np.array(lorentzian))) / 2
    at_half = voigt_profile(half, sigma, lorentzian / 2) / voigt_profile(0, sigma, lorentzian / 2)
    assert at_half == pytest.approx(0.5, abs=3e-4)


def test_profiles_against_scipy_and_their_table():
    axis = np.linspace(-400, 400, 160_001)
    parameters = [np.array([value]) for value in (0.0, 3.0, 4.0, 2.0)]
    table = true_lines(*parameters, kind="voigt")
    drawn = draw(axis, table, kind="voigt")
    sigma = 4.0 / 2.3548200450309493
    oracle = 3.0 * voigt_profile(axis, sigma, 1.0) / voigt_profile(0, sigma, 1.0)
    inside = np.abs(axis) < 30 * table[0, COLUMN["fwhm"]]
    assert np.allclose(drawn[inside], oracle[inside], rtol=1e-10)
    assert np.trapezoid(drawn, axis) == pytest.approx(table[0, COLUMN["area"]], rel=0.01)
    other = true_lines(*parameters, kind="pseudo-voigt")
    pseudo = draw(axis, other, kind="pseudo-voigt")
    assert np.trapezoid(pseudo, axis) == pytest.approx(other[0, COLUMN["area"]], rel=0.01)
    assert np.abs(pseudo - drawn).max() < 0.05, "the stand-in is near the true profile"


def test_the_second_wavelength_stands_where_bragg_says():
    axis = np.arange(60, 80, 0.001)
    table = true_lines(np.array([70.0]), np.array([100.0]), np.array([0.02]), np.array([0.005]), kind="pseudo-voigt")
    drawn = draw(axis, table, kind="pseudo-voigt", partner=COPPER)
    second = axis[axis > 70.1][np.argmax(drawn[axis > 70.1])]
    spacing = COPPER[0] / 2 / np.sin(np.radians(35.0))
    assert second == pytest.approx(2 * np.degrees(np.arcsin(COPPER[1] / 2 / spacing)), abs=2e-3)
    assert drawn[axis > 70.1].max() == pytest.approx(50, rel=0.03)


def test_labels_are_unique():
    labels = [simulate.label_for(index) for index in [*range(40_000), 10**6, 10**7]]
    assert len(set(labels)) == len(labels)
    assert all(label.isalpha() and label.startswith("Syn") for label in labels)
    identifiers = {simulate.sample_id(m, s) for m in (0, 1, 9_999, 10_000, 100_000, 100_001) for s in (0, 1, 10, 100)}
    assert len(identifiers) == 24


def test_coverage_leaves_gaps_that_do_not_move():
    config = CONFIG.model_copy(update={"materials": 200, "coverage": 0.6})
    rows = simulate.rows(config, "raman")
    assert 0.5 * 400 < len(rows) < 0.7 * 400
    smaller = simulate.rows(config.model_copy(update={"materials": 50}), "raman")
    assert np.array_equal(rows[rows[:, 0] < 50], smaller)
    assert not np.array_equal(rows, simulate.rows(config, "ir"))


def test_a_modality_that_cannot_be_simulated_is_named():
    with pytest.raises(UsageError, match="ramn"):
        simulate.spectrum(0, 0, "ramn", CONFIG)
    with pytest.raises(UsageError, match="'raman'"):
        simulate.modalities_of(CONFIG, ["ramn"])
    with pytest.raises(UsageError, match="counted from 0"):
        simulate.spectrum(-1, 0, "ir", CONFIG)


def test_files_hold_the_spectra(tmp_path):
    config = SimulateConfig(materials=4, samples=2, broken=6, seed=1)
    written = simulate.write_files(config, tmp_path / "in" / "here")
    assert written.spectra == {"raman": 8, "ir": 8, "xrd": 8}
    root = tmp_path / "in" / "here"
    with (root / "manifest.csv").open(newline="") as file:
        manifest = list(csv.DictReader(file))
    assert len(manifest) == 24
    assert all((root / row["path"]).is_file() for row in manifest)
    assert len(list(root.glob("*/*"))) == 24 + 6
    assert set(written.broken) == {f"raman/{p.name}" for p in root.glob("raman/Broken*")}

    one = simulate.spectrum(1, 1, "raman", config)
    text = (root / one.filename).read_text("utf-8")
    header = dict(line[2:].split("=", 1) for line in text.splitlines() if line.startswith("##"))
    assert header["NAMES"] == one.label
    assert header["RRUFFID"] == one.sample_id
    assert header["IDEAL CHEMISTRY"] == one.metadata["ideal_chemistry"]
    numbers = np.loadtxt(io.StringIO(text), delimiter=",", comments="#")
    assert np.allclose(numbers[:, 0], one.axis, atol=6e-5)
    assert np.allclose(numbers[:, 1], one.intensity, atol=6e-4)

    pattern = next(row for row in manifest if row["modality"] == "xrd")
    numbers = np.loadtxt(root / pattern["path"])
    assert numbers.shape[1] == 2
    truth = pq.read_table(root / "truth.parquet")
    mask = np.array(truth["path"].to_pylist()) == pattern["path"]
    own = next(s for s in simulate.spectra(config, ["xrd"]) if s.filename == pattern["path"])
    assert np.array_equal(np.array(truth["center"])[mask], own.lines_true[:, 0])


def test_files_can_be_written_to_any_location():
    folder = Location.parse("memory://simulated/archive")
    written = simulate.write_files(SimulateConfig(materials=1, samples=1), folder, ["ir"])
    assert written.spectra == {"ir": 1}
    assert (folder / "truth.parquet").exists()
    assert written.manifest.read_bytes().startswith(b"path,sample_id,label,modality,formula\n")
