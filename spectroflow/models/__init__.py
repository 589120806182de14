"""The generator: from spectra of one modality to spectra of another.

Where to start reading: ``data.py`` (what is learned from), ``training.py`` (the loop, top to bottom),
``generator.py`` (what a model is and does), ``blend.py`` (why it can be trusted), ``vae.py`` with
``encoder.py``, ``decoder.py`` and ``lineshapes.py`` (the network).

The public names below are imported when first used, because torch takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectroflow.models.data import SpectraOf, TrainingData, spectra_of
    from spectroflow.models.ensemble import fit_generator
    from spectroflow.models.evaluation import evaluate_species
    from spectroflow.models.folds import folds_by_material, refuse_overlap
    from spectroflow.models.generator import Generated, Generator
    from spectroflow.models.training import InlineHooks, Trained, TrainHooks, plan_networks, train_networks

_HOME = {
    "SpectraOf": "data",
    "TrainingData": "data",
    "spectra_of": "data",
    "fit_generator": "ensemble",
    "evaluate_species": "evaluation",
    "folds_by_material": "folds",
    "refuse_overlap": "folds",
    "Generated": "generator",
    "Generator": "generator",
    "InlineHooks": "training",
    "Trained": "training",
    "TrainHooks": "training",
    "plan_networks": "training",
    "train_networks": "training",
}

__all__ = [
    "Generated",
    "Generator",
    "InlineHooks",
    "SpectraOf",
    "TrainHooks",
    "Trained",
    "TrainingData",
    "evaluate_species",
    "fit_generator",
    "folds_by_material",
    "plan_networks",
    "refuse_overlap",
    "spectra_of",
    "train_networks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
