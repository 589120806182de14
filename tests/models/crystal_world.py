"""A small world of binary crystals: structure type and elements decide every modality, so all can be learned."""

from __future__ import annotations

import numpy as np

from spectroflow.materials.cif import read_cif
from spectroflow.materials.composition import ATOMIC_NUMBER
from spectroflow.materials.crystal import Crystal
from spectroflow.materials.powder import Widths
from spectroflow.modality import Modality, builtin
from spectroflow.models.data import SpectraOf, TrainingData, spectra_of
from spectroflow.models.library import StructureLibrary
from tests.materials.cifs import cif, cubic

CATIONS = ("Na", "Mg", "Ca", "Fe", "Zn", "Sr")
ANIONS = ("S", "Cl", "Se")
TYPES = {
    "halite": ("F m -3 m", ((0, 0, 0), (0.5, 0.5, 0.5)), 2.0),
    "caesium": ("P m -3 m", ((0, 0, 0), (0.5, 0.5, 0.5)), 1.2),
    "sphalerite": ("F -4 3 m", ((0, 0, 0), (0.25, 0.25, 0.25)), 2.2),
}
STEPS = {"raman": 10.0, "ir": 10.0, "xrd": 0.1}


def modalities() -> dict[str, Modality]:
    """Coarse grids, so that it is quick."""
    return {
        name: builtin()[name].model_copy(
            update={
                "grid": builtin()[name].grid.model_copy(
                    update={"step": step, "start": 20.0 if name == "xrd" else 100.0 if name == "raman" else 400.0}
                )
            }
        )
        for name, step in STEPS.items()
    }


def crystals() -> dict[str, Crystal]:
    """Three polymorphs of every pair of elements."""
    found = {}
    for cation in CATIONS:
        for anion in ANIONS:
            for kind, (group, (first, second), factor) in TYPES.items():
                size = 0.9 * (ATOMIC_NUMBER[cation] ** 0.2 + ATOMIC_NUMBER[anion] ** 0.2)
                name = f"{cation}{anion}-{kind}"
                text = cif(name, cubic(round(factor * size, 4)), group, [(cation, *first), (anion, *second)])
                found[name] = read_cif(text)[0]
    return found


def library(extra: int = 0) -> StructureLibrary:
    """All structures, with their names as labels."""
    table = crystals()
    return StructureLibrary.of(list(table.values()), 0.95, labels=list(table))


def world(zero: float = 0.05, samples: int = 1, seed: int = 0) -> TrainingData:
    """Measured spectra of all crystals in three modalities."""
    rng = np.random.default_rng(seed)
    known, names = modalities(), list(crystals())
    structures = library()
    xrd = structures.patterns(known["xrd"], Widths.plain(0.25), zero)
    spectra: dict[str, SpectraOf] = {}
    for modality in ("ir", "raman", "xrd"):
        axis = known[modality].grid.axis()
        values, labels, ids, formulas = [], [], [], []
        for i, name in enumerate(names):
            for sample in range(samples):
                clean = xrd[i] if modality == "xrd" else vibrations(name, axis, modality)
                values.append(100 * (clean + 0.1) + rng.normal(0, 0.5, axis.size))
                labels.append(name)
                ids.append(f"S{i:03d}{sample}")
                formulas.append(name.split("-")[0])
        spectra[modality] = spectra_of(
            known[modality],
            np.asarray(values, np.float32),
            np.ones((len(values), axis.size), bool),
            sample=ids,
            label=labels,
            digest=[f"{modality}-{one}" for one in ids],
            formula=formulas,
        )
    return TrainingData.build(known, spectra)


def vibrations(name: str, axis: np.ndarray, modality: str) -> np.ndarray:
    """A line for the cation, one for the anion and one for the structure type."""
    elements, kind = name.split("-")
    anion = next(each for each in ANIONS if elements.endswith(each))
    cation = elements.removesuffix(anion)
    low, span = axis[0], axis[-1] - axis[0]
    share = (CATIONS.index(cation) / 6, ANIONS.index(anion) / 3, list(TYPES).index(kind) / 3)
    places = [low + span * (0.05 + offset + 0.25 * part) for offset, part in zip((0.0, 0.3, 0.65), share, strict=True)]
    heights = (1.0, 0.7, 0.9) if modality == "raman" else (0.6, 1.0, 0.8)
    return np.sum(
        [h * np.exp(-2.77 * ((axis - p) / (span / 30)) ** 2) for p, h in zip(places, heights, strict=True)], axis=0
    )
