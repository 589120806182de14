from __future__ import annotations

import numpy as np

from spectroflow.models.data import TrainingData
from spectroflow.models.features import KINDS, composition_features, spectrum_features
from spectroflow.models.memory import material_weights
from spectroflow.models.reader import RIDGE, CompositionReader, mixed_kernel


def test_a_reading_of_a_training_spectrum_is_that_of_a_reader_without_its_group(small_data: TrainingData) -> None:
    table, group = small_data.spectra["raman"], small_data.material["raman"]
    views = spectrum_features(table.values, small_data.modalities["raman"])
    feature = composition_features(small_data.composition["raman"], "formula")
    allowed = np.arange(len(table))
    reader = CompositionReader.fit(views, feature, group, allowed)
    assert reader is not None
    left_out = group[np.flatnonzero(feature.any(axis=1))[0]]
    rows = reader.rows[group[reader.rows] != left_out]
    # The closed form keeps the mean and the weights of the whole; so does this refit.
    weights = material_weights(group[reader.rows])[group[reader.rows] != left_out]
    kernel = mixed_kernel({k: views[k][rows] @ views[k][rows].T for k in KINDS}).astype(float)
    dual = np.linalg.solve(kernel + np.diag(RIDGE / weights), feature[rows] - reader.mean)
    mine = np.flatnonzero(group == left_out)
    expected = reader.mean + mixed_kernel({k: views[k][mine] @ views[k][rows].T for k in KINDS}) @ dual
    expected = np.clip(expected, 0, None)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(reader.training[mine], expected, atol=1e-4)


def test_rows_that_are_not_allowed_leave_no_trace(small_data: TrainingData) -> None:
    table, group = small_data.spectra["raman"], small_data.material["raman"]
    feature = composition_features(small_data.composition["raman"], "formula")
    allowed = np.flatnonzero(group < 20)
    found = []
    for scale in (1.0, 0.0):
        values = np.where((group < 20)[:, None], table.values, scale * table.values)
        views = spectrum_features(values.astype(np.float32), small_data.modalities["raman"])
        found.append(CompositionReader.fit(views, feature, group, allowed))
    one, other = found
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    assert not one.training[group >= 20].any()


def test_without_compositions_there_is_no_reader(small_data: TrainingData) -> None:
    views = spectrum_features(small_data.spectra["ir"].values, small_data.modalities["ir"])
    nothing = np.zeros_like(small_data.composition["ir"])
    group = small_data.material["ir"]
    assert CompositionReader.fit(views, nothing, group, np.arange(len(group))) is None
