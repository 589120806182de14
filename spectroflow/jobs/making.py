"""What makes spectra in the transfer job: a model, alone or with a library of structures, and what is known besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.config import Config
from spectroflow.errors import ModelError, UsageError
from spectroflow.jobs.library_files import load_library
from spectroflow.jobs.model_files import load_generator, require_direction
from spectroflow.materials.composition import fractions, parse_all
from spectroflow.modality import lookup, resolve
from spectroflow.models.features import TRACKS
from spectroflow.models.generator import Generated, Generator
from spectroflow.models.library import LibraryGenerator, PhaseFinder
from spectroflow.models.library.ranking import best, require_linked
from spectroflow.models.library.structures import StructureLibrary, require_wavelengths
from spectroflow.models.naming import MaterialNamer
from spectroflow.models.preprocess import prepare
from spectroflow.storage import Location

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Facts = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is used besides the spectrum.

    Attributes
    ----------
    track
        ``spectrum``, ``elements`` or ``formula``: how much of a record's formula may be used.
    library, version
        A structure library and the version of it to read, or None.
    """

    track: str = "spectrum"
    library: Location | None = None
    version: int | None = None

    def described(self) -> dict[str, Any]:
        """Return what decides the result, for digests; nothing where only the spectrum is used."""
        known = {} if self.track == "spectrum" else {"track": self.track}
        return known if self.library is None else {**known, "library": str(self.library), "version": self.version}


@dataclass(slots=True)
class Maker:
    """Makes spectra of one modality from those of another.

    Parameters
    ----------
    model
        Directory of a generator.
    knowledge
        What is used besides the spectrum.
    config
        The whole configuration.
    device
        Where networks run.
    """

    model: Location
    knowledge: Knowledge
    config: Config
    device: str = "cpu"
    _generator: Generator | None = field(default=None, repr=False)
    _library: LibraryGenerator | None = field(default=None, repr=False)
    _finders: dict[str, PhaseFinder] = field(default_factory=dict, repr=False)
    _namers: dict[str, MaterialNamer] = field(default_factory=dict, repr=False)
    _direction: tuple[str, str] | None = field(default=None, repr=False)

    def open(self) -> None:
        """Read the model, and the library if there is one."""
        self._generator = load_generator(self.model, device=self.device)
        if self.knowledge.library is not None:
            structures = load_library(self.knowledge.library, self.knowledge.version)
            holds = self.config.transfer.library_holds
            self._library = LibraryGenerator(self._generator, structures, holds=holds)

    def make(
        self, values: Float, valid: Bool, lines: Float, composition: Float, source: str, target: str
    ) -> tuple[Generated, Facts]:
        """Generate spectra, and return what the record of each should say of where they came from.

        Parameters
        ----------
        values, valid, lines
            As :meth:`Generator.generate` takes them.
        composition
            ``(n, elements)``, NaN rows where unknown; of no effect where only the spectrum is used.
        """
        assert self._generator is not None, "open() comes first"
        if self._direction != (source, target):
            self._generator.forget_kernels()
            self._direction = (source, target)
        track, batch = self.knowledge.track, self.config.transfer.batch
        facts = self._materials(values, valid, source)
        if self._library is None:
            made = self._generator.generate(
                values, valid, lines, source, target, composition=composition, track=track, batch=batch
            )
            return made, facts
        found = self._library.generate(
            values, valid, lines, source, target, composition=composition, track=track, batch=batch
        )
        for row, (named, present) in enumerate(zip(self._named(found.probability), found.present, strict=True)):
            facts[row] |= {"structures": named, "structure_in_library": round(float(present), 4)}
        for row, phases in enumerate(self._phases(values, valid, source)):
            facts[row] |= phases
        return found.generated, facts

    def _materials(self, values: Float, valid: Bool, source: str) -> Facts:
        """Return the training materials that each spectrum may be of; nothing where the model cannot tell."""
        assert self._generator is not None
        settings = self.config.transfer
        if source not in self._generator.naming or not settings.materials_named:
            return [{} for _ in values]
        if source not in self._namers:
            self._namers[source] = MaterialNamer(self._generator, source)
        most, known = settings.materials_named, settings.material_known
        return [
            {
                "materials": [{"name": name, "probability": round(p, 4)} for name, p in one.materials],
                "material_known": round(one.known, 4),
            }
            for one in self._namers[source].name(values, valid, most=most, known=known, batch=settings.batch)
        ]

    def _named(self, probability: npt.NDArray[np.float64]) -> list[Facts]:
        assert self._library is not None
        library = self._library.library
        return [
            [self._name(library.labels[i] or library.names[i], i, probability=p) for i, p in row]
            for row in best(probability, self.config.transfer.library_names)
        ]

    def _phases(self, values: Float, valid: Bool, source: str) -> Facts:
        assert self._library is not None
        library, modality = self._library.library, self._library.generator.modalities[source]
        if modality.wavelengths is None:
            return []
        if source not in self._finders:
            self._finders[source] = PhaseFinder(library, modality)
        found = self._finders[source].find(prepare(values, valid, modality), valid)
        return [
            {
                "phases": [
                    self._name(library.labels[i] or library.names[i], i, share=share)
                    for i, share in zip(phases.structures, phases.shares, strict=True)
                ],
                "phases_explain": round(phases.explained, 4),
            }
            for phases in found
        ]

    def _name(self, name: str, structure: int, **figures: float) -> dict[str, Any]:
        assert self._library is not None
        formula = self._library.library.formulas[structure]
        return {"name": name, "formula": formula, **{key: round(value, 4) for key, value in figures.items()}}


def compositions(formulas: list[str | None]) -> tuple[Float, list[str]]:
    """Return atomic fractions, ``(n, elements)``, and of each whether it is ``known``, ``absent`` or ``unreadable``."""
    texts = [text or "" for text in formulas]
    parsed = parse_all(texts)
    state = [
        "known" if amounts else "unreadable" if text else "absent" for text, amounts in zip(texts, parsed, strict=True)
    ]
    return fractions(parsed), state


def require_possible(
    generator: Generator, pairs: list[tuple[str, str]], knowledge: Knowledge, config: Config
) -> list[tuple[str, str]]:
    """Return the directions to make, or say why one cannot be.

    Raises
    ------
    UsageError
        There is no such track.
    ModelError
        The model knows no compositions, or was not trained for a direction, or has another grid.
    InvalidInput
        The library does not reach far enough for the wavelength of the configuration, or holds the structures of
        too few training materials.
    """
    modalities = resolve(config.modality)
    track = knowledge.track
    if track not in TRACKS:
        raise UsageError(f"there is no track {track!r}", remedy=f"Choose among {', '.join(TRACKS)}.")
    if track not in generator.tracks:
        raise ModelError(
            f"this model knows no track {track!r}",
            remedy=f"It knows {', '.join(generator.tracks)}; the others need formulas in training.",
        )
    structures = None if knowledge.library is None else load_library(knowledge.library, knowledge.version)
    directions = pairs or generator.directions
    for source, target in directions:
        for name in (source, target):
            lookup(name, modalities)
        diffraction = generator.modalities[target].wavelengths if target in generator.modalities else None
        if structures is None or diffraction is None or source not in generator.modalities:
            require_direction(generator, source, target, modalities)
        if structures is not None:
            known = structures.links(generator.data)
            require_linked(
                len(known.keys() & set(generator.data.material[source].tolist())), generator.config.folds, source
            )
            for name in (source, target):
                _require_wavelengths(structures, generator, name, config)
            if diffraction is None and "formula" not in generator.tracks:
                raise ModelError(
                    f"{source} to {target}: this model knows no compositions, which is what a library would tell it",
                    remedy="Train on an archive with formulas, or leave out --library.",
                )
    return list(directions)


def _require_wavelengths(structures: StructureLibrary, generator: Generator, name: str, config: Config) -> None:
    trained, asked = generator.modalities[name], resolve(config.modality)[name]
    if trained.wavelengths != asked.wavelengths:
        raise ModelError(
            f"the model was trained on {name} at wavelengths {trained.wavelengths}, the configuration has "
            f"{asked.wavelengths}",
            remedy=f"Set modality.{name}.wavelengths as in training, or train again.",
        )
    if trained.wavelengths is not None:
        require_wavelengths(structures, trained)
