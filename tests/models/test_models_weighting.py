from __future__ import annotations

import numpy as np

from spectroflow.models.blend import fit_blend
from spectroflow.models.weighting import REACH, gated_weights


def two_experts(seed: int, rows: int = 200) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return two experts, of which the evidence tells which one is right, the evidence, and the truth."""
    rng = np.random.default_rng(seed)
    wanted = rng.random((rows, 40)).astype(np.float32)
    tells = rng.uniform(-1, 1, rows)
    first = (tells > 0)[:, None]
    noise = rng.random((2, rows, 40)).astype(np.float32)
    experts = {"one": np.where(first, wanted, noise[0]), "two": np.where(first, noise[1], wanted)}
    return experts, np.stack([tells, rng.normal(0, 1, rows)], axis=1), wanted


def mean_r(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]))


def test_weights_are_shares_whatever_the_evidence() -> None:
    rng = np.random.default_rng(0)
    base, slopes = rng.normal(0, 3, 5), rng.normal(0, 3, (3, 5))
    weights = gated_weights(rng.normal(0, 100, (50, 3)), base, slopes)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    far, beyond = gated_weights(np.asarray([[REACH] * 3, [1000.0] * 3]), base, slopes)
    np.testing.assert_array_equal(far, beyond)


def test_the_expert_is_heard_that_the_evidence_speaks_for() -> None:
    experts, evidence, wanted = two_experts(1)
    valid, material = np.ones(wanted.shape, bool), np.arange(len(wanted))
    plain = fit_blend(experts, ["one", "two"], evidence, wanted, valid, material)
    gated = fit_blend(experts, ["two", "one"], evidence, wanted, valid, material, gated=True)
    unseen, asked, truth = two_experts(2)
    assert mean_r(gated.combine(unseen, asked), truth) > mean_r(plain.combine(unseen, asked), truth) + 0.05
    assert gated.expected > plain.expected
    # Without evidence the weights of all are used, and evidence changes nothing where none was learned from.
    np.testing.assert_array_equal(plain.combine(unseen, asked), plain.combine(unseen))
    assert mean_r(gated.combine(unseen), truth) < mean_r(gated.combine(unseen, asked), truth)


def test_evidence_that_tells_nothing_moves_no_weights() -> None:
    rng = np.random.default_rng(3)
    wanted = rng.random((300, 40)).astype(np.float32)
    experts = {name: wanted + rng.normal(0, 0.5, wanted.shape).astype(np.float32) for name in ("one", "two")}
    evidence = rng.normal(0, 1, (300, 2))
    blend = fit_blend(experts, list(experts), evidence, wanted, np.ones(wanted.shape, bool), np.arange(300), gated=True)
    weights = gated_weights(evidence, np.asarray(blend.base), np.asarray(blend.gate))
    assert np.abs(weights - 0.5).max() < 0.1
