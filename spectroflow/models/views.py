"""All training spectra as the experts look at them, each way worked out when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from spectroflow.models.data import TrainingData
from spectroflow.models.features import CLUE_KINDS, TRACKS, composition_features, spectrum_features
from spectroflow.models.known import spectrum_blocks
from spectroflow.models.lines import line_density
from spectroflow.models.metric import Blocks
from spectroflow.models.regression import unit_targets

Float = npt.NDArray[np.float32]
Seen = TypeVar("Seen")


class Views:
    """Ways to look at training spectra.

    Parameters
    ----------
    data
        The spectra.
    shared, changed
        Views of other data that differ in the spectra of one modality only, and that modality: the others are
        looked at once for both.
    """

    def __init__(self, data: TrainingData, shared: Views | None = None, changed: str = "") -> None:
        self._data, self._shared, self._changed = data, shared, changed
        self._known: dict[tuple[str, str], object] = {}

    def features(self, name: str) -> dict[str, Float]:
        """Return the features of all spectra of a modality, ``{kind: (n, points)}``."""
        table, modality = self._data.spectra[name], self._data.modalities[name]
        return self._once("features", name, lambda: spectrum_features(table.values, modality, CLUE_KINDS))

    def compositions(self, name: str) -> dict[str, Float]:
        """Return their composition features, ``{track: (n, elements)}``."""
        known = self._data.composition[name]
        return self._once(
            "compositions", name, lambda: {track: composition_features(known, track) for track in TRACKS[1:]}
        )

    def blocks(self, name: str) -> Blocks:
        """Return what learned metrics see of them."""
        table, modality = self._data.spectra[name], self._data.modalities[name]
        return self._once("blocks", name, lambda: spectrum_blocks(table.values, modality))

    def units(self, name: str) -> Float:
        """Return them at unit variance, ``(n, points)``."""
        return self._once("units", name, lambda: unit_targets(self._data.spectra[name].values))

    def densities(self, name: str) -> Float:
        """Return their densities of lines, ``(n, points)``."""
        table, modality = self._data.spectra[name], self._data.modalities[name]
        return self._once(
            "densities", name, lambda: line_density(np.where(table.valid, table.values, np.float32(0)), modality)
        )

    def _once(self, kind: str, name: str, work: Callable[[], Seen]) -> Seen:
        if self._shared is not None and name != self._changed:
            return self._shared._once(kind, name, work)
        if (kind, name) not in self._known:
            self._known[kind, name] = work()
        return cast("Seen", self._known[kind, name])
