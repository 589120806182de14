"""Spectra of structures by analogy: kernel ridge regression from crystals to a modality.

Training materials of known composition take part with it; those whose structure the library holds are
compared by their bonds, or by their structure type, besides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.materials.traits import block
from spectroflow.models.baselines import KernelRidge, gaussian_kernel
from spectroflow.models.experts import unit_targets
from spectroflow.models.features import composition_features, unit
from spectroflow.models.generator import Generator
from spectroflow.models.library.agreement import COMPOSITION_GAMMA
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import build_targets

Float = npt.NDArray[np.float32]

RIDGE = 0.4
TRAIT_GAMMA = 6.0


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
        self.traits = {name: unit(block(library.traits, name), centre=False) for name in ("bonds", "type")}
        self._known: dict[tuple[int, ...], dict[str, Float]] = {}

    def predictions(self, without: tuple[int, ...]) -> dict[str, Float]:
        """Return ``{"like bonds": (structures, points), "like type": ...}`` as learned without some folds."""
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
        found = {}
        for name, trait in self.traits.items():
            kernel, across = among.copy(), of_library.copy()
            known = trait[structure[linked]]
            kernel[np.ix_(linked, linked)] += gaussian_kernel(known @ known.T, TRAIT_GAMMA)
            across[:, linked] += gaussian_kernel(trait @ known.T, TRAIT_GAMMA)
            fit = KernelRidge.fit(unit_targets(memory.targets), memory.weights, kernel, RIDGE)
            found[f"like {name}"] = fit.predict(across)
        return found
