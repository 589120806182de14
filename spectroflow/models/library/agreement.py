"""What a spectrum and a structure have to do with each other, learned from training materials.

For every spectrum and every structure of the library there is one number from each of these:

=============  ==================================================================================
composition    what the spectrum says about amounts of elements, against the structure's
presence       what it says about which elements there are, as a log likelihood
bonds, order,  what it says about bond lengths, symmetry and structure type, against the
type           structure's (:mod:`spectroflow.materials.traits`)
formula says   the spectrum that the structure's composition lets expect, against the measured one
structure says the same from composition, bonds, type and order, learned from materials of known structure
pattern ...    for diffraction, the computed pattern against the measured one
elements       share of the elements heavier than oxygen that differ, where they are known
amounts        likeness of the formulas, where the formula is known
=============  ==================================================================================

None of them alone is worth much but the pattern and the elements; :mod:`.ranking` weighs them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from spectroflow.materials.composition import OXYGEN
from spectroflow.materials.traits import block
from spectroflow.models.baselines import gaussian_kernel, laplacian_kernel
from spectroflow.models.experts import LAPLACE_GAMMA
from spectroflow.models.features import KINDS, composition_features, spectrum_features, unit
from spectroflow.models.generator import Generator, Query
from spectroflow.models.library.diffraction import PatternMatcher
from spectroflow.models.library.structures import StructureLibrary
from spectroflow.models.memory import material_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

RIDGE, BACK_RIDGE = 0.2, 0.3
COMPOSITION_GAMMA = 3.0
FORMULA_GAMMA, BONDS_GAMMA, TYPE_GAMMA = 6.0, 12.0, 8.0
ALONE = 0.2  # how far spectra of samples with other elements are compared all the same
_SURE = 0.02  # no element is less likely there, or not there, than this


class Agreement:
    """Agreement of the spectra of one modality with the structures of a library.

    Parameters
    ----------
    generator
        Gives the training materials, their features and folds.
    library
        The structures.
    source
        Modality of the spectra.
    """

    def __init__(self, generator: Generator, library: StructureLibrary, source: str) -> None:
        self.generator, self.library, self.source = generator, library, source
        self.material = generator.data.material[source]
        self.links = library.links(generator.data)
        first = {material: int(rows[0]) for material, rows in self.links.items()}
        self.structure = np.array([first.get(int(m), -1) for m in self.material], np.int64)
        self.features = generator.views.features(source)
        self.formula = composition_features(library.composition, "formula")
        self.elements = library.composition[:, OXYGEN:] > 0
        modality = generator.modalities[source]
        self._matcher = PatternMatcher(library, modality) if modality.wavelengths else None
        self._fits: dict[tuple[tuple[int, ...], str], _Fit] = {}

    def scores(self, query: Query, without: tuple[int, ...]) -> dict[str, Double]:
        """Return the agreements of queries with all structures, ``{name: (queries, structures)}``.

        Parameters
        ----------
        query
            Prepared spectra of the source modality, and what is known of their composition in its track;
            in another track than ``spectrum`` it must be known of all.
        without
            Folds of training materials that nothing may be learned from.
        """
        found = self._fit(without, query.track).scores(query)
        if self._matcher is not None:
            found |= {name: value.astype(np.float64) for name, value in self._matcher.agreement(query.values).items()}
        if query.track != "spectrum":
            there = query.composition[:, OXYGEN:] > 0
            differ = (there[:, None] ^ self.elements[None]).sum(axis=2)
            found["elements"] = -10.0 * differ / np.maximum((there[:, None] | self.elements[None]).sum(axis=2), 1)
        if query.track == "formula":
            likeness = composition_features(query.composition, "formula") @ self.formula.T
            found["amounts"] = -10.0 * np.sqrt(np.maximum(2 - 2 * likeness.astype(np.float64), 0.0))
        return found

    def _fit(self, without: tuple[int, ...], track: str) -> _Fit:
        key = (tuple(sorted(without)), track)
        if key not in self._fits:
            self._fits[key] = _Fit(self, np.flatnonzero(~np.isin(self.generator.folds[self.source], without)), track)
        return self._fits[key]


class _Fit:
    """What is learned from some of the training rows, for one track."""

    def __init__(self, owner: Agreement, rows: Int, track: str) -> None:
        self.owner, self.track = owner, track
        amounts = owner.generator.views.compositions(owner.source)["formula"]
        self.told = rows[amounts[rows].any(axis=1)]
        self.linked = rows[owner.structure[rows] >= 0]
        if track != "spectrum":
            self.linked = self.linked[amounts[self.linked].any(axis=1)]
        library = owner.library
        self.blocks = {name: block(library.traits, name) for name in ("bonds", "order", "type")}
        own = amounts[self.told]
        self._composition = self._forward(self.told, np.hstack([own, (own > 0).astype(np.float32)]))
        self._traits = self._forward(self.linked, library.traits[owner.structure[self.linked]])
        views = _views(owner.features)
        kernel = gaussian_kernel(own @ own.T, COMPOSITION_GAMMA)
        of_library = gaussian_kernel(owner.formula @ own.T, COMPOSITION_GAMMA)
        weights = self._weights(self.told)
        self.by_formula = _Expected(views["fine"][self.told], weights, kernel, of_library)
        known = owner.structure[self.linked]
        kernel, of_library = (structure_kernel(library, a, known) for a in (known, np.arange(len(library))))
        weights = self._weights(self.linked)
        self.by_structure = {
            name: _Expected(view[self.linked], weights, kernel, of_library) for name, view in views.items()
        }

    def scores(self, query: Query) -> dict[str, Double]:
        owner = self.owner
        seen = spectrum_features(query.values, owner.generator.modalities[owner.source])
        elements = composition_features(query.composition, "elements")
        width = owner.formula.shape[1]
        said = self._predict(self._composition, self.told, seen, elements)
        likely = np.clip(said[:, width:], _SURE, 1 - _SURE).astype(np.float64)
        there = owner.library.composition > 0
        told = self._predict(self._traits, self.linked, seen, elements)
        views = _views(seen)
        found = {
            "composition": unit(said[:, :width], centre=False) @ owner.formula.T,
            "presence": (np.log(likely) @ there.T + np.log(1 - likely) @ (~there).T) / 10,
            "order": -((block(told, "order")[:, None] - self.blocks["order"][None]) ** 2).sum(axis=2),
            "formula says": self.by_formula(views["fine"]),
            **{f"structure says, {name}": self.by_structure[name](view) for name, view in views.items()},
        }
        for name in ("bonds", "type"):
            found[name] = unit(block(told, name), centre=False) @ unit(self.blocks[name], centre=False).T
        return {name: np.asarray(value, np.float64) for name, value in found.items()}

    def _forward(self, rows: Int, targets: Float) -> tuple[Float, Float]:
        """Fit a kernel ridge regression from spectra to what is known of their structures."""
        weights = self._weights(rows)
        mean = np.average(targets, axis=0, weights=weights).astype(np.float32)
        kernel = self._kernel(
            {kind: value[rows] for kind, value in self.owner.features.items()}, self._elements(rows), rows
        )
        regular = kernel + np.diag((RIDGE / weights).astype(np.float32))
        return np.asarray(cho_solve(cho_factor(regular, lower=True), targets - mean), np.float32), mean

    def _predict(self, fit: tuple[Float, Float], rows: Int, seen: Mapping[str, Float], elements: Float) -> Float:
        dual, mean = fit
        return np.asarray(mean + self._kernel(seen, elements, rows) @ dual, np.float32)

    def _kernel(self, seen: Mapping[str, Float], elements: Float, rows: Int) -> Float:
        own = self.owner.features
        views = [laplacian_kernel(seen[kind] @ own[kind][rows].T, LAPLACE_GAMMA) for kind in KINDS]
        kernel: Float = np.mean(views, axis=0, dtype=np.float32)
        if self.track != "spectrum":
            # Like spectra mean like structures among like elements.
            kernel = kernel * (gaussian_kernel(elements @ self._elements(rows).T, COMPOSITION_GAMMA) + ALONE)
        return kernel

    def _elements(self, rows: Int) -> Float:
        known: Float = self.owner.generator.views.compositions(self.owner.source)["elements"][rows]
        return known

    def _weights(self, rows: Int) -> Double:
        return material_weights(self.owner.material[rows])


class _Expected:
    """The spectrum that each structure lets expect, and how like it a measured one is."""

    def __init__(self, views: Float, weights: Double, kernel: Float, of_library: Float) -> None:
        self.mean = np.average(views, axis=0, weights=weights).astype(np.float32)
        regular = kernel + np.diag((BACK_RIDGE / weights).astype(np.float32))
        dual = cho_solve(cho_factor(regular, lower=True), views - self.mean)
        self.expected = unit(of_library @ dual, centre=False)

    def __call__(self, views: Float) -> Float:
        return np.asarray((views - self.mean) @ self.expected.T, np.float32)


def structure_kernel(library: StructureLibrary, a: Int, b: Int) -> Float:
    """Return the likeness of structures ``a`` and ``b`` in composition, bonds, type and order, ``(len(a), len(b))``."""
    formula = composition_features(library.composition, "formula")
    total = gaussian_kernel(formula[a] @ formula[b].T, FORMULA_GAMMA)
    for name, gamma in (("bonds", BONDS_GAMMA), ("type", TYPE_GAMMA)):
        trait = unit(block(library.traits, name), centre=False)
        total = total + gaussian_kernel(trait[a] @ trait[b].T, gamma)
    return total + order_kernel(library, a, b)


def order_kernel(library: StructureLibrary, a: Int, b: Int) -> Float:
    """Return ``exp(-|difference of order|^2)`` of structures ``a`` and ``b``."""
    order = block(library.traits, "order")
    square = (order**2).sum(axis=1)
    return np.asarray(np.exp(2 * order[a] @ order[b].T - square[a][:, None] - square[b][None]), np.float32)


def _views(features: Mapping[str, Float]) -> dict[str, Float]:
    """Return what expected and measured spectra are compared by: which lines there are, and where there is anything."""
    return {"fine": unit(features["local"] + features["shape"]), "broad": features["weak"]}
