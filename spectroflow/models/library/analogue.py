"""Spectra of structures by analogy: kernel ridge regression from crystals to a modality.

Training materials of known composition take part with it; those whose structure the library holds are
compared by their bonds, or by bonds and structure type together, besides. A third expert knows these alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.materials.traits import block
from spectroflow.models.baselines import KernelRidge, gaussian_kernel
from spectroflow.models.experts import unit_targets
from spectroflow.models.features import composition_features, unit
from spectroflow.models.generator import Generator
from spectroflow.models.library.agreement import COMPOSITION_GAMMA, structure_kernel
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import build_targets

Float = npt.NDArray[np.float32]

RIDGE = 0.4
BONDS_GAMMA, SHARP_GAMMA, TYPE_GAMMA = 6.0, 12.0, 8.0


class Analogues:
    """Predicts the spectra of all structures of a library in one modality.

    Parameters
    ----------
    generator
        Gives the training spectra, their compositions and folds.
    library
        The structures.
    target
        The modality.
    """

    def __init__(self, generator: Generator, library: StructureLibrary, target: str) -> None:
        self.generator, self.library, self.target = generator, library, target
        first = {material: int(rows[0]) for material, rows in library.links(generator.data).items()}
        self.structure = np.array([first.get(int(m), -1) for m in generator.data.material[target]], np.int64)
        self.formula = composition_features(library.composition, "formula")
        bonds, kind = (unit(block(library.traits, name), centre=False) for name in ("bonds", "type"))
        own = np.unique(self.structure[self.structure >= 0])
        self._column = {int(structure): i for i, structure in enumerate(own)}
        sharp = gaussian_kernel(bonds @ bonds[own].T, SHARP_GAMMA)
        self._likeness = {
            "like bonds": gaussian_kernel(bonds @ bonds[own].T, BONDS_GAMMA),
            "like bonds and type": sharp * (0.5 + gaussian_kernel(kind @ kind[own].T, TYPE_GAMMA)),
        }
        self._alone = structure_kernel(library, np.arange(len(library)), own)
        self._known: dict[tuple[int, ...], dict[str, Float]] = {}

    def predictions(self, without: tuple[int, ...]) -> dict[str, Float]:
        """Return ``{"like bonds": (structures, points), ...}`` as learned without some folds."""
        key = tuple(sorted(without))
        if key not in self._known:
            self._known[key] = self._predict(key)
        return self._known[key]

    def _predict(self, without: tuple[int, ...]) -> dict[str, Float]:
        amounts = self.generator.compositions[self.target]["formula"]
        kept = ~np.isin(self.generator.folds[self.target], without) & amounts.any(axis=1)
        memory = build_targets(self.generator.data, self.target, np.flatnonzero(kept))
        own, structure = amounts[memory.rows], self.structure[memory.rows]
        linked = np.flatnonzero(structure >= 0)
        among = gaussian_kernel(own @ own.T, COMPOSITION_GAMMA)
        of_library = gaussian_kernel(self.formula @ own.T, COMPOSITION_GAMMA)
        columns = np.array([self._column[int(i)] for i in structure[linked]], np.int64)
        targets = unit_targets(memory.targets)
        found = {}
        for name, likeness in self._likeness.items():
            kernel, across = among.copy(), of_library.copy()
            kernel[np.ix_(linked, linked)] += likeness[np.ix_(structure[linked], columns)]
            across[:, linked] += likeness[:, columns]
            found[name] = KernelRidge.fit(targets, memory.weights, kernel, RIDGE).predict(across)
        own_kernel, across = self._alone[np.ix_(structure[linked], columns)], self._alone[:, columns]
        fit = KernelRidge.fit(targets[linked], memory.weights[linked], own_kernel, RIDGE)
        return {**found, "like structure": fit.predict(across)}
