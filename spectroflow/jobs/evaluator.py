"""What a worker of the evaluate job does: generate what was measured too, and score it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spectroflow import status
from spectroflow.archive import Archive, SegmentEntry
from spectroflow.archive.arrays import Layout
from spectroflow.archive.layer import evaluation_layout
from spectroflow.archive.version import LayerEntry
from spectroflow.config import Config
from spectroflow.engine.processor import Failure, Resources, UnitResult
from spectroflow.engine.unit import Unit
from spectroflow.jobs.grids import grid_rows, load_spectra, not_selected
from spectroflow.jobs.model_files import device_of, load_generator
from spectroflow.jobs.predictors import SPECTRUM, Scheme, confidence_of
from spectroflow.jobs.references import References
from spectroflow.jobs.running import AdditiveMetrics
from spectroflow.jobs.scores import Measured, mean_by
from spectroflow.jobs.transfer import row_states
from spectroflow.modality import resolve
from spectroflow.models.data import SpectraOf
from spectroflow.models.formulas import KnownFormulas
from spectroflow.models.generator import Generated, Generator
from spectroflow.models.preprocess import prepare
from spectroflow.storage import CheckedWriter, Location

NAME_COLUMNS = ("label", "sample_id", "digest", "formula")
"""Columns of the record table that :class:`Names` holds."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One segment to judge in one direction, and what is scored there."""

    segment: SegmentEntry
    lines: LayerEntry | None
    source: str
    target: str
    scheme: Scheme


@dataclass(frozen=True, slots=True)
class Names:
    """What the records of some rows are called; empty where unknown."""

    labels: list[str]
    samples: list[str]
    digests: list[str]
    formulas: list[str]

    def take(self, rows: npt.NDArray[np.int64]) -> Names:
        """Return some of the rows."""
        return Names(*([column[i] for i in rows] for column in (getattr(self, name) for name in self.__slots__)))


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows to judge: the source spectra on their grid, what they are called, and their measured targets."""

    values: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    lines: npt.NDArray[np.float32]
    names: Names
    partners: list[list[int]]


@dataclass(slots=True)
class EvaluateProcessor(AdditiveMetrics):
    """Scores, for the rows of segments, what the model generates against what was measured.

    Attributes
    ----------
    archive, version
        What is read, and where the scores are written.
    model
        Directory of the generator.
    judgements
        What each group of units is.
    config
        The whole configuration.
    where
        Filter on the record table of the input; other rows are skipped.
    """

    archive: Location
    version: int
    model: Location
    judgements: dict[str, Judgement]
    config: Config
    where: str | None = None
    resources: Resources = field(default_factory=Resources)
    _generator: Generator | None = field(default=None, repr=False)
    _opened: Archive | None = field(default=None, repr=False)
    _references: References | None = field(default=None, repr=False)
    _formulas: KnownFormulas | None = field(default=None, repr=False)
    _targets: dict[str, SpectraOf] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> str:
        """Where the networks run."""
        return device_of(self.resources)

    def setup(self) -> None:
        """Load the model."""
        self._generator = load_generator(self.model, device=self.device)
        self._opened = Archive(self.archive, self.version)

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the layer."""
        layout = score_layout(unit.group, self.judgements[unit.group], self.config)
        return frozenset().union(*(layout.keys(shard) for shard in range(unit.shard_start, unit.shard_stop)))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Judge and write the unit shard by shard."""
        judgement = self.judgements[unit.group]
        layout = score_layout(unit.group, judgement, self.config)
        store = writer.zarr_store(layout.path)
        codes: Counter[str] = Counter()
        for shard in range(unit.shard_start, unit.shard_stop):
            start, stop = layout.span(shard)
            state, scores = self._judge(judgement, start, stop, skip)
            layout.write(store, shard, {"score": scores, "status": state})
            codes.update(status.NAMES[int(code)] for code in state)
        failures = [Failure(row, code, unit.group, "judging it ended its worker") for row, code in skip.items()]
        return UnitResult(dict(codes), failures, {unit.group: dict(codes)})

    def probe(self, unit: Unit, rows: range) -> None:
        """Judge rows without writing."""
        self._judge(self.judgements[unit.group], rows.start, rows.stop, {})

    def _judge(
        self, judgement: Judgement, start: int, stop: int, skip: Mapping[int, str]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        modality = resolve(self.config.modality)[judgement.source]
        gridded = grid_rows(self.archive, judgement.segment, judgement.lines, modality, start, stop)
        names = self._names(judgement.segment, start, stop)
        targets = self._spectra(judgement.target)
        partners = _partners(names.samples, targets)
        state = row_states(gridded, start, skip)
        assert self._opened is not None, "setup() comes first"
        left_out = not_selected(self._opened, judgement.segment, start, stop, self.where)
        left_out |= np.array([not rows for rows in partners], bool)
        state[(state == status.OK) & left_out] = status.code_of("NOT_SELECTED")
        scores = np.full((stop - start, len(judgement.scheme.columns)), np.nan, np.float32)
        # Rows to be skipped keep their places in the batches, on which rounding depends.
        chosen = np.array([i for i, rows in enumerate(partners) if rows and gridded.ok[i]], np.int64)
        if chosen.size:
            usable = (state == status.OK)[chosen, None]
            seen = Seen(
                np.where(usable, gridded.values[chosen], np.float32(0)),
                gridded.valid[chosen] & usable,
                gridded.lines[chosen],
                names.take(chosen),
                [partners[row] for row in chosen],
            )
            scores[chosen] = self._scores(judgement, seen, targets)
            scores[state != status.OK] = np.nan
        return state, scores

    def _scores(self, judgement: Judgement, seen: Seen, targets: SpectraOf) -> npt.NDArray[np.float64]:
        """Return all scores of some rows: over all measured partners of a row, the mean."""
        assert self._generator is not None, "setup() comes first"
        references = self._look_only(judgement, targets)
        names, scheme = seen.names, judgement.scheme
        folds = [self._generator.fold_of(*n) for n in zip(names.labels, names.samples, names.digests, strict=True)]
        composition = self._known_formulas().fractions(names.samples, names.labels, names.formulas)
        told = np.isfinite(composition[:, :1])
        owner = np.repeat(np.arange(len(folds)), [len(rows) for rows in seen.partners])
        partner = np.concatenate([np.asarray(rows, np.int64) for rows in seen.partners])
        measured = Measured(targets.values[partner], targets.valid[partner], references.modality)
        found: dict[str, npt.NDArray[np.float64]] = {}
        for track in scheme.tracks:
            made = self._generate(judgement, seen, track, composition)
            known = told if track != SPECTRUM else np.ones_like(told)
            for predictor in scheme.predictors:
                if predictor.track == track and predictor.expert in ("model", *made.experts):
                    if predictor.kind == "generator":
                        scored = measured.score(made.intensity[owner], made.lines[owner, :, 0])
                    else:
                        scored = measured.score(made.experts[predictor.expert][owner])
                    found[predictor.name] = np.where(known, mean_by(owner, scored, len(folds)), np.nan)
            found[confidence_of(track)] = np.where(known, made.confidence[:, None], np.nan)
        best = measured.score(references.oracle([folds[i] for i in owner], partner))
        found["oracle"] = mean_by(owner, best, len(folds))
        found["comb"] = mean_by(owner, measured.score_comb(), len(folds))
        found["replicate"] = mean_by(owner, references.replicates(partner), len(folds))
        if scheme.protocol == "paper":
            ready = prepare(seen.values, seen.valid, self._generator.modalities[judgement.source])
            looked_up = references.lookup(ready, names.digests)
            found["lookup"] = mean_by(owner, measured.score(looked_up[owner]), len(folds))
        parts = [found[predictor.name] for predictor in scheme.predictors]
        parts += [found[confidence_of(track)] for track in scheme.tracks]
        return np.concatenate([*parts, references.seen(names.labels, names.samples, folds)], axis=1)

    def _generate(
        self, judgement: Judgement, seen: Seen, track: str, composition: npt.NDArray[np.float32]
    ) -> Generated:
        assert self._generator is not None, "setup() comes first"
        return self._generator.generate_held_out(
            seen.values,
            seen.valid,
            seen.lines,
            judgement.source,
            judgement.target,
            seen.names.labels,
            seen.names.samples,
            digests=seen.names.digests,
            composition=composition,
            track=track,
            batch=self.config.transfer.batch,
            parts=True,
        )

    def _look_only(self, judgement: Judgement, targets: SpectraOf) -> References:
        """Free what was fitted for another direction."""
        assert self._generator is not None, "setup() comes first"
        known = self._references
        if known is None or (known.source, known.target) != (judgement.source, judgement.target):
            self._generator.forget_kernels()
            known = self._references = References(self._generator, judgement.source, judgement.target, targets)
        return known

    def _names(self, segment: SegmentEntry, start: int, stop: int) -> Names:
        assert self._opened is not None, "setup() comes first"
        first = start // segment.shard_rows
        shards = range(first, -(-stop // segment.shard_rows))
        tables = [self._opened.shard_records(segment, shard) for shard in shards]
        span = slice(start - first * segment.shard_rows, stop - first * segment.shard_rows)
        return Names(
            *([value or "" for table in tables for value in table[name].to_pylist()][span] for name in NAME_COLUMNS)
        )

    def _known_formulas(self) -> KnownFormulas:
        """Return the formulas of all samples and labels of the archive."""
        assert self._opened is not None, "setup() comes first"
        if self._formulas is None:
            self._formulas = KnownFormulas()
            for segment in self._opened.segments():
                table = self._opened.segment_records(segment)
                labels, samples, _, formulas = ([v or "" for v in table[n].to_pylist()] for n in NAME_COLUMNS)
                self._formulas.learn(samples, labels, formulas)
        return self._formulas

    def _spectra(self, modality: str) -> SpectraOf:
        assert self._opened is not None, "setup() comes first"
        if modality not in self._targets:
            self._targets[modality] = load_spectra(self._opened, resolve(self.config.modality)[modality], None)
        return self._targets[modality]


def score_layout(layer: str, judgement: Judgement, config: Config) -> Layout:
    """Return the arrays of the evaluation layer of a segment."""
    segment = judgement.segment
    return evaluation_layout(layer, segment.rows, segment.shard_rows, len(judgement.scheme.columns), config.archive)


def _partners(samples: list[str], targets: SpectraOf) -> list[list[int]]:
    """Return, for each row, the target spectra that were measured on the same sample."""
    by_sample: dict[str, list[int]] = {}
    for row, sample in enumerate(targets.sample):
        if sample:
            by_sample.setdefault(sample, []).append(row)
    return [by_sample.get(sample, []) if sample else [] for sample in samples]
