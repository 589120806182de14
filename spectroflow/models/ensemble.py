"""From trained networks to a generator: fit the blends, write the card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.config import TrainConfig
from spectroflow.models.blend import Blend, evidence_of, fit_blend
from spectroflow.models.data import TrainingData
from spectroflow.models.experts import EXPERTS
from spectroflow.models.generator import Generator, Query
from spectroflow.models.training import Trained, build_network

Int = npt.NDArray[np.int64]


def fit_generator(
    data: TrainingData,
    trained: Sequence[Trained],
    config: TrainConfig,
    *,
    directions: Sequence[tuple[str, str]] | None = None,
    card: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Generator:
    """Put an ensemble together.

    Parameters
    ----------
    trained
        All networks of :func:`spectroflow.models.training.plan_networks`, in any order.
    directions
        None takes all that have paired samples.
    card
        What the caller adds to the card (versions, device, cost).

    Raises
    ------
    InvalidInput
        A direction has too few paired materials.
    """
    wanted = list(data.directions() if directions is None else directions)
    data.require_pairs(wanted, config.folds)
    networks = {}
    for result in sorted(trained, key=lambda r: r.plan.without):
        networks[result.plan.name] = build_network(data.modalities, config)
        networks[result.plan.name].load_state_dict(result.state)
    generator = Generator(data, config, networks, {}, {}, device=device)
    for source, target in wanted:
        generator.blends.update(_blends(generator, source, target))
    generator.card.update(
        {
            "data": describe(data),
            "folds": {name: np.bincount(f, minlength=config.folds).tolist() for name, f in generator.folds.items()},
            "networks": {r.plan.name: r.figures for r in trained},
            "directions": [f"{s} to {t}" for s, t in wanted],
            **(card or {}),
        }
    )
    return generator


def describe(data: TrainingData) -> dict[str, Any]:
    """Return the fingerprint of training data: counts, and a digest of all record digests."""
    digests = sorted(digest for table in data.spectra.values() for digest in table.digest)
    return {
        "spectra": {name: len(table) for name, table in data.spectra.items()},
        "materials": len(data.materials),
        "pairs": {f"{s} to {t}": len(data.pairs(s, t)) for s, t in data.directions()},
        "digest": hashlib.blake2b("\n".join(digests).encode(), digest_size=16).hexdigest(),
    }


def _blends(generator: Generator, source: str, target: str) -> dict[tuple[int, str, str], Blend]:
    """Fit the blend of every member on its training folds.

    Member ``k``'s predictions for fold ``l`` come from experts that saw neither ``k`` nor ``l``. They are
    the same for member ``l`` and fold ``k``, so each pair of folds is predicted once.
    """
    data, folds = generator.data, generator.folds
    pairs = data.pairs(source, target)
    fold = folds[source][pairs[:, 0]]
    sources, targets = data.spectra[source], data.spectra[target]
    rows, position = np.unique(pairs[:, 0], return_inverse=True)
    query = Query(sources.values[rows], sources.valid[rows], sources.lines[rows], source, target)
    similarity = generator.features[source][rows] @ generator.features[source].T
    decoded, _ = generator.network_predictions(query)
    result = {}
    for member in range(generator.config.folds):
        chosen, predictions, evidence = [], [], []
        for inner in sorted(set(range(generator.config.folds)) - {member}):
            asked = np.flatnonzero(fold == inner)
            at = position[asked]
            part = {name: values[at] for name, values in decoded.items()}
            found = generator.member_predictions(query, (member, inner), similarity[at], part)
            known = generator.kernels((member, inner), source, target).memory.rows
            chosen.append(asked)
            predictions.append(found)
            evidence.append(evidence_of(similarity[at][:, known], found))
        picked = pairs[np.concatenate(chosen)]
        result[member, source, target] = fit_blend(
            {name: np.concatenate([p[name] for p in predictions]) for name in predictions[0]},
            EXPERTS,
            np.concatenate(evidence),
            targets.values[picked[:, 1]],
            targets.valid[picked[:, 1]],
            data.material[source][picked[:, 0]],
        )
    return result
