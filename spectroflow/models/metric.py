"""A learned likeness of samples: how much each part of what is known of them tells about the target.

What is known of a sample comes in *parts* (its spectrum, a composition read from it, its formula), each
a row of columns in *blocks*: a region of the axis in one view of the spectrum, or one element. Every
block has a weight, every part an amplitude, and so have all parts together::

    d_p(a, b)^2 = sum over blocks of part p   weight * |a_block - b_block|^2
    k(a, b)     = sum over p  amplitude_p * exp(-d_p)   +   amplitude_all * exp(-sqrt(sum over p  share_p * d_p^2))

All of these and the ridge are learned like the hyperparameters of a Gaussian process with automatic
relevance determination, by the closed form of the leave-one-out error of kernel ridge regression
(Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, section 5.4.2), with one random
spectrum of each material at a time, so that siblings of a spectrum do not vouch for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spectroflow.models.memory import material_weights

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

STEPS, LEARNING_RATE = 100, 0.15
PULL = 3e-4  # towards the first weights, per squared difference of logarithms
FIRST_RIDGE = 0.1
MOST_GROUPS = 600  # at a time: a step costs the cube of their number
COMPONENTS = 40  # principal components of the targets that count in the error


@dataclass(frozen=True)
class Blocks:
    """What is known of samples, and which columns share a weight.

    Attributes
    ----------
    columns
        ``(n, columns)``
    block
        ``(columns,)`` index of the block of each column.
    weight
        ``(blocks,)`` weights before learning.
    """

    columns: Float
    block: Int
    weight: Double

    def take(self, rows: Int) -> Blocks:
        """Return some of the samples."""
        return Blocks(self.columns[rows], self.block, self.weight)


def take(known: Sequence[Blocks], rows: Int) -> tuple[Blocks, ...]:
    """Return some of the samples, of every part."""
    return tuple(part.take(rows) for part in known)


@dataclass(frozen=True)
class Metric:
    """A learned kernel, and the ridge that goes with it.

    Attributes
    ----------
    weights
        One ``(blocks,)`` for each part, positive.
    amplitudes
        ``(parts + 1,)``, the last one of all parts together; their sum is 1.
    shares
        ``(parts,)`` of each part in the distance between all parts together.
    ridge
        For a row of weight 1.
    """

    weights: tuple[Double, ...]
    amplitudes: Double
    shares: Double
    ridge: float

    def scaled(self, known: Sequence[Blocks]) -> tuple[Float, ...]:
        """Return columns between which the plain Euclidean distances are this metric's, for :meth:`kernel`."""
        return tuple(
            np.asarray(part.columns * np.sqrt(weight)[part.block], np.float32)
            for part, weight in zip(known, self.weights, strict=True)
        )

    def kernel(self, one: Sequence[Float], other: Sequence[Float]) -> Float:
        """Return the kernel between rows of scaled columns, ``(rows, other rows)``."""
        squares = [_squares(a, b) for a, b in zip(one, other, strict=True)]
        together = np.sqrt(sum(share * square for share, square in zip(self.shares, squares, strict=True)))
        total = self.amplitudes[-1] * np.exp(-together)
        for amplitude, square in zip(self.amplitudes, squares, strict=False):
            total += amplitude * np.exp(-np.sqrt(square))
        return np.asarray(total, np.float32)

    def fits(self, known: Sequence[Blocks]) -> bool:
        """Say whether it was learned on the same parts and blocks."""
        return [len(weight) for weight in self.weights] == [len(part.weight) for part in known]

    @classmethod
    def mean(cls, metrics: Sequence[Metric]) -> Metric:
        """Return the geometric mean."""

        def middle(values: Sequence[Double]) -> Double:
            return np.asarray(np.exp(np.mean(np.log(np.maximum(values, 1e-12)), axis=0)), np.float64)

        amplitudes = middle([metric.amplitudes for metric in metrics])
        return cls(
            tuple(middle(parts) for parts in zip(*(metric.weights for metric in metrics), strict=True)),
            amplitudes / amplitudes.sum(),
            middle([metric.shares for metric in metrics]),
            float(middle([np.asarray(metric.ridge) for metric in metrics])),
        )

    def settings(self) -> dict[str, Any]:
        """Return the metric for JSON."""
        return {
            "weights": [weight.tolist() for weight in self.weights],
            "amplitudes": self.amplitudes.tolist(),
            "shares": self.shares.tolist(),
            "ridge": self.ridge,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Metric:
        """Return what :meth:`settings` described."""
        weights = tuple(np.asarray(weight, np.float64) for weight in settings["weights"])
        amplitudes, shares = (np.asarray(settings[k], np.float64) for k in ("amplitudes", "shares"))
        return cls(weights, amplitudes, shares, float(settings["ridge"]))


def learn_metric(known: Sequence[Blocks], targets: Float, group: Int, *, seed: int = 0, steps: int = STEPS) -> Metric:
    """Learn a metric.

    Parameters
    ----------
    known
        The parts that are known of the training samples.
    targets
        ``(n, points)``, each of unit variance along its axis.
    group
        ``(n,)``; of one group, one row is taken at a time, and of many groups some. Fewer than three groups leave
        everything as it is.
    seed
        Decides which.
    """
    parts = len(known)
    first = [torch.as_tensor(np.log(part.weight), dtype=torch.float32) for part in known]
    weights = [weight.clone().requires_grad_(True) for weight in first]
    strengths = torch.zeros(parts + 1, requires_grad=True)
    shares = torch.full((parts,), -math.log(parts), requires_grad=True)
    ridge = torch.tensor(math.log(FIRST_RIDGE), requires_grad=True)
    optimizer = torch.optim.Adam([*weights, strengths, shares, ridge], lr=LEARNING_RATE)
    names, index = np.unique(group, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts, counts = np.searchsorted(index[order], np.arange(len(names))), np.bincount(index)
    wanted = torch.as_tensor(_principal(targets, material_weights(group)))
    columns = [torch.as_tensor(part.columns) for part in known]
    blocks = [torch.as_tensor(part.block) for part in known]
    rng = np.random.default_rng((seed, len(names)))
    for step in range(steps if len(names) >= 3 else 0):
        chosen = order[starts + rng.integers(counts)]
        if len(chosen) > MOST_GROUPS:
            chosen = chosen[np.sort(rng.choice(len(chosen), MOST_GROUPS, replace=False))]
        rows = torch.as_tensor(chosen)
        squares = []
        for part, block, weight in zip(columns, blocks, weights, strict=True):
            scaled = part[rows] * torch.exp(0.5 * weight)[block]
            length = (scaled * scaled).sum(dim=1)
            squares.append((length[:, None] + length[None] - 2.0 * scaled @ scaled.T).clamp_min(0.0) + 1e-6)
        amplitudes, pull = torch.softmax(strengths, dim=0), torch.exp(shares)
        together = torch.stack([share * square for share, square in zip(pull, squares, strict=True)]).sum(dim=0)
        kernel = amplitudes[-1] * torch.exp(-torch.sqrt(together))
        for amplitude, square in zip(amplitudes, squares, strict=False):
            kernel = kernel + amplitude * torch.exp(-torch.sqrt(square))
        centred = wanted[rows] - wanted[rows].mean(dim=0)
        inverse = torch.linalg.inv(kernel + torch.exp(ridge) * torch.eye(len(rows)))
        left_out = (inverse @ centred) / torch.diagonal(inverse)[:, None]
        error = (left_out**2).sum() / (centred**2).sum().clamp_min(1e-12)
        away = sum(((weight - start) ** 2).sum() for weight, start in zip(weights, first, strict=True))
        loss = error + PULL * away
        for settings in optimizer.param_groups:
            settings["lr"] = LEARNING_RATE * (1.0 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Metric(
        tuple(np.exp(weight.detach().double().numpy()) for weight in weights),
        torch.softmax(strengths.detach().double(), dim=0).numpy(),
        np.exp(shares.detach().double().numpy()),
        float(torch.exp(ridge.detach())),
    )


def _squares(one: Float, other: Float) -> Float:
    squares = (one * one).sum(axis=1)[:, None] + (other * other).sum(axis=1)[None] - 2.0 * (one @ other.T)
    return np.asarray(np.maximum(squares, 0.0), np.float32)


def _principal(targets: Float, weights: Double) -> Float:
    """Return the leading principal components of the targets, ``(n, components)``: nearly all of their variance."""
    centred = targets - np.average(targets, axis=0, weights=weights)
    gram = (centred * weights[:, None]).T @ centred if centred.shape[1] < len(centred) else None
    if gram is not None:
        _, vectors = np.linalg.eigh(gram)
        return np.asarray(centred @ vectors[:, ::-1][:, :COMPONENTS], np.float32)
    scaled = centred * np.sqrt(weights)[:, None]
    values, vectors = np.linalg.eigh(scaled @ scaled.T)
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    axes = scaled.T @ vectors / np.sqrt(np.maximum(values, 1e-12))
    return np.asarray(centred @ axes, np.float32)
