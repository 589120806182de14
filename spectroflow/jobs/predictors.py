"""Whom an evaluation compares: the generator, what it must beat, and what nothing is expected to pass.

A track says how much is known of a sample besides its spectrum: nothing, which elements heavier than
oxygen are there, or the whole formula. Each has rows of its own, named ``elements/model`` and so on; those
of the spectrum alone have no prefix. ``composition`` is the row without the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spectroflow.metrics import MEASURES
from spectroflow.models.experts import BASELINES
from spectroflow.models.folds import Split

Kind = Literal["generator", "baseline", "bound"]

TITLES = {
    "model": "generator",
    "mean": "mean spectrum",
    "nearest": "nearest neighbour",
    "soft": "soft neighbours",
    "ridge": "kernel ridge",
    "comb": "lines everywhere (a comb), without looking",
    "lookup": "plain lookup in all other files",
    "composition": "composition alone, without the spectrum",
    "oracle": "best training target (oracle)",
    "replicate": "another sample measured (replicate)",
}
BOUNDS = ("oracle", "replicate")
SPECTRUM = "spectrum"

PROTOCOLS: dict[Split, str] = {
    "species": "no material is in training and test",
    "sample": "no sample is in training and test, the material is in training",
    "paper": "files at random: the same sample may be in training",
}


@dataclass(frozen=True, slots=True)
class Predictor:
    """One row of the table.

    Attributes
    ----------
    name
        ``track/expert``, or the expert alone in the track of the spectrum.
    kind
        The generator, a baseline, or a bound that no generator has to reach.
    """

    name: str
    kind: Kind

    @property
    def track(self) -> str:
        """How much is known of the sample."""
        return self.name.partition("/")[0] if "/" in self.name else SPECTRUM

    @property
    def expert(self) -> str:
        """Who predicts."""
        return self.name.rpartition("/")[2]

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.expert] + ("" if self.track == SPECTRUM else f", {self.track} known")


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is scored in one direction.

    Attributes
    ----------
    protocol
        What training and test may share.
    tracks
        How much may be known of a sample, ``spectrum`` first.
    """

    protocol: Split
    tracks: tuple[str, ...]

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """All rows of the table, the generator first in each track."""
        found = [Predictor("model", "generator")]
        found += [Predictor(name, "baseline") for name in (*BASELINES, "comb")]
        if self.protocol == "paper":
            found.append(Predictor("lookup", "baseline"))
        found += [Predictor(name, "bound") for name in BOUNDS]
        for track in self.tracks[1:]:
            found += [Predictor(f"{track}/model", "generator"), Predictor(f"{track}/composition", "baseline")]
        return tuple(found)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of scores: every measure of every predictor, confidences, and what was seen."""
        measures = [f"{predictor.name}:{measure}" for predictor in self.predictors for measure in MEASURES]
        return [*measures, *map(confidence_of, self.tracks), "material_seen", "sample_seen"]

    def best_of(self, track: str) -> Sequence[str]:
        """Return the baselines that the generator has to beat in a track: those of the spectrum count in all."""
        return [p.name for p in self.predictors if p.kind == "baseline" and p.track in (SPECTRUM, track)]


def model_of(track: str) -> str:
    """Return the name of the generator in a track."""
    return "model" if track == SPECTRUM else f"{track}/model"


def confidence_of(track: str) -> str:
    """Return the name of the column with the generator's confidence in a track."""
    return "confidence" if track == SPECTRUM else f"{track}/confidence"
