"""Spectra of structures by analogy: kernel ridge regressions from crystals to a modality.

==================  ===============================================================================
like formula        training materials of known composition, compared by it
like bonds          the same; those whose structure the library holds also by their bonds
like structure      the same; these also by bonds, type and order together
like structure far  the same with a stronger ridge: few analogues are near, so the mean counts more
known structure     materials of known structure alone
==================  ===============================================================================
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.materials.traits import block
from spectroflow.models.baselines import KernelRidge, gaussian_kernel
from spectroflow.models.features import composition_features, unit
from spectroflow.models.generator import Generator
from spectroflow.models.library.agreement import order_kernel, structure_kernel
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import build_targets
from spectroflow.models.regression import unit_targets

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]

FORMULA_GAMMA, BONDS_GAMMA, SHARP_GAMMA, TYPE_GAMMA = 2.0, 6.0, 12.0, 8.0
FORMULA_RIDGE, NEAR_RIDGE, FAR_RIDGE, KNOWN_RIDGE = 0.3, 1.5, 5.0, 1.0


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
        self.generator, self.target = generator, target
        first = {material: int(rows[0]) for material, rows in library.links(generator.data).items()}
        structure = np.array([first.get(int(m), -1) for m in generator.data.material[target]], np.int64)
        self.own = np.unique(structure[structure >= 0])
        # Place of the structure of each training row among those that are known, or -1.
        self.place = np.where(structure >= 0, np.searchsorted(self.own, np.maximum(structure, 0)), -1)
        self.formula = composition_features(library.composition, "formula")
        bonds, kind = (unit(block(library.traits, name), centre=False) for name in ("bonds", "type"))
        every = np.arange(len(library))
        sharp = gaussian_kernel(bonds @ bonds[self.own].T, SHARP_GAMMA)
        alike = 0.5 + gaussian_kernel(kind @ kind[self.own].T, TYPE_GAMMA)
        order = 0.5 + order_kernel(library, every, self.own)
        self.bonds = gaussian_kernel(bonds @ bonds[self.own].T, BONDS_GAMMA)
        self.together = np.asarray(sharp * alike * order, np.float32)
        self.alone = structure_kernel(library, every, self.own)
        self._known: dict[tuple[int, ...], dict[str, Float]] = {}

    def predictions(self, without: tuple[int, ...]) -> dict[str, Float]:
        """Return ``{name: (structures, points)}`` as learned without some folds."""
        key = tuple(sorted(without))
        if key not in self._known:
            self._known[key] = self._predict(key)
        return self._known[key]

    def _predict(self, without: tuple[int, ...]) -> dict[str, Float]:
        amounts = self.generator.views.compositions(self.target)["formula"]
        kept = ~np.isin(self.generator.folds[self.target], without) & amounts.any(axis=1)
        memory = build_targets(self.generator.data, self.target, np.flatnonzero(kept))
        targets, weights = unit_targets(memory.targets), memory.weights
        own, place = amounts[memory.rows], self.place[memory.rows]
        linked = np.flatnonzero(place >= 0)
        among = gaussian_kernel(own @ own.T, FORMULA_GAMMA)
        across = gaussian_kernel(self.formula @ own.T, FORMULA_GAMMA)
        found = {"like formula": KernelRidge.fit(targets, weights, among, FORMULA_RIDGE).predict(across)}
        for name, likeness, ridge in (
            ("like bonds", self.bonds, NEAR_RIDGE),
            ("like structure", self.together, NEAR_RIDGE),
            ("like structure far", self.together, FAR_RIDGE),
        ):
            kernel, of_library = among.copy(), across.copy()
            kernel[np.ix_(linked, linked)] += likeness[np.ix_(self.own[place[linked]], place[linked])]
            of_library[:, linked] += likeness[:, place[linked]]
            found[name] = KernelRidge.fit(targets, weights, kernel, ridge).predict(of_library)
        kernel = self.alone[np.ix_(self.own[place[linked]], place[linked])]
        fit = KernelRidge.fit(targets[linked], weights[linked], kernel, KNOWN_RIDGE)
        return {**found, "known structure": fit.predict(self.alone[:, place[linked]])}
