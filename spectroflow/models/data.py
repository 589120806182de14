"""Training data as plain arrays: spectra of several modalities, tied by sample and material."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput
from spectroflow.modality import Modality
from spectroflow.models.folds import Split, deal, group_materials, sample_unit
from spectroflow.models.formulas import KnownFormulas
from spectroflow.models.preprocess import prepare

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

LINE_COLUMNS = ("center", "height", "fwhm", "shape")


@dataclass(frozen=True, slots=True)
class SpectraOf:
    """Spectra of one modality.

    Attributes
    ----------
    values
        ``(n, points)`` float32 as prepared by :func:`spectroflow.models.preprocess.prepare`.
    valid
        ``(n, points)``, True where measured.
    lines
        ``(n, slots, 4)`` float32: centre and width in axis units, height as measured, Lorentzian
        fraction; NaN in unused slots. Zero slots where no lines are known.
    sample, label, digest, formula
        ``(n,)`` each; empty strings where unknown.
    """

    values: Float
    valid: Bool
    lines: Float
    sample: tuple[str, ...]
    label: tuple[str, ...]
    digest: tuple[str, ...]
    formula: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int) -> SpectraOf:
        """Return some of the rows."""
        return SpectraOf(
            self.values[rows],
            self.valid[rows],
            self.lines[rows],
            *(tuple(column[i] for i in rows) for column in (self.sample, self.label, self.digest, self.formula)),
        )


@dataclass(frozen=True)
class TrainingData:
    """Spectra of all modalities and what ties them together.

    Attributes
    ----------
    modalities
        What each modality is, in the order in which the model keeps them.
    spectra
        ``{modality: SpectraOf}``; a modality may be empty of rows, not missing.
    material
        ``{modality: (n,) int64}``, index into ``materials``.
    materials
        Names of the groups that share a label or a sample.
    composition
        ``{modality: (n, elements)}`` atomic fractions; NaN rows where unknown. A spectrum without a formula
        of its own takes that of its sample, or of its label.
    """

    modalities: Mapping[str, Modality]
    spectra: Mapping[str, SpectraOf]
    material: Mapping[str, Int] = field(repr=False)
    materials: tuple[str, ...] = field(repr=False)
    composition: Mapping[str, Float] = field(repr=False)

    @classmethod
    def build(cls, modalities: Mapping[str, Modality], spectra: Mapping[str, SpectraOf]) -> TrainingData:
        """Tie spectra together by label and sample.

        Raises
        ------
        InvalidInput
            There is no spectrum at all, an array does not fit its modality's grid, or a spectrum has
            neither label nor sample.
        """
        for name, table in spectra.items():
            if table.values.shape != (len(table.label), modalities[name].grid.points):
                raise InvalidInput(
                    f"{name}: spectra of shape {table.values.shape} do not fit a grid of "
                    f"{modalities[name].grid.points} points",
                    remedy="Resample them to the modality's grid.",
                )
        if not sum(map(len, spectra.values())):
            raise InvalidInput("there is no spectrum to learn from", remedy="Check --where and the archive.")
        groups = group_materials(
            [label for table in spectra.values() for label in table.label],
            [sample for table in spectra.values() for sample in table.sample],
        )
        names, index = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
        ends = np.cumsum([len(table) for table in spectra.values()])[:-1]
        parts = np.split(index.astype(np.int64), ends)
        return cls(
            {name: modalities[name] for name in spectra},
            dict(spectra),
            dict(zip(spectra, parts, strict=True)),
            tuple(str(name) for name in names),
            _compositions(spectra),
        )

    def folds(self, count: int, seed: int, split: Split = "species") -> dict[str, Int]:
        """Return ``{modality: (n,) fold}``; what stays whole is what ``split`` says, see :mod:`.folds`."""
        units = [unit for name in self.spectra for unit in self._units(name, split)]
        what = {"species": "materials", "sample": "samples", "paper": "spectra"}[split]
        ends = np.cumsum([len(table) for table in self.spectra.values()])[:-1]
        return dict(zip(self.spectra, np.split(deal(units, count, seed, what), ends), strict=True))

    def units(self, name: str, split: Split = "species") -> Int:
        """Return ``(n,)`` numbers of what ``split`` keeps whole, the same in all modalities."""
        known = sorted({unit for table in self.spectra for unit in self._units(table, split)})
        number = {unit: i for i, unit in enumerate(known)}
        return np.asarray([number[unit] for unit in self._units(name, split)], np.int64)

    def _units(self, name: str, split: Split) -> list[str]:
        table = self.spectra[name]
        if split == "species":
            return [self.materials[i] for i in self.material[name]]
        if split == "sample":
            return [":".join(sample_unit(*names)) for names in zip(table.label, table.sample, strict=True)]
        return [f"{name}:{digest or row}" for row, digest in enumerate(table.digest)]

    def pairs(self, source: str, target: str) -> npt.NDArray[np.int64]:
        """Return ``(pairs, 2)`` rows of source and target that were measured on the same sample.

        Spectra without a sample name are paired by their label.
        """
        wanted: dict[tuple[str, str], list[int]] = {}
        for row, key in enumerate(self._keys(target)):
            wanted.setdefault(key, []).append(row)
        found = [(i, j) for i, key in enumerate(self._keys(source)) for j in wanted.get(key, ())]
        return np.asarray(found, np.int64).reshape(-1, 2)

    def directions(self) -> list[tuple[str, str]]:
        """Return the ordered pairs of modalities that share at least one sample."""
        names = list(self.spectra)
        return [(s, t) for s in names for t in names if s != t and len(self.pairs(s, t))]

    def require_pairs(self, directions: Sequence[tuple[str, str]], folds: int) -> None:
        """Refuse directions that have too few materials to be learned and judged.

        Raises
        ------
        InvalidInput
            A direction has fewer than two paired materials per fold.
        """
        for source, target in directions:
            pairs = self.pairs(source, target)
            count = len(set(self.material[source][pairs[:, 0]].tolist()))
            if count < 2 * folds:
                raise InvalidInput(
                    f"{source} to {target}: {count} materials were measured in both, at least {2 * folds} are needed "
                    f"for {folds} folds",
                    remedy="Add paired spectra, lower train.folds, or leave the direction out with --from and --to.",
                )

    def _keys(self, name: str) -> Iterator[tuple[str, str]]:
        table = self.spectra[name]
        for sample, label in zip(table.sample, table.label, strict=True):
            yield sample_unit(label, sample)


def _compositions(spectra: Mapping[str, SpectraOf]) -> dict[str, Float]:
    known = KnownFormulas()
    for table in spectra.values():
        known.learn(table.sample, table.label, table.formula)
    return {name: known.fractions(table.sample, table.label, table.formula) for name, table in spectra.items()}


def spectra_of(
    modality: Modality,
    values: Float,
    valid: Bool,
    *,
    lines: Float | None = None,
    sample: Sequence[str],
    label: Sequence[str],
    digest: Sequence[str],
    formula: Sequence[str] | None = None,
) -> SpectraOf:
    """Prepare gridded spectra as they were measured.

    Parameters
    ----------
    values, valid
        ``(n, points)`` on the modality's grid and where they were measured.
    lines
        ``(n, slots, >= 4)`` as fitted (:data:`LINE_COLUMNS` first), or None.
    """
    n = len(values)
    kept = np.zeros((n, 0, 4), np.float32) if lines is None else np.asarray(lines[..., :4], np.float32)
    return SpectraOf(
        prepare(values, valid, modality),
        np.asarray(valid, bool),
        kept,
        tuple(sample),
        tuple(label),
        tuple(digest),
        tuple(formula) if formula is not None else ("",) * n,
    )
