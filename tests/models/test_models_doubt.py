"""Labels that spectra contradict: those that were planted, and no others."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from spectroflow.models.doubt import doubts
from spectroflow.models.likeness import Others
from spectroflow.models.naming import Naming
from tests.models.test_models_naming import spectra


# A search for the sharpness that cannot leave its bounds gets stuck in these two.
@example(seed=18, noise=0.075)
@example(seed=16, noise=0.175)
@given(seed=st.integers(0, 30), noise=st.floats(0.05, 0.3))
def test_a_sample_under_a_wrong_label_is_found_and_no_other(seed: int, noise: float) -> None:
    features, material, sample = spectra(25, 3, noise, seed)
    labelled = material.copy()
    labelled[:2] = 7  # both spectra of the first sample of material 0
    others = Others(features, labelled, sample)
    naming = Naming.fit(others, 0)
    assert naming is not None
    found = doubts(naming, others, sample)
    assert [(sample[doubt.row], doubt.material) for doubt in found] == [("s0", 0)]
    assert found[0].probability >= 0.8


def test_a_material_with_a_single_sample_may_look_like_another_one() -> None:
    """No sample can vouch for its label, but one contradicts it."""
    features, material, sample = spectra(25, 3, 0.1)
    labelled = material.copy()
    labelled[:2] = 25
    others = Others(features, labelled, sample)
    naming = Naming.fit(others, 0)
    assert naming is not None
    assert [(sample[d.row], d.material) for d in doubts(naming, others, sample)] == [("s0", 0)]


def test_spectra_that_are_new_are_not_in_doubt() -> None:
    features, material, sample = spectra(25, 2, 0.1)
    alone = np.append(material, 25)
    more = {kind: np.vstack([value, -value.mean(axis=0)]) for kind, value in features.items()}
    naming = Naming.fit(Others(features, material, sample), 0)
    assert naming is not None
    sample = [*sample, "new"]
    assert doubts(naming, Others(more, alone, sample), sample) == []
