"""What a worker of the evaluate job does: generate what was measured too, and score it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
from spectroflow.jobs.model_files import load_generator
from spectroflow.jobs.running import AdditiveMetrics
from spectroflow.jobs.scores import column_names, score
from spectroflow.jobs.transfer import row_states
from spectroflow.metrics import MEASURES
from spectroflow.modality import resolve
from spectroflow.models.data import SpectraOf
from spectroflow.models.experts import BASELINES
from spectroflow.models.generator import Generated, Generator
from spectroflow.storage import CheckedWriter, Location

PREDICTORS = ("model", *BASELINES)
"""What is scored: the model and, on the same rows and folds, every baseline."""

SCORES = [*column_names(PREDICTORS), "confidence"]
"""Columns of the score array."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One segment to judge in one direction."""

    segment: SegmentEntry
    lines: LayerEntry | None
    source: str
    target: str


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
    _direction: tuple[str, str] | None = field(default=None, repr=False)
    _targets: dict[str, SpectraOf] = field(default_factory=dict, repr=False)

    def setup(self) -> None:
        """Load the model."""
        self._generator = load_generator(self.model, device="cuda" if self.resources.gpus else "cpu")
        self._opened = Archive(self.archive, self.version)

    def keys(self, unit: Unit) -> frozenset[str]:
        """Return the shards of the layer."""
        layout = score_layout(unit.group, self.judgements[unit.group].segment, self.config)
        return frozenset().union(*(layout.keys(shard) for shard in range(unit.shard_start, unit.shard_stop)))

    def process(self, unit: Unit, writer: CheckedWriter, skip: Mapping[int, str]) -> UnitResult:
        """Judge and write the unit shard by shard."""
        judgement = self.judgements[unit.group]
        layout = score_layout(unit.group, judgement.segment, self.config)
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
        assert self._generator is not None, "setup() comes first"
        modalities = resolve(self.config.modality)
        gridded = grid_rows(self.archive, judgement.segment, judgement.lines, modalities[judgement.source], start, stop)
        labels, samples = self._names(judgement.segment, start, stop)
        targets = self._spectra(judgement.target)
        partners = _partners(samples, targets)
        state = row_states(gridded, start, skip)
        assert self._opened is not None
        left_out = not_selected(self._opened, judgement.segment, start, stop, self.where)
        left_out |= np.array([not rows for rows in partners], bool)
        state[(state == status.OK) & left_out] = status.code_of("NOT_SELECTED")
        scores = np.full((stop - start, len(SCORES)), np.nan, np.float32)
        # Rows to be skipped keep their places in the batches, on which rounding depends.
        chosen = np.array([i for i, rows in enumerate(partners) if rows and gridded.ok[i]], np.int64)
        if chosen.size:
            self._look_only(judgement)
            usable = (state == status.OK)[chosen, None]
            made = self._generator.generate_held_out(
                np.where(usable, gridded.values[chosen], np.float32(0)),
                gridded.valid[chosen] & usable,
                gridded.lines[chosen],
                judgement.source,
                judgement.target,
                [labels[row] for row in chosen],
                [samples[row] for row in chosen],
                batch=self.config.transfer.batch,
                parts=True,
            )
            self._compare(made, [partners[row] for row in chosen], targets, judgement.target, scores, chosen)
            scores[state != status.OK] = np.nan
        return state, scores

    def _compare(
        self,
        made: Generated,
        partners: list[list[int]],
        targets: SpectraOf,
        target: str,
        scores: npt.NDArray[np.float32],
        chosen: npt.NDArray[np.int64],
    ) -> None:
        """Fill in the scores: over all measured partners of a row, the mean."""
        modality = resolve(self.config.modality)[target]
        owner = np.repeat(np.arange(len(partners)), [len(rows) for rows in partners])
        partner = np.concatenate([np.asarray(rows, np.int64) for rows in partners])
        measured, valid = targets.values[partner], targets.valid[partner]
        predictions = {"model": made.intensity, **made.experts}
        for k, name in enumerate(PREDICTORS):
            found = score(predictions[name][owner], measured, valid, modality)
            columns = slice(k * len(MEASURES), (k + 1) * len(MEASURES))
            scores[chosen, columns] = _mean_by(owner, found, len(partners))
        scores[chosen, len(SCORES) - 1] = made.confidence

    def _look_only(self, judgement: Judgement) -> None:
        """Free what was fitted for another direction."""
        assert self._generator is not None, "setup() comes first"
        if self._direction != (judgement.source, judgement.target):
            self._generator.forget_kernels()
            self._direction = (judgement.source, judgement.target)

    def _names(self, segment: SegmentEntry, start: int, stop: int) -> tuple[list[str], list[str]]:
        assert self._opened is not None, "setup() comes first"
        labels: list[str] = []
        samples: list[str] = []
        first = start // segment.shard_rows
        for shard in range(first, -(-stop // segment.shard_rows)):
            table = self._opened.shard_records(segment, shard)
            labels += [value or "" for value in table["label"].to_pylist()]
            samples += [value or "" for value in table["sample_id"].to_pylist()]
        span = slice(start - first * segment.shard_rows, stop - first * segment.shard_rows)
        return labels[span], samples[span]

    def _spectra(self, modality: str) -> SpectraOf:
        assert self._opened is not None, "setup() comes first"
        if modality not in self._targets:
            self._targets[modality] = load_spectra(self._opened, resolve(self.config.modality)[modality], None)
        return self._targets[modality]


def score_layout(layer: str, segment: SegmentEntry, config: Config) -> Layout:
    """Return the arrays of the evaluation layer of a segment."""
    return evaluation_layout(layer, segment.rows, segment.shard_rows, len(SCORES), config.archive)


def _partners(samples: list[str], targets: SpectraOf) -> list[list[int]]:
    """Return, for each row, the target spectra that were measured on the same sample."""
    by_sample: dict[str, list[int]] = {}
    for row, sample in enumerate(targets.sample):
        if sample:
            by_sample.setdefault(sample, []).append(row)
    return [by_sample.get(sample, []) if sample else [] for sample in samples]


def _mean_by(owner: npt.NDArray[np.int64], values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return the means of rows that share an owner, NaN left out, shape ``(count, columns)``."""
    finite = np.isfinite(values)
    total, number = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    np.add.at(total, owner, np.where(finite, values, 0.0))
    np.add.at(number, owner, finite)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def describe_scores() -> dict[str, Any]:
    """Return what a reader of the layer must know."""
    return {"measure": SCORES, "measures": {name: measure.title for name, measure in MEASURES.items()}}
