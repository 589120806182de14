"""Sums of measured diffraction patterns: which of their phases are named, with the structures of all in a library.

The patterns are those of the RRUFF pack, of minerals whose name hashes to the half on which nothing was chosen. A
sum is made of two or three minerals, each pattern by its share of the area, so it has what simulated mixtures lack:
lines of real shape, grains that lie on their faces, cells that are not those of the library, and impurities that
nobody told of, which count as named wrongly here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.model_work import archive_of, known_structures, options, real_pack, tell, training_data
from spectroflow.jobs.library_files import load_library
from spectroflow.models.data import TrainingData
from spectroflow.models.library import PhaseFinder, Phases, StructureLibrary
from spectroflow.models.preprocess import prepare

Float = npt.NDArray[np.float32]

SEED, COUNT, LEAST_SHARE, LEAST_MEASURED = 77, 1000, 0.03, 0.95
BINS = ((0.03, 0.1), (0.1, 0.3), (0.3, 1.0))


@dataclass(frozen=True)
class Pattern:
    """A measured pattern, and the structures that its mineral may have."""

    values: Float
    right: frozenset[int]


def measure(folder: Path) -> dict[str, float]:
    """Return all figures; none where the real spectra are missing."""
    if real_pack() is None:
        return {}
    chosen = options(False)
    archive, library = archive_of(folder, chosen), known_structures(folder, chosen)
    assert library is not None
    structures = load_library(library)
    data = training_data(archive, chosen, ("xrd",))
    found = patterns(data, structures)
    finder = PhaseFinder(structures, data.modalities["xrd"])
    tell(f"phases of {COUNT} sums of {len(found)} measured patterns")
    alone = finder.find(np.stack([each.values for each in found]))
    right = [{i for i in answer.structures if i in own.right} for answer, own in zip(alone, found, strict=True)]
    return {
        "measured_patterns": float(len(found)),
        "measured_pure_main_right": float(
            np.mean([a.structures[:1] != () and a.structures[0] in p.right for a, p in zip(alone, found, strict=True)])
        ),
        "measured_pure_nothing_else": float(
            np.mean([bool(a.structures) and len(a.structures) == len(r) for a, r in zip(alone, right, strict=True)])
        ),
        **sums(finder, data, found),
    }


def patterns(data: TrainingData, structures: StructureLibrary) -> list[Pattern]:
    """Return the patterns of the half of the minerals on which nothing was chosen, where the library holds theirs."""
    table, links = data.spectra["xrd"], structures.links(data)
    return [
        Pattern(table.values[row], frozenset(links[material].tolist()))
        for row, material in enumerate(data.material["xrd"].tolist())
        if material in links
        and table.valid[row].mean() > LEAST_MEASURED
        and int(hashlib.md5(data.materials[material].encode()).hexdigest(), 16) % 2
    ]


def sums(finder: PhaseFinder, data: TrainingData, found: list[Pattern]) -> dict[str, float]:
    """Return how many of the phases of which share are named in sums of patterns."""
    rng = np.random.default_rng(SEED)
    made: list[Float] = []
    truth: list[list[tuple[frozenset[int], float]]] = []
    while len(made) < COUNT:
        members = [found[i] for i in rng.choice(len(found), int(rng.choice([2, 3])), replace=False)]
        if len({one.right for one in members}) < len(members):
            continue
        shares = LEAST_SHARE + (1 - len(members) * LEAST_SHARE) * rng.dirichlet(np.ones(len(members)))
        made.append(np.sum([s * one.values / one.values.sum() for s, one in zip(shares, members, strict=True)], axis=0))
        truth.append([(one.right, float(share)) for one, share in zip(members, shares, strict=True)])
    stack = np.stack(made)
    answers = finder.find(prepare(stack, np.ones(stack.shape, bool), data.modalities["xrd"]))
    return judged(answers, truth)


def judged(answers: list[Phases], truth: list[list[tuple[frozenset[int], float]]]) -> dict[str, float]:
    """Compare answers with the structures that each phase may have, and its share."""
    hits: dict[tuple[float, float], list[bool]] = {span: [] for span in BINS}
    named = right = whole = 0
    for answer, phases in zip(answers, truth, strict=True):
        told = set(answer.structures)
        for own, share in phases:
            for span in BINS:
                if span[0] <= share < span[1]:
                    hits[span].append(bool(told & own))
        good = len(told & frozenset().union(*(own for own, _ in phases)))
        named, right = named + len(told), right + good
        whole += good == len(told) and all(told & own for own, _ in phases)
    return {
        **{
            f"measured_found_{100 * a:.0f}_to_{100 * b:.0f}_percent": float(np.mean(hit))
            for (a, b), hit in hits.items()
        },
        "measured_named_right": right / max(named, 1),
        "measured_all_right": whole / len(answers),
    }
