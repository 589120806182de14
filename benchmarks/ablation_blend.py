"""What the whole generator loses without some of its experts, from networks that are trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unittest.mock import patch

import numpy as np

from spectroflow.models import ensemble, member
from spectroflow.models.blend import correlation
from spectroflow.models.evaluation import HeldOut, held_out
from spectroflow.models.experts import experts_of
from spectroflow.models.generator import Generator, Query
from spectroflow.models.training import NetworkPlan, Trained

MEMORY = {"mean", "vae"}
"""Experts that look up no training spectrum when they are asked."""


def without(generator: Generator, kept: Mapping[str, object] | set[str], direction: tuple[str, str]) -> Generator:
    """Fit the blends of one direction again with some of the experts."""

    def some(track: str) -> tuple[str, ...]:
        return tuple(name for name in experts_of(track) if name in kept)

    trained = [
        Trained(NetworkPlan(name, _folds(name), 0), network.state_dict(), {})
        for name, network in generator.networks.items()
    ]
    with patch.object(member, "experts_of", some):
        return ensemble.fit_generator(generator.data, trained, generator.config, directions=[direction])


def rows(generator: Generator, direction: tuple[str, str]) -> dict[str, tuple[str, np.ndarray]]:
    """Return ``{key: (title, (pairs,) r)}`` of one direction; every row is asked for the same pairs.

    A pair without a known formula has NaN in the rows that know one.
    """
    source, target = direction
    whole = held_out(generator, source, target)
    everyone = set(experts_of("spectrum"))
    found = {
        "blend": ("whole generator", whole.scores["blend"]),
        "no_memory": ("without memory (networks and mean)", _alone(without(generator, MEMORY, direction), direction)),
        "no_networks": ("without networks", _alone(without(generator, everyone - {"vae"}, direction), direction)),
        "no_materials": (
            "without the posterior over materials",
            _alone(without(generator, everyone - {"material"}, direction), direction),
        ),
    }
    for size, scores in network_averages(generator, whole, (1, 2, 4)).items():
        found[f"networks_{size}"] = (f"mean of {size} network{'s' if size > 1 else ''} alone", scores)
    for track in generator.tracks_of(source, target)[1:]:
        told = np.isfinite(generator.data.composition[source][whole.pairs[:, 0], 0])
        scores = held_out(generator, source, target, track=track).scores
        found[track] = (f"{track} known", np.where(told, scores["blend"], np.nan))
        found[f"{track}_alone"] = (f"{track} known, no spectrum", np.where(told, scores["composition"], np.nan))
    generator.forget_kernels()
    return found


def network_averages(generator: Generator, whole: HeldOut, sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """Return r of the mean of some networks that never saw the material; at most as many as a member has."""
    data, source, target = generator.data, whole.source, whole.target
    used, position = np.unique(whole.pairs[:, 0], return_inverse=True)
    table, wanted = data.spectra[source], data.spectra[target]
    unknown = np.full((len(used), data.composition[source].shape[1]), np.nan, np.float32)
    query = Query(table.values[used], table.valid[used], table.lines[used], source, target, unknown, "spectrum")
    decoded, _ = generator.network_predictions(query)
    fold = generator.folds[source][used]
    found = {}
    for size in sizes:
        mean = np.zeros((len(used), data.modalities[target].grid.points), np.float32)
        for k in range(generator.config.folds):
            blind = [name for name in decoded if k in _folds(name)][:size]
            if len(blind) < size:
                break
            mean[fold == k] = np.mean([decoded[name][fold == k] for name in blind], axis=0)
        else:
            found[size] = correlation(mean[position], wanted.values[whole.pairs[:, 1]], wanted.valid[whole.pairs[:, 1]])
    return found


def _alone(generator: Generator, direction: tuple[str, str]) -> np.ndarray:
    scores = held_out(generator, *direction).scores["blend"]
    generator.forget_kernels()
    return scores


def _folds(name: str) -> tuple[int, int]:
    first, second = name.split("-")
    return int(first), int(second)
