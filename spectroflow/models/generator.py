"""The generator: what a model directory holds and what it does.

A generator is an ensemble of members, one per fold of the training materials. A member consists of the
networks that never saw its fold, a retrieval memory of all other materials with the kernel experts
fitted on it, and, per direction, a blend with its calibration.

For a material that the training has not seen, all members speak and their mean is the answer. For a
training material, :meth:`Generator.generate_held_out` asks only the member that never saw it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spectroflow.config import TrainConfig
from spectroflow.errors import InvalidInput
from spectroflow.materials.composition import ELEMENTS
from spectroflow.modality import Modality
from spectroflow.models import checkpoint
from spectroflow.models.answer import Answer, mean_answer
from spectroflow.models.blend import Blend
from spectroflow.models.data import TrainingData
from spectroflow.models.experts import KernelExperts, Opinion
from spectroflow.models.features import CLUE_KINDS, TRACKS, composition_features, spectrum_features
from spectroflow.models.fitted import FittedExperts
from spectroflow.models.folds import FoldIndex
from spectroflow.models.generated import Generated, Query, join
from spectroflow.models.known import spectrum_blocks
from spectroflow.models.metric import Blocks, Metric
from spectroflow.models.model_format import BlendKey, MetricKey, generator_files, generator_parts
from spectroflow.models.naming import Naming
from spectroflow.models.preprocess import prepare
from spectroflow.models.ranges import Range, choose_range, cut_data, cut_query
from spectroflow.models.steady import Steady
from spectroflow.models.vae import CrossModalVAE
from spectroflow.models.views import Views

__all__ = ["Generated", "Generator", "Query"]

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]
Direction = tuple[str, str]


class Generator:
    """A trained model; make one with :func:`spectroflow.models.ensemble.fit_generator` or :meth:`load`."""

    def __init__(
        self,
        data: TrainingData,
        config: TrainConfig,
        networks: Mapping[str, CrossModalVAE],
        blends: Mapping[BlendKey, Blend],
        card: Mapping[str, Any],
        *,
        metrics: Mapping[MetricKey, Mapping[str, Metric]] | None = None,
        naming: Mapping[str, Naming] | None = None,
        device: str = "cpu",
        views: Views | None = None,
    ) -> None:
        self.data, self.config, self.blends, self.card, self.device = data, config, dict(blends), dict(card), device
        self.metrics = {key: dict(value) for key, value in (metrics or {}).items()}
        self.naming = dict(naming or {})
        self.networks = {name: network.to(device).eval() for name, network in networks.items()}
        self.folds = data.folds(config.folds, config.seed, config.split)
        self.specialists: dict[Range, Generator] = {}
        self.views = views or Views(data)
        self._fitted = FittedExperts(data, self.views, config, self.folds, self.metrics)

    # What it is

    @property
    def modalities(self) -> Mapping[str, Modality]:
        """What each modality is."""
        return self.data.modalities

    @property
    def directions(self) -> list[Direction]:
        """The directions that it was trained for."""
        return sorted({(source, target) for _, source, target, _ in self.blends})

    @property
    def tracks(self) -> list[str]:
        """What may be known of a sample: ``spectrum``, and where formulas were known in training, the others."""
        return [track for track in TRACKS if any(key[3] == track for key in self.blends)]

    def tracks_of(self, source: str, target: str) -> list[str]:
        """Return the tracks of one direction; one without formulas of enough materials has the spectrum alone."""
        return [track for track in TRACKS if any(key[1:] == (source, target, track) for key in self.blends)]

    @cached_property
    def _fold_index(self) -> FoldIndex:
        return FoldIndex.of(self.data.spectra, self.folds, self.config.split)

    def specialist(self, kept: Range) -> Generator:
        """Return a generator with the same networks for spectra of a range; it has learned nothing else yet."""
        cut = cut_data(self.data, kept)
        views = Views(cut, self.views, kept.modality)
        return Generator(cut, self.config, self.networks, {}, {}, device=self.device, views=views)

    def ranges(self, source: str, target: str, track: str = "spectrum") -> list[Range]:
        """Return the parts of the source's axis that a specialist answers for in a track."""
        return [
            kept
            for kept, special in sorted(self.specialists.items())
            if kept.modality == source and track in special.tracks_of(source, target)
        ]

    def fold_of(self, label: str, sample: str = "", digest: str = "") -> int | None:
        """Return the fold that a record's material, sample or itself was in (as the split says), or None."""
        return self._fold_index.find(label, sample, digest)

    def kernels(self, without: tuple[int, ...], source: str, target: str) -> KernelExperts:
        """Return the kernel experts fitted on all folds but some; fitted when first asked for."""
        return self._fitted.of(without, source, target)

    def steady(self, source: str) -> Steady | None:
        """Return what differs between spectra of one material, learned from all folds."""
        return self._fitted.steady((), source)

    def forget_kernels(self) -> None:
        """Free the memory of the kernel experts; they are fitted again when asked for."""
        self._fitted.forget()
        for special in self.specialists.values():
            special.forget_kernels()

    # What it does

    def generate(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        source: str,
        target: str,
        *,
        composition: Float | None = None,
        track: str = "spectrum",
        batch: int = 64,
        parts: bool = False,
    ) -> Generated:
        """Generate spectra of materials that the training has not seen; all members speak.

        Parameters
        ----------
        values, valid
            ``(n, points)`` on the source's grid as measured, and where they were measured.
        lines
            ``(n, slots, >= 4)`` as fitted, NaN in unused slots, or None.
        composition
            ``(n, elements)`` atomic fractions as :func:`spectroflow.materials.composition.fractions` gives
            them, where the track uses them; a row of NaN is answered from the spectrum alone.
        track
            ``spectrum``, ``elements`` (only which elements heavier than oxygen are there) or ``formula``.
        batch
            Rows that are computed at a time. The last batch is padded, so that a row's result does not
            depend on how many others there are: cut work at multiples of ``batch``, and it is the same to
            the last bit. At another place in a batch it may differ by rounding.
        parts
            Also return every expert alone.

        Raises
        ------
        InvalidInput
            The model was not trained for this direction or track, or the arrays do not fit the grid.
        """
        everyone = [tuple(range(self.config.folds))] * len(values)
        return self._generate(values, valid, lines, (source, target), composition, track, everyone, batch, parts)

    def generate_held_out(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        source: str,
        target: str,
        labels: Sequence[str],
        samples: Sequence[str] | None = None,
        *,
        digests: Sequence[str] | None = None,
        composition: Float | None = None,
        track: str = "spectrum",
        prepared: bool = False,
        batch: int = 64,
        parts: bool = False,
    ) -> Generated:
        """Generate as if no material had been in the training.

        Each row whose label or sample the training knows is done by the one member that never saw it;
        all others by all members. A model whose split is by sample or by record goes by samples or digests
        instead. Parameters as for :meth:`generate`; ``prepared`` says that the values went through
        :func:`spectroflow.models.preprocess.prepare` before, as those of training data did.
        """
        nothing = [""] * len(labels)
        folds = [self.fold_of(*names) for names in zip(labels, samples or nothing, digests or nothing, strict=True)]
        everyone = tuple(range(self.config.folds))
        members = [everyone if fold is None else (fold,) for fold in folds]
        return self._generate(
            values, valid, lines, (source, target), composition, track, members, batch, parts, prepared
        )

    def _generate(
        self,
        values: Float,
        valid: Bool,
        lines: Float | None,
        direction: Direction,
        composition: Float | None,
        track: str,
        members: Sequence[tuple[int, ...]],
        batch: int,
        parts: bool,
        prepared: bool = False,
    ) -> Generated:
        source, target = direction
        self._check(values, valid, source, target, track)
        points = self.modalities[source].grid.points
        known = np.full((len(values), len(ELEMENTS)), np.nan, np.float32)
        if composition is not None and track != "spectrum":
            known[:] = composition
        pieces = []
        for start in range(0, len(values), batch):
            rows = slice(start, min(start + batch, len(values)))
            count = rows.stop - rows.start
            padded, measured = np.zeros((batch, points), np.float32), np.zeros((batch, points), bool)
            padded[:count], measured[:count] = values[rows], valid[rows]
            slots = 0 if lines is None else lines.shape[1]
            padded_lines = np.full((batch, slots, 4), np.nan, np.float32)
            if lines is not None:
                padded_lines[:count] = lines[rows, :, :4]
            elements = np.full((batch, known.shape[1]), np.nan, np.float32)
            elements[:count] = known[rows]
            ready = padded if prepared else prepare(padded, measured, self.modalities[source])
            query = Query(ready, measured, padded_lines, source, target, elements, track)
            speaks = np.zeros((batch, self.config.folds), bool)
            for row, who in enumerate(members[rows]):
                speaks[row, list(who)] = True
            speaks[count:] = True
            pieces.append((count, self._answer(query, speaks, parts)))
        return join(pieces, self.modalities[target].grid.points, self.config.latent)

    def _answer(self, query: Query, speaks: Bool, parts: bool) -> Generated:
        """Answer one batch, rows that show a known part of the axis by the specialist of that range."""
        ranges = self.ranges(query.source, query.target, query.track)
        shown = choose_range(query.valid, ranges)
        answer = self._one_batch(query, speaks, parts)
        for number in np.unique(shown[shown >= 0]).tolist():
            cut = cut_query(query, ranges[number], self.modalities[query.source])
            special = self.specialists[ranges[number]]._one_batch(cut, speaks, parts)
            answer = special.where(shown == number, answer)
        return answer

    def _one_batch(self, query: Query, speaks: Bool, parts: bool) -> Generated:
        source, target = query.source, query.target
        similar = self.similarity(query)
        decoded, latents = self.network_predictions(query)
        blocks = spectrum_blocks(query.values, self.modalities[source])
        answers: list[Answer] = []
        alone: dict[str, Float] = {}
        share = (speaks / speaks.sum(axis=1, keepdims=True)).astype(np.float32)
        told = np.isfinite(query.composition[:, 0])
        for member in range(self.config.folds):
            opinion = self.member_opinion(query, (member,), similar, decoded, blocks)
            nets = [decoded[name] for name in self._blind_networks((member,))]
            spread = np.std(nets, axis=0) / np.sqrt(len(nets))
            answer = Answer.of(opinion, self.blends[member, source, target, "spectrum"], spread)
            if told.any() and query.track != "spectrum":
                knowing = Answer.of(opinion, self.blends[member, source, target, query.track], spread)
                answer = knowing.where(told, answer)
            answers.append(answer)
            if parts:
                for name, value in (opinion.predictions | {"material": answer.material}).items():
                    alone[name] = alone.get(name, np.float32(0)) + value * share[:, member : member + 1]
        latent = np.stack(list(latents.values())).mean(axis=0)
        return mean_answer(answers, share.T, latent, alone, self.modalities[target])

    def similarity(self, query: Query) -> dict[str, Float]:
        """Return the inner products of a query's features with all training spectra, ``{kind: (n, rows)}``."""
        seen = spectrum_features(query.values, self.modalities[query.source], CLUE_KINDS)
        known = self.views.features(query.source)
        return {kind: seen[kind] @ known[kind].T for kind in CLUE_KINDS}

    def member_opinion(
        self,
        query: Query,
        without: tuple[int, ...],
        similar: Mapping[str, Float],
        decoded: Mapping[str, Float],
        blocks: Blocks | None = None,
    ) -> Opinion:
        """Return what every expert says of a query from all folds but some, nothing weighed yet.

        Parameters
        ----------
        without
            One fold: the member of that fold. Two folds: what a member knows without another fold.
        similar
            As :meth:`similarity` returns it.
        decoded
            ``{network: (n, points)}``.
        blocks
            What a metric sees of the query, where it was looked at before.
        """
        kernels = self.kernels(without, query.source, query.target)
        blocks = blocks or spectrum_blocks(query.values, self.modalities[query.source])
        opinion = kernels.predict(similar, blocks, query.composition, query.track)
        blind = [decoded[name] for name in self._blind_networks(without)]
        opinion.predictions["vae"] = np.mean(blind, axis=0, dtype=np.float32)
        return opinion

    @torch.no_grad()
    def network_predictions(
        self, query: Query, without: tuple[int, ...] = ()
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        """Return what the networks that never saw some folds decode, ``{network: (n, points)}``, and latent means."""
        arrays = [query.values, query.valid, query.lines]
        if query.track != "spectrum":
            arrays.append(composition_features(query.composition, query.track))
        inputs = [torch.as_tensor(np.ascontiguousarray(a), dtype=torch.float32, device=self.device) for a in arrays]
        decoded, latents = {}, {}
        for name in self._blind_networks(without):
            network = self.networks[name]
            posterior = network.posterior(query.source, *inputs)
            latents[name] = posterior.mean.float().cpu().numpy()
            decoded[name] = network.decode(query.target, posterior.mean).cpu().numpy()
        return decoded, latents

    def _blind_networks(self, without: tuple[int, ...]) -> list[str]:
        return [name for name in self.networks if set(without) <= set(_without(name))]

    def _check(self, values: Float, valid: Bool, source: str, target: str, track: str) -> None:
        if (source, target) not in self.directions:
            known = ", ".join(f"{s} to {t}" for s, t in self.directions)
            raise InvalidInput(
                f"this model was not trained for {source} to {target}",
                remedy=f"It was trained for {known or 'no direction'}.",
            )
        if track not in self.tracks:
            raise InvalidInput(
                f"this model knows no track {track!r}",
                remedy=f"It knows {', '.join(self.tracks)}; the others need formulas in training.",
            )
        points = self.modalities[source].grid.points
        if values.ndim != 2 or values.shape[1] != points or valid.shape != values.shape:
            raise InvalidInput(
                f"spectra of shape {values.shape} do not fit the {source} grid of {points} points",
                remedy="Resample them to the grid of the model's modality.",
            )

    # How it is kept

    def files(self) -> dict[str, bytes]:
        """Return the files of the model directory, in the order in which to write them."""
        return generator_files(self)

    def save(self, folder: str | Path) -> None:
        """Write a local model directory."""
        checkpoint.write_files(folder, self.files())

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> Generator:
        """Read a local model directory; see :meth:`from_files`."""
        return cls.from_files(checkpoint.read_folder(folder), where=str(folder), device=device)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, where: str = "", device: str = "cpu") -> Generator:
        """Build a generator from the bytes of a model directory; runs no code from it.

        Raises
        ------
        ModelError
            A file is missing, damaged, of another format, or does not fit the others.
        """
        parts = generator_parts(files, where=where)
        learned = parts.pop("specialists")
        generator = cls(**parts, device=device)
        for kept, (blends, metrics) in learned.items():
            special = generator.specialists[kept] = generator.specialist(kept)
            special.blends.update(blends)
            special.metrics.update(metrics)
        return generator


def _without(network: str) -> tuple[int, ...]:
    return tuple(int(fold) for fold in network.split("-"))
