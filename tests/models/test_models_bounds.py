from __future__ import annotations

import numpy as np
import pytest

from spectroflow.models.bounds import MOST_REPLICATES, correlations, replicate_pairs


def test_correlations_are_numpys_over_the_measured_points() -> None:
    rng = np.random.default_rng(0)
    measured, candidates = rng.random((7, 40), np.float32), rng.random((5, 40), np.float32)
    valid = rng.random((7, 40)) < 0.7
    found = correlations(measured, valid, candidates)
    for i, row in enumerate(valid):
        for j, candidate in enumerate(candidates):
            assert found[i, j] == pytest.approx(np.corrcoef(measured[i, row], candidate[row])[0, 1], abs=1e-9)


def test_a_spectrum_without_shape_correlates_with_nothing() -> None:
    flat = np.full((1, 9), 0.3, np.float32)
    ramp = np.linspace(0, 1, 9, dtype=np.float32)[None, :]
    everywhere = np.ones((1, 9), bool)
    assert correlations(flat, everywhere, ramp)[0, 0] == 0
    assert correlations(ramp, everywhere, flat)[0, 0] == 0
    assert correlations(ramp, ~everywhere, ramp)[0, 0] == 0


def test_replicates_are_other_samples_of_the_same_material() -> None:
    material = np.asarray([0, 0, 0, 1, 2, 2])
    sample = ("a", "a", "b", "c", "", "")
    pairs = replicate_pairs(material, sample, np.arange(6), tuple("uvwxyz"))
    assert set(map(tuple, pairs.tolist())) == {(0, 2), (1, 2), (2, 0), (2, 1), (4, 5), (5, 4)}
    assert replicate_pairs(material, sample, np.asarray([3]), tuple("uvwxyz")).shape == (0, 2)


def test_of_many_replicates_the_same_few_are_taken_whatever_the_order_of_rows() -> None:
    count = MOST_REPLICATES + 5
    names = [f"d{i:02d}" for i in range(count)]
    shuffled = np.random.default_rng(1).permutation(count)
    material = np.zeros(count, np.int64)

    def taken(order: list[int]) -> set[str]:
        digests = tuple(names[i] for i in order)
        asked = np.asarray([digests.index("d00")])
        return {digests[j] for _, j in replicate_pairs(material, digests, asked, digests).tolist()}

    assert taken(list(range(count))) == taken(shuffled.tolist()) == set(names[1 : MOST_REPLICATES + 1])
