"""What a model is trained on: the spectra of an archive, as every worker reads them for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectroflow.archive import Archive
from spectroflow.config import Config
from spectroflow.errors import InvalidInput
from spectroflow.jobs.grids import load_spectra, names_of
from spectroflow.modality import lookup, resolve
from spectroflow.models.data import TrainingData
from spectroflow.models.selection import Names, choose
from spectroflow.storage import Location


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """Names the training data without holding them, so that it is small enough to send to workers.

    Attributes
    ----------
    archive, version
        Where the spectra are.
    modalities
        Which ones, in the order in which the model keeps them.
    where
        Filter on the record table.
    config
        The whole configuration.
    """

    archive: Location
    version: int
    modalities: tuple[str, ...]
    where: str | None
    config: Config

    def load(self) -> TrainingData:
        """Read the spectra, of very many a choice, and tie them together by sample and material.

        Raises
        ------
        InvalidInput
            A modality has no usable spectrum.
        """
        opened = Archive(self.archive, self.version)
        known = resolve(self.config.modality)
        chosen = {name: lookup(name, known) for name in self.modalities}
        names = self._names(opened)
        kept = choose(names, self.config.train.most_spectra)
        spectra = {name: load_spectra(opened, modality, self.where, kept[name]) for name, modality in chosen.items()}
        for name, table in spectra.items():
            if not len(table):
                raise InvalidInput(
                    f"there is no usable {name} spectrum with a label or a sample",
                    where=str(self.archive),
                    remedy="Check --where, and give labels with convert --manifest.",
                )
        return TrainingData.build(chosen, spectra)

    def offered(self) -> dict[str, int]:
        """Return how many spectra of each modality there are to choose from."""
        return {name: len(names) for name, names in self._names(Archive(self.archive, self.version)).items()}

    def _names(self, opened: Archive) -> dict[str, Names]:
        return {name: names_of(opened, name, self.where) for name in self.modalities}


def modalities_for(opened: Archive, pairs: Sequence[tuple[str, str]], config: Config) -> tuple[str, ...]:
    """Return the modalities that directions need, or all that the archive has, sorted.

    Raises
    ------
    InvalidInput
        The archive lacks one of them.
    """
    known = resolve(config.modality)
    wanted = sorted({name for pair in pairs for name in pair}) or [n for n in opened.modalities if n in known]
    for name in wanted:
        lookup(name, known)
        if not opened.segments(name):
            raise InvalidInput(
                f"the archive has no {name} spectra",
                where=str(opened.root),
                remedy=f"It has {', '.join(opened.modalities) or 'none at all'}.",
            )
    return tuple(wanted)
