"""From trained networks to a generator: fit the blends, write the card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.config import TrainConfig
from spectroflow.models.blend import Blend
from spectroflow.models.data import TrainingData
from spectroflow.models.doubt import doubts
from spectroflow.models.features import TRACKS
from spectroflow.models.generator import Generator, Query
from spectroflow.models.known import spectrum_blocks
from spectroflow.models.likeness import Others
from spectroflow.models.member import Heard, fit_member, known_materials
from spectroflow.models.metric import Metric
from spectroflow.models.model_format import BlendKey, MetricKey
from spectroflow.models.naming import Naming
from spectroflow.models.ranges import Range, find_ranges
from spectroflow.models.steady import shown_enough
from spectroflow.models.training import Trained, build_network

Float = npt.NDArray[np.float32]

MOST_DOUBTS = 100  # labels of a modality that the card lists


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
        _fit_direction(generator, source, target)
    for kept in _ranges(data, sorted({source for source, _ in wanted})):
        special = generator.specialist(kept)
        for source, target in wanted:
            if source == kept.modality and _shown_everywhere(special, source, target):
                _fit_direction(special, source, target)
        if special.blends:
            generator.specialists[kept] = special
    in_doubt = {name: _learn_names(generator, name) for name in sorted({source for source, _ in wanted})}
    generator.card.update(
        {
            "data": describe(data),
            "folds": {name: np.bincount(f, minlength=config.folds).tolist() for name, f in generator.folds.items()},
            "networks": {r.plan.name: r.figures for r in trained},
            "parameters": sum(p.numel() for p in build_network(data.modalities, config).parameters()),
            "train": config.model_dump(mode="json"),
            "blends": _mean_weights(generator),
            "naming": {name: dict(naming.figures) for name, naming in generator.naming.items()},
            "doubts": {name: in_doubt[name] for name in generator.naming},
            "directions": [f"{s} to {t}" for s, t in wanted],
            "ranges": [
                f"{kept.modality}: {kept.described(data.modalities[kept.modality])}" for kept in generator.specialists
            ],
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
        "with_composition": {name: int(np.isfinite(table[:, 0]).sum()) for name, table in data.composition.items()},
        "pairs": {f"{s} to {t}": len(data.pairs(s, t)) for s, t in data.directions()},
        "digest": hashlib.blake2b("\n".join(digests).encode(), digest_size=16).hexdigest(),
    }


def _learn_names(generator: Generator, name: str) -> list[dict[str, Any]]:
    """Learn to name the materials of a modality, and return the training spectra whose label is in doubt, for the card.

    Where too little is known to learn it, no label is.
    """
    data, table = generator.data, generator.data.spectra[name]
    shown = shown_enough(table.valid, np.flatnonzero(table.valid.any(axis=1)))
    others = Others(generator.views.features(name), data.material[name], table.sample, shown)
    naming = Naming.fit(others, generator.config.seed)
    if naming is None:
        return []
    generator.naming[name] = naming
    return [
        {
            "sample": table.sample[doubt.row],
            "label": table.label[doubt.row],
            "looks_like": data.materials[doubt.material],
            "probability": round(doubt.probability, 4),
            "digest": table.digest[doubt.row],
        }
        for doubt in doubts(naming, others, table.sample)[:MOST_DOUBTS]
    ]


def _ranges(data: TrainingData, sources: Sequence[str]) -> list[Range]:
    """Return the parts of the sources' axes for which a specialist learns."""
    return [kept for name in sources for kept in find_ranges(name, data.spectra[name].valid)]


def _shown_everywhere(special: Generator, source: str, target: str) -> bool:
    """Say whether pairs of every fold show something of a specialist's range: it learns without any two of them."""
    rows = special.data.pairs(source, target)[:, 0]
    seen = rows[special.data.spectra[source].valid[rows].any(axis=1)]
    return len(np.unique(special.folds[source][seen])) == special.config.folds


def _fit_direction(generator: Generator, source: str, target: str) -> None:
    blends = _blends(generator, source, target)
    if blends:
        generator.blends.update(blends)
        generator.metrics.update(_metrics(generator, source, target))
    generator.forget_kernels()


def _mean_weights(generator: Generator) -> dict[str, dict[str, float]]:
    """Return how much each expert counts, per direction and track, on average over members."""
    found: dict[str, dict[str, float]] = {}
    for source, target in generator.directions:
        for track in generator.tracks_of(source, target):
            blends = [b for key, b in generator.blends.items() if key[1:] == (source, target, track)]
            name = f"{source} to {target}" + ("" if track == "spectrum" else f", {track}")
            experts = sorted(set().union(*(blend.weights for blend in blends)))
            found[name] = {e: round(float(np.mean([b.weights.get(e, 0.0) for b in blends])), 4) for e in experts}
    return found


def _metrics(generator: Generator, source: str, target: str) -> dict[MetricKey, dict[str, Metric]]:
    """Return each member's metrics: the means of those that were learned without its fold and one other."""
    found: dict[MetricKey, dict[str, Metric]] = {}
    for member in range(generator.config.folds):
        others = sorted(set(range(generator.config.folds)) - {member})
        pairs = [generator.kernels((member, inner), source, target).metrics for inner in others]
        found[member, source, target] = {}
        for name in sorted(set.intersection(*(set(metrics) for metrics in pairs))):
            learned = [metrics[name] for metrics in pairs]
            # Where too few compositions are known, some could not be read, and the member learns for itself.
            if len({tuple(map(len, metric.weights)) for metric in learned}) == 1:
                found[member, source, target][name] = Metric.mean(learned)
    return found


def _blends(generator: Generator, source: str, target: str) -> dict[BlendKey, Blend]:
    """Fit the blend of every member and track on the member's training folds.

    Member ``k``'s predictions for fold ``l`` come from experts that saw neither ``k`` nor ``l``. They are
    the same for member ``l`` and fold ``k``, so the kernels of each pair of folds are fitted once.
    """
    data, count = generator.data, generator.config.folds
    pairs = data.pairs(source, target)
    rows, position = np.unique(pairs[:, 0], return_inverse=True)
    table, composition = data.spectra[source], data.composition[source][rows]
    fold, material = generator.folds[source][rows], data.material[source][rows]
    told, seen = np.isfinite(composition[:, 0]), table.valid[rows].any(axis=1)
    result: dict[BlendKey, Blend] = {}
    for track in TRACKS:
        usable = seen if track == "spectrum" else seen & told
        if len(np.unique(material[usable])) < 2 * count:
            continue
        query = Query(table.values[rows], table.valid[rows], table.lines[rows], source, target, composition, track)
        similar = generator.similarity(query)
        decoded, _ = generator.network_predictions(query)
        blocks = spectrum_blocks(query.values, generator.modalities[source])
        for member in range(count):
            heard = []
            for inner in sorted(set(range(count)) - {member}):
                at = np.flatnonzero((fold == inner) & usable)
                near = {kind: value[at] for kind, value in similar.items()}
                nets = {name: value[at] for name, value in decoded.items()}
                opinion = generator.member_opinion(query.take(at), (member, inner), near, nets, blocks.take(at))
                heard.append(Heard(at, material[at], opinion))
            heard = known_materials(heard, generator.config.split, 2 * count)
            result[member, source, target, track] = fit_member(generator, heard, pairs, position, target, track)
    return result
