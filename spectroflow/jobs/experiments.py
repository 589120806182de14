"""The paper's experiments as figures: reconstruction within a modality, and naming the material."""

from __future__ import annotations

from typing import Any

from spectroflow.jobs.figures import bootstrapped
from spectroflow.jobs.options import JobOptions
from spectroflow.models.experiments import classify, reconstruct
from spectroflow.models.generator import Generator

KINDS = ("measured", "generated", "retrieved", "input")
"""Spectra that the classifier is given."""


def experiments(generator: Generator, options: JobOptions) -> dict[str, Any]:
    """Return the figures of both experiments, means over materials with their bootstrap intervals.

    Returns
    -------
    dict
        ``{"reconstruction": {modality: {kind: interval}}, "classification": {direction: {kind: interval, ...}}}``.
    """
    batch = options.config.transfer.batch
    rebuilt = {}
    for name, table in generator.data.spectra.items():
        if len(table):
            scores, materials = reconstruct(generator, name, batch)
            rebuilt[name] = {kind: bootstrapped(values, materials, options) for kind, values in scores.items()}
    named: dict[str, Any] = {}
    for source, target in generator.directions:
        hits, materials, choices = classify(generator, source, target, batch)
        generator.forget_kernels()
        if materials:
            figures = {kind: bootstrapped(hits[kind], materials, options) for kind in KINDS}
            named[f"{source} to {target}"] = {
                **figures,
                "materials": len(set(materials)),
                "spectra": len(materials),
                "choices": choices,
            }
    return {"reconstruction": rebuilt, "classification": named}
