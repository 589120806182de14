"""Batches of materials for the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectroflow.config import TrainConfig
from spectroflow.materials.composition import ELEMENTS
from spectroflow.models.augment import augment
from spectroflow.models.data import TrainingData
from spectroflow.models.features import composition_features

Int = npt.NDArray[np.int64]
TOLD = 0.3  # share of the steps in which the composition is heard


@dataclass(frozen=True)
class Batch:
    """One spectrum per modality and material, where the material has one.

    Attributes
    ----------
    rows
        ``{modality: (present,)}`` rows of the training data.
    place
        ``{modality: (present,)}`` which material of the batch each belongs to.
    clean, seen
        ``{modality: (values, valid, lines)}`` as measured, and as the encoders see it.
    formula, hint
        ``(size, elements)`` composition features: the formula's, and those that the encoder sees (the
        formula's or only the elements'); zero rows where unknown.
    size
        Materials in the batch.
    source
        Modality that encodes in this step, or None: all that are present.
    told
        Whether the composition encodes, too.
    comb
        ``{modality: slice}`` grid points at which the decoders render in this step: every second or fifth,
        say, from a random first one. Lines are wider than that, and rendering is most of the cost.
    """

    rows: dict[str, Int]
    place: dict[str, Tensor]
    clean: dict[str, tuple[Tensor, Tensor, Tensor]]
    seen: dict[str, tuple[Tensor, Tensor, Tensor]]
    formula: Tensor
    hint: Tensor
    size: int
    source: str | None
    told: bool
    comb: dict[str, slice]

    def digests(self, data: TrainingData) -> list[str]:
        """Return the digests of all records in the batch."""
        return [data.spectra[name].digest[row] for name, rows in self.rows.items() for row in rows]


class Batches:
    """Random batches of materials; everything lies on the device, so a batch costs a few gathers."""

    def __init__(self, data: TrainingData, rows: Mapping[str, Int], config: TrainConfig, device: str) -> None:
        self.modalities, self.config, self.device = data.modalities, config, device
        self.arrays = {
            name: tuple(
                torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=device)
                for array in (table.values, table.valid, table.lines)
            )
            for name, table in data.spectra.items()
        }
        self.strides = {
            name: max(1, round(modality.grid.points / config.render_points))
            for name, modality in data.modalities.items()
        }
        self.features = {
            track: {
                name: torch.as_tensor(composition_features(fractions, track), device=device)
                for name, fractions in data.composition.items()
            }
            for track in ("elements", "formula")
        }
        self.rows_of: dict[str, dict[int, Int]] = {}
        for name, chosen in rows.items():
            material = data.material[name][chosen]
            self.rows_of[name] = {int(m): chosen[material == m] for m in np.unique(material)}
        measured = np.concatenate([np.asarray(list(table), np.int64) for table in self.rows_of.values()])
        self.materials, times = np.unique(measured, return_counts=True)
        self.paired, self.unpaired = self.materials[times > 1], self.materials[times == 1]
        # Without any pair, reconstruction is all there is to learn.
        wanted = round(config.unpaired * len(self.paired)) if len(self.paired) else len(self.unpaired)
        self.drawn = min(wanted, len(self.unpaired))
        self.steps = max(1, round((len(self.paired) + self.drawn) / config.batch))

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield materials once, in random order, with a random spectrum of each modality.

        Every material that was measured in several modalities takes part, and some of the others, drawn anew
        for each epoch.
        """
        rng = np.random.default_rng((seed, epoch))
        others = rng.choice(self.unpaired, self.drawn, replace=False)
        taking_part = np.concatenate([self.paired, others])
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        for chosen in np.array_split(rng.permutation(taking_part), self.steps):
            rows: dict[str, Int] = {}
            place: dict[str, Tensor] = {}
            for name, table in self.rows_of.items():
                at = [i for i, m in enumerate(chosen) if int(m) in table]
                rows[name] = np.asarray([rng.choice(table[int(chosen[i])]) for i in at], np.int64)
                place[name] = torch.as_tensor(at, dtype=torch.long, device=self.device)
            present = [name for name in rows if len(rows[name])]
            source = present[rng.integers(len(present))] if rng.random() < 0.9 else None
            clean = {n: self._take(n, r) for n, r in rows.items() if len(r)}
            seen = {n: augment(*clean[n], self.modalities[n], self.config.augment, generator) for n in present}
            rows = {n: rows[n] for n in present}
            formula, elements = (
                self._composition(track, rows, place, len(chosen)) for track in ("formula", "elements")
            )
            hint = elements if rng.random() < 0.5 else formula
            told = bool(rng.random() < TOLD)
            comb = {n: slice(int(rng.integers(stride)), None, stride) for n, stride in self.strides.items()}
            yield Batch(rows, place, clean, seen, formula, hint, len(chosen), source, told, comb)

    def some(self, most: int = 128) -> Batch:
        """Return the first spectrum of each modality of the first materials, unchanged."""
        index = {int(m): i for i, m in enumerate(self.materials[:most])}
        chosen = {n: [m for m in sorted(table) if m in index] for n, table in self.rows_of.items()}
        rows = {n: np.asarray([self.rows_of[n][m][0] for m in ms], np.int64) for n, ms in chosen.items() if ms}
        place = {n: torch.as_tensor([index[m] for m in chosen[n]], dtype=torch.long, device=self.device) for n in rows}
        clean = {n: self._take(n, r) for n, r in rows.items()}
        size = len(index)
        formula = self._composition("formula", rows, place, size)
        return Batch(rows, place, clean, clean, formula, formula, size, None, False, {n: slice(None) for n in rows})

    def _composition(self, track: str, rows: dict[str, Int], place: dict[str, Tensor], size: int) -> Tensor:
        result = torch.zeros(size, len(ELEMENTS), device=self.device)
        for name in rows:
            feature = self.features[track][name][torch.as_tensor(rows[name], device=self.device)]
            known = feature.any(dim=1)
            result[place[name][known]] = feature[known]
        return result

    def _take(self, name: str, rows: Int) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.as_tensor(rows, device=self.device)
        values, valid, lines = self.arrays[name]
        return values[index], valid[index], lines[index]
