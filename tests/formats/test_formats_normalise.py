"""From raw to record: order, units, masks, flags."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import RecordError
from spectroflow.formats import RawRecord, resolve_modality, to_record
from spectroflow.formats.quality import FLAGS, mask_of, names_of, padding
from spectroflow.modality import builtin

RAMAN, IR, XRD = (builtin()[name] for name in ("raman", "ir", "xrd"))
AXIS = np.linspace(100.0, 1200.0, 64)
SIGNAL = 10.0 + np.sin(AXIS / 50.0) + 1e-3 * AXIS


def raw(axis=AXIS, intensity=SIGNAL, **fields):
    fields.setdefault("axis_unit", "cm-1")
    return RawRecord(np.asarray(axis, float), np.asarray(intensity, float), **fields)


def flags_of(record):
    return set(names_of(record.flags))


def test_a_clean_spectrum_is_left_alone():
    record = to_record(raw(intensity_unit="counts"), RAMAN)
    np.testing.assert_array_equal(record.axis, AXIS)
    np.testing.assert_array_equal(record.intensity, SIGNAL)
    assert record.flags == 0


@given(st.permutations(list(range(24))), st.lists(st.integers(0, 11), max_size=6))
def test_order_never_matters(order, repeats):
    """Any order of the points, some given twice, is the same spectrum."""
    axis = np.arange(24.0) + 100
    intensity = np.cos(np.arange(24.0)) + 5
    index = [*order, *repeats]
    record = to_record(raw(axis[index], intensity[index]), RAMAN)
    np.testing.assert_array_equal(record.axis, axis)
    np.testing.assert_allclose(record.intensity, intensity, rtol=1e-15)
    assert ("REPEATED_AXIS" in flags_of(record)) == bool(repeats)


def test_descending_axis_is_reversed_and_said():
    record = to_record(raw(AXIS[::-1], SIGNAL[::-1]), RAMAN)
    np.testing.assert_array_equal(record.intensity, SIGNAL)
    assert "DESCENDING" in flags_of(record)
    assert record.metadata["axis_order"] == "descending"


def test_points_at_one_position_are_averaged():
    axis = np.repeat(AXIS[:20], 2)
    values = np.arange(40.0)
    values[5] = np.nan
    record = to_record(raw(axis, values), RAMAN)
    assert record.intensity[:4].tolist() == [0.5, 2.5, 4.0, 6.5]


def test_missing_values_are_masked_and_missing_positions_dropped():
    axis, values = AXIS.copy(), SIGNAL.copy()
    axis[3], values[5], values[6], values[7] = np.nan, np.nan, np.inf, 1e300
    record = to_record(raw(axis, values), RAMAN)
    assert record.axis.size == AXIS.size - 1
    assert np.flatnonzero(np.isnan(record.intensity)).tolist() == [4, 5, 6]
    assert "MISSING_POINTS" in flags_of(record)


@given(st.integers(0, 20), st.integers(0, 20))
def test_zero_padding_at_the_ends(head, tail):
    values = SIGNAL.copy()
    values[:head] = 0.0
    values[values.size - tail :] = 0.0
    assert padding(values) == (head, tail)
    record = to_record(raw(intensity=values), RAMAN)
    assert np.isnan(record.intensity).sum() == head + tail
    assert ("ZERO_PADDED" in flags_of(record)) == bool(head + tail)


def test_zeros_of_a_counting_detector_are_data():
    counts = np.random.default_rng(1).poisson(0.4, 500).astype(float)
    counts[:3] = 0.0
    record = to_record(RawRecord(np.linspace(5, 60, 500), counts, axis_unit="deg"), XRD)
    assert not np.isnan(record.intensity).any()


@pytest.mark.parametrize(
    ("axis", "intensity", "modality", "code"),
    [
        (AXIS, np.full(64, np.nan), RAMAN, "NO_DATA"),
        (AXIS, np.zeros(64), RAMAN, "NO_DATA"),
        (AXIS[:5], SIGNAL[:5], RAMAN, "TOO_FEW_POINTS"),
        ([], [], RAMAN, "TOO_FEW_POINTS"),
        (np.full(64, 3.0), SIGNAL, RAMAN, "BAD_AXIS"),
        (AXIS, SIGNAL[:-1], RAMAN, "BAD_AXIS"),
        (np.linspace(100, 4000, 64), SIGNAL, XRD, "BAD_AXIS"),
        (np.arange(8193.0), np.arange(8193.0), RAMAN, "TOO_LONG"),
    ],
)
def test_refused(axis, intensity, modality, code):
    with pytest.raises(RecordError) as caught:
        to_record(raw(axis, intensity, axis_unit=modality.axis_unit), modality, where="a.txt")
    assert caught.value.code == code
    assert caught.value.remedy
    assert caught.value.where == "a.txt"


def test_too_long_names_the_setting():
    with pytest.raises(RecordError, match=r"Set modality\.raman\.capacity to 8200 or more"):
        to_record(raw(np.arange(8200.0), np.arange(8200.0)), RAMAN)


def test_flags_have_fixed_bits():
    assert FLAGS["DESCENDING"] == 1
    assert FLAGS["STICKS"] == 1 << 19
    assert names_of(mask_of(["GAPS", "FLAT"])) == ["GAPS", "FLAT"]
    assert len(set(FLAGS.values())) == len(FLAGS)
    assert max(FLAGS.values()) < 1 << 32


def test_what_is_wrong_is_flagged():
    flat = to_record(raw(intensity=np.full(64, 7.0)), RAMAN)
    assert "FLAT" in flags_of(flat)
    gap = np.concatenate([AXIS[:30], AXIS[30:] + 500])
    assert "GAPS" in flags_of(to_record(raw(gap), RAMAN))
    assert "NEGATIVE" in flags_of(to_record(raw(intensity=SIGNAL - 20), RAMAN))
    clipped = np.minimum(100 * np.exp(-(((AXIS - 600) / 120) ** 2)), 60.0)
    assert "SATURATED" in flags_of(to_record(raw(intensity=clipped), RAMAN))
    ray = np.random.default_rng(0).normal(100, 1, 64)
    ray[20] += 500
    assert "SPIKES" in flags_of(to_record(raw(intensity=ray), RAMAN))


@pytest.mark.parametrize("size", [64, 3000])
@pytest.mark.parametrize("sigma", [0.5, 5.0])
def test_signal_to_noise_is_estimated(size, sigma):
    """A line of height 300 over noise of known size; both are found within the scatter of such an estimate."""
    axis = np.linspace(100.0, 1200.0, size)
    noise = np.random.default_rng(size).normal(0.0, sigma, size)
    record = to_record(raw(axis, 50 + 300 * np.exp(-(((axis - 600) / 60) ** 2)) + noise), RAMAN)
    assert record.metadata["snr_estimate"] == pytest.approx(300 / sigma, rel=0.35 if size < 100 else 0.12)
    assert "LOW_SNR" not in flags_of(record)


def test_nothing_but_noise_is_flagged():
    noise = np.random.default_rng(3).normal(1000.0, 10.0, 1500)
    record = to_record(raw(np.linspace(100.0, 1200.0, 1500), noise), RAMAN)
    assert "LOW_SNR" in flags_of(record)
    assert "snr_estimate" not in to_record(raw(intensity=np.full(64, 7.0)), RAMAN).metadata


@given(st.permutations(list(range(24))), st.sets(st.integers(0, 23), max_size=4))
def test_the_permutation_puts_the_files_points_in_order(order, lost):
    axis = np.array(order, dtype=float) + 100
    axis[sorted(lost)] = np.nan
    record = to_record(raw(axis, np.arange(24.0) + 1), RAMAN)
    places = []
    for run in str(record.metadata.get("axis_permutation", "")).split(","):
        first, _, last = run.partition("-")
        if first:
            step = 1 if not last or int(last) >= int(first) else -1
            places += range(int(first), int(last or first) + step, step)
    if "UNSORTED" in flags_of(record):
        np.testing.assert_array_equal(axis[places], record.axis)
        np.testing.assert_array_equal(np.arange(24.0)[places] + 1, record.intensity)
    else:
        assert places == []


def test_another_anode_is_flagged():
    axis, values = np.linspace(5, 80, 64), SIGNAL
    for wavelength, other in ((1.54056, False), (1.5418, False), (1.78897, True), (0.7093, True), ("", False)):
        record = to_record(raw(axis, values, axis_unit="deg", metadata={"wavelength": wavelength}), XRD)
        assert ("OTHER_WAVELENGTH" in flags_of(record)) == other, wavelength


def test_a_narrow_line_is_not_a_cosmic_ray():
    line = 100 / (1 + ((AXIS - 600) / 20) ** 2) + 5
    assert "SPIKES" not in flags_of(to_record(raw(intensity=line), RAMAN))


def test_percent_transmittance_called_absorbance_is_suspected():
    transmittance = 95 - 60 * np.exp(-(((AXIS - 900) / 20) ** 2))
    assert "SUSPECT_TRANSMITTANCE" in flags_of(to_record(raw(intensity=transmittance, intensity_unit="absorbance"), IR))
    absorbance = -np.log10(transmittance / 100)
    assert "SUSPECT_TRANSMITTANCE" not in flags_of(to_record(raw(intensity=absorbance), IR))


@pytest.mark.parametrize(
    ("name", "meant"), [("Raman", "raman"), (" FT-IR ", "ir"), ("pxrd", "xrd"), ("nmr", None), (None, None)]
)
def test_aliases(name, meant):
    assert resolve_modality(name, builtin()) == meant


@given(
    st.lists(st.floats(width=64), min_size=0, max_size=40),
    st.lists(st.floats(width=64), min_size=0, max_size=40),
    st.sampled_from([RAMAN, IR, XRD]),
)
def test_any_floats_give_an_ordered_record_or_our_error(axis, intensity, modality):
    size = min(len(axis), len(intensity))
    try:
        record = to_record(raw(axis[:size], intensity[:size]), modality)
    except RecordError:
        return
    assert (np.diff(record.axis) > 0).all()
    assert np.isfinite(record.axis).all()
    assert not np.isinf(record.intensity.astype(np.float32)).any()
    assert np.isfinite(record.intensity).sum() >= 8
