"""The kernel experts of a generator: fitted when first asked for, and kept until they are forgotten."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput
from spectroflow.models.bank import Bank
from spectroflow.models.data import TrainingData
from spectroflow.models.experts import KernelExperts
from spectroflow.models.features import composition_features
from spectroflow.models.memory import build_memory, build_targets
from spectroflow.models.metric import Metric
from spectroflow.models.model_format import MetricKey
from spectroflow.models.reader import CompositionReader
from spectroflow.models.steady import Steady, shown_enough
from spectroflow.models.views import Views

Int = npt.NDArray[np.int64]


class FittedExperts:
    """Kernel experts of any direction, fitted without whichever folds are named.

    Parameters
    ----------
    data, views
        What they learn from, and how it is looked at.
    config
        Of the training.
    folds
        ``{modality: (rows,)}``
    metrics
        What a member has learned of likeness; looked up when experts are fitted, so it may still grow.
    """

    def __init__(
        self,
        data: TrainingData,
        views: Views,
        config: TrainConfig,
        folds: Mapping[str, Int],
        metrics: Mapping[MetricKey, Mapping[str, Metric]],
    ) -> None:
        self._data, self._views, self._config, self._folds, self._metrics = data, views, config, folds, metrics
        self._experts: dict[tuple[tuple[int, ...], str, str], KernelExperts] = {}
        self._readers: dict[tuple[tuple[int, ...], str], CompositionReader | None] = {}
        self._steady: dict[tuple[tuple[int, ...], str], Steady | None] = {}
        self._groups: dict[str, Int] = {}

    def of(self, without: tuple[int, ...], source: str, target: str) -> KernelExperts:
        """Return the experts of a direction, fitted on all folds but some.

        Raises
        ------
        InvalidInput
            The other folds hold no pair.
        """
        key = (tuple(sorted(without)), source, target)
        if key not in self._experts:
            self._experts[key] = self._fit(*key)
        return self._experts[key]

    def forget(self) -> None:
        """Free their memory."""
        self._experts.clear()
        self._readers.clear()
        self._steady.clear()

    def _fit(self, without: tuple[int, ...], source: str, target: str) -> KernelExperts:
        data, views = self._data, self._views
        rows = {name: self._allowed(without, name) for name in (source, target)}
        bank = Bank(
            views.features(source),
            views.features(target),
            views.blocks(source),
            data.material[source],
            data.composition[source],
            data.composition[target],
            data.modalities[target],
            views.units(target),
            data.spectra[target].valid,
            views.densities(target),
        )
        memory = build_memory(data, source, target, rows[source], rows[target])
        if not len(memory):
            raise InvalidInput(
                f"{source} to {target}: no pair is left to learn from without folds " + " and ".join(map(str, without)),
                remedy="Add paired spectra, or leave the direction out with --from and --to.",
            )
        targets = build_targets(data, target, rows[target])
        return KernelExperts.fit(
            bank,
            memory,
            targets,
            self._reader(without, source),
            self.steady(without, source),
            rows[source],
            self._metrics.get((without[0], source, target)) if len(without) == 1 else None,
            (self._group(source)[memory.rows], self._group(target)[targets.rows]),
            seed=self._config.seed,
            steps=self._config.metric_steps,
        )

    def _reader(self, without: tuple[int, ...], source: str) -> CompositionReader | None:
        """Return what reads compositions from spectra of a modality, fitted on all folds but some."""
        key = (without, source)
        if key not in self._readers:
            feature = composition_features(self._data.composition[source], "formula")
            self._readers[key] = CompositionReader.fit(
                self._views.features(source), feature, self._group(source), self._allowed(without, source)
            )
        return self._readers[key]

    def steady(self, without: tuple[int, ...], source: str) -> Steady | None:
        """Return what differs between spectra of one material, learned from all folds but some."""
        key = (without, source)
        if key not in self._steady:
            rows = shown_enough(self._data.spectra[source].valid, self._allowed(without, source))
            self._steady[key] = Steady.fit(self._views.features(source), self._data.material[source], rows)
        return self._steady[key]

    def _allowed(self, without: tuple[int, ...], name: str) -> Int:
        seen = self._data.spectra[name].valid.any(axis=1)
        return np.flatnonzero(~np.isin(self._folds[name], without) & seen)

    def _group(self, name: str) -> Int:
        """Return what must not vouch for itself inside the training: whatever the split keeps whole."""
        if name not in self._groups:
            self._groups[name] = self._data.units(name, self._config.split)
        return self._groups[name]
