"""The regressions of one direction whose metric is learned.

=========================  ====================================================================================
composition.<track>        from the composition alone, one mean target for each material
both.<track>               from the spectrum, the composition read from it, and the composition that is known
learned                    from the spectrum and the composition read from it
=========================  ====================================================================================

Those that know the formula come first: they teach spectra without a partner (``taught.py``), from which the others
learn, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spectroflow.models.bank import Bank
from spectroflow.models.known import composition_blocks, reading_blocks
from spectroflow.models.lines import line_density
from spectroflow.models.memory import Memory
from spectroflow.models.metric import Blocks, Metric, learn_metric, take
from spectroflow.models.reader import CompositionReader
from spectroflow.models.regression import MetricRegression, targets_of_materials, unit_targets
from spectroflow.models.taught import Taught

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]

DENSITY_RIDGE = 0.3


def fit_learned(
    bank: Bank,
    memory: Memory,
    targets: Memory,
    reader: CompositionReader | None,
    candidates: Int,
    metrics: Mapping[str, Metric],
    groups: tuple[Int, Int] | None,
    seed: int,
    steps: int,
) -> tuple[dict[str, MetricRegression], Taught]:
    """Fit all regressions, and teach; parameters as for :meth:`.experts.KernelExperts.fit`."""
    paired, alone = groups or (memory.material, targets.material)
    # Targets of unit variance: every spectrum then pulls alike, as it counts in a mean correlation.
    wanted, density = unit_targets(memory.targets), line_density(memory.targets, bank.target_modality)
    learned: dict[str, MetricRegression] = {}
    taught = Taught.nobody(wanted.shape[1])

    def metric_for(name: str, known: tuple[Blocks, ...], answers: Float, group: Int) -> Metric:
        learned_before = metrics.get(name)
        if learned_before is not None and learned_before.fits(known):
            return learned_before
        return learn_metric(known, answers, group, seed=seed, steps=steps)

    def add(name: str, known: tuple[Blocks, ...], pairs: Int) -> None:
        """Fit on some of the pairs, by whose likeness the metric is learned, and on what is taught so far."""
        metric = metric_for(name, take(known, memory.rows[pairs]), wanted[pairs], paired[pairs])
        kinds = {
            "": (np.concatenate([wanted[pairs], taught.targets]), metric.ridge),
            "density": (np.concatenate([density[pairs], taught.density]), DENSITY_RIDGE),
        }
        part = take(known, np.concatenate([memory.rows[pairs], taught.rows]))
        weights = np.concatenate([memory.weights[pairs], taught.weights])
        learned[name] = MetricRegression.fit(part, metric, weights, kinds)

    fractions, answers, group = targets_of_materials(bank.target_composition[targets.rows], targets, alone)
    for track in ("elements", "formula"):
        if len(group):
            part = (composition_blocks(fractions, track),)
            metric = metric_for(f"composition.{track}", part, answers, group)
            fit = MetricRegression.fit(part, metric, np.ones(len(group)), {"": (answers, metric.ridge)})
            learned[f"composition.{track}"] = fit
    seen: tuple[Blocks, ...] = (bank.blocks,)
    if reader is not None:
        seen = (*seen, reading_blocks(reader.training))
    told = np.flatnonzero(np.isfinite(bank.source_composition[memory.rows, 0]))
    if len(told):
        add("both.formula", (*seen, composition_blocks(bank.source_composition, "formula")), told)
        taught = Taught.of(memory, candidates, bank.source_material, bank.source_composition, seen, learned)
        add("both.elements", (*seen, composition_blocks(bank.source_composition, "elements")), told)
    add("learned", seen, np.arange(len(memory)))
    return learned, taught
