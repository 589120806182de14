"""What is written as JCAMP-DX reads back equal."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spectroflow.formats import detect, get, to_record
from spectroflow.formats.jcamp_writer import write_jcamp
from spectroflow.modality import builtin

MODALITIES = builtin()


@given(
    hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e5, 1e5), unique=True),
    st.data(),
    st.sampled_from(sorted(MODALITIES)),
)
def test_irregular_axes_read_back_equal(axis, data, name):
    axis = np.sort(axis)
    values = data.draw(hnp.arrays(np.float32, axis.size, elements=st.floats(width=32, allow_infinity=False)))
    text = write_jcamp(axis, values, MODALITIES[name], {"label": "Quartz", "sample_id": "R040031"})
    assert detect(text, "a.jdx") is get("jcamp")
    (raw,) = get("jcamp").read(text, "a.jdx")
    np.testing.assert_array_equal(raw.intensity.astype(np.float32), values)
    np.testing.assert_array_equal(raw.axis, axis)
    assert (raw.modality, raw.label, raw.sample_id) == (name, "Quartz", "R040031")


@given(st.floats(-1000, 1000), st.floats(1e-3, 10), st.integers(2, 300))
def test_regular_axes_read_back_equal(first, step, points):
    axis = np.linspace(first, first + step * (points - 1), points)
    values = np.random.default_rng(points).normal(0, 1000, points).astype(np.float32)
    text = write_jcamp(axis, values, MODALITIES["raman"], {})
    assert b"##XYDATA" in text
    (raw,) = get("jcamp").read(text, "a.jdx")
    np.testing.assert_array_equal(raw.axis, axis)
    np.testing.assert_array_equal(raw.intensity.astype(np.float32), values)


@given(st.text(max_size=80))
def test_no_text_breaks_out_of_its_line(label):
    axis = np.linspace(100, 200, 11)
    text = write_jcamp(axis, axis, MODALITIES["raman"], {"label": label, "source": label, "formula": label})
    (raw,) = get("jcamp").read(text, "a.jdx")
    np.testing.assert_array_equal(raw.intensity, axis)


def test_units_survive():
    for name, modality in MODALITIES.items():
        axis = np.linspace(modality.grid.start, modality.grid.stop, 50)
        values = np.linspace(0.1, 1, 50).astype(np.float32)
        (raw,) = get("jcamp").read(write_jcamp(axis, values, modality, {"origin": "measured"}), "a.jdx")
        record = to_record(raw, modality)
        assert record.flags == 0, name
        np.testing.assert_array_equal(record.intensity.astype(np.float32), values)
