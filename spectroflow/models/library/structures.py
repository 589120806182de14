"""A library of known crystal structures, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput
from spectroflow.materials.composition import fractions
from spectroflow.materials.crystal import Crystal
from spectroflow.materials.powder import Wavelengths, Widths, patterns
from spectroflow.materials.reflections import Reflections, reflections
from spectroflow.materials.traits import traits
from spectroflow.modality import Modality
from spectroflow.models.data import TrainingData

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StructureLibrary:
    """Known structures.

    Attributes
    ----------
    names, formulas
        What each is called and what it is made of.
    labels, samples
        Material and sample that each belongs to, where known; empty otherwise.
    composition
        ``(n, elements)`` atomic fractions.
    traits
        ``(n, TRAITS)``, see :mod:`spectroflow.materials.traits`.
    volume
        ``(n,)`` of the cell in angstrom^3, for shares of phases.
    reflections
        Powder lines of each.
    shortest
        Spacing in angstrom down to which the lines are known.
    """

    names: tuple[str, ...]
    formulas: tuple[str, ...]
    labels: tuple[str, ...]
    samples: tuple[str, ...]
    composition: Float = field(repr=False)
    traits: Float = field(repr=False)
    volume: npt.NDArray[np.float64] = field(repr=False)
    reflections: tuple[Reflections, ...] = field(repr=False)
    shortest: float

    @classmethod
    def of(
        cls,
        crystals: Sequence[Crystal],
        shortest: float,
        *,
        labels: Sequence[str] | None = None,
        samples: Sequence[str] | None = None,
    ) -> StructureLibrary:
        """Compute everything from structures."""
        lines = tuple(reflections(crystal, shortest) for crystal in crystals)
        nothing = ("",) * len(crystals)
        return cls(
            tuple(crystal.name for crystal in crystals),
            tuple(crystal.formula for crystal in crystals),
            tuple(labels) if labels is not None else nothing,
            tuple(samples) if samples is not None else nothing,
            fractions([crystal.amounts for crystal in crystals]),
            np.stack([traits(crystal, line) for crystal, line in zip(crystals, lines, strict=True)]),
            np.array([crystal.volume for crystal in crystals]),
            lines,
            shortest,
        )

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Int) -> StructureLibrary:
        """Return some of the structures."""
        chosen = [int(row) for row in rows]
        names, formulas, labels, samples = (
            tuple(column[i] for i in chosen) for column in (self.names, self.formulas, self.labels, self.samples)
        )
        return StructureLibrary(
            names,
            formulas,
            labels,
            samples,
            self.composition[chosen],
            self.traits[chosen],
            self.volume[chosen],
            tuple(self.reflections[i] for i in chosen),
            self.shortest,
        )

    def strongest(self, lines: int) -> StructureLibrary:
        """Return the same structures with their strongest lines only."""
        return replace(self, reflections=tuple(each.strongest(lines) for each in self.reflections))

    def patterns(self, modality: Modality, widths: Widths, zero: float = 0.0) -> Float:
        """Return the powder patterns on the grid of a modality, at its wavelengths, ``(n, points)``, highest point 1.

        Raises
        ------
        InvalidInput
            The modality has no wavelengths, or reaches to smaller spacings than the library.
        """
        wavelengths = require_wavelengths(self, modality)
        axis = modality.grid.axis()
        drawn = patterns(self.reflections, axis, wavelengths=wavelengths, widths=widths, zero=zero)
        return np.asarray(drawn, np.float32)

    def links(self, data: TrainingData) -> dict[int, Int]:
        """Return ``{material: structures}`` of the training materials whose structures the library holds.

        A structure belongs to a material that has its sample, or else its label or its name, whatever the case.
        """
        by_sample: dict[str, set[int]] = {}
        by_label: dict[str, set[int]] = {}
        for i, (name, label, sample) in enumerate(zip(self.names, self.labels, self.samples, strict=True)):
            if sample:
                by_sample.setdefault(sample, set()).add(i)
            for text in {label, name} - {""}:
                by_label.setdefault(text.casefold(), set()).add(i)
        found: dict[int, set[int]] = {}
        named: dict[int, set[int]] = {}
        for modality, table in data.spectra.items():
            for material, sample, label in zip(
                data.material[modality].tolist(), table.sample, table.label, strict=True
            ):
                found.setdefault(material, set()).update(by_sample.get(sample, ()) if sample else ())
                named.setdefault(material, set()).update(by_label.get(label.casefold(), ()) if label else ())
        chosen = {material: found[material] or named[material] for material in found}
        return {material: np.array(sorted(rows), np.int64) for material, rows in chosen.items() if rows}


def require_wavelengths(library: StructureLibrary, modality: Modality) -> Wavelengths:
    """Return the wavelengths of a diffraction modality.

    Raises
    ------
    InvalidInput
        It has none, or its axis reaches to smaller spacings than the library's lines.
    """
    if modality.wavelengths is None:
        raise InvalidInput(
            f"{modality.name} has no wavelength, so no pattern of a structure can be computed",
            remedy=f"Set modality.{modality.name}.wavelengths to K-alpha-1, K-alpha-2 and their ratio.",
        )
    least = modality.wavelengths[0] / (2 * np.sin(np.radians(min(modality.grid.stop, 180.0) / 2)))
    if least < library.shortest * (1 - 1e-9):
        raise InvalidInput(
            f"at a wavelength of {modality.wavelengths[0]:g} angstrom {modality.name} reaches to spacings of "
            f"{least:.3f} angstrom, and the library to {library.shortest:g}",
            remedy=f"Build the library again with --set library.shortest={np.floor(least * 100) / 100:g}.",
        )
    return modality.wavelengths
