"""Summaries that add up: of parts, in any order and grouping, to the summary of the whole.

Each has ``merge``, ``to_json`` and ``from_json``; JSON holds numbers and strings only, so that markers of
units can carry them. :func:`spectroflow.metrics.merge_json`
merges two JSON forms by their ``kind``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each of some names occurred."""

    kind: ClassVar[str] = "counts"
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str]) -> Counts:
        """Count names."""
        counts: dict[str, int] = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        return cls(dict(sorted(counts.items())))

    @property
    def total(self) -> int:
        """All together."""
        return sum(self.counts.values())

    def merge(self, other: Counts) -> Counts:
        """Return the counts of both."""
        names = sorted({*self.counts, *other.counts})
        return Counts({name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in names})

    def to_json(self) -> Json:
        """Return a JSON object."""
        return {"kind": self.kind, "counts": dict(self.counts)}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Counts:
        """Return what :meth:`to_json` wrote."""
        return cls({str(name): int(count) for name, count in tree["counts"].items()})


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and spread of values; NaN values are counted as missing and take no other part.

    Attributes
    ----------
    n, missing
        Values that count, and NaN values.
    mean, m2
        Mean and sum of squared differences from it.
    low, high
        Least and greatest value; infinities of the wrong sign when there is none.
    """

    kind: ClassVar[str] = "moments"
    n: int = 0
    missing: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """Summarise values of any shape."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        kept = flat[~np.isnan(flat)]
        if not len(kept):
            return cls(missing=len(flat))
        mean = float(kept.mean())
        m2 = float(((kept - mean) ** 2).sum())
        return cls(len(kept), len(flat) - len(kept), mean, m2, float(kept.min()), float(kept.max()))

    @property
    def std(self) -> float:
        """Sample standard deviation, NaN for fewer than two values."""
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else math.nan

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both (Chan, Golub and LeVeque, 1979)."""
        n = self.n + other.n
        missing = self.missing + other.missing
        if not self.n or not other.n:
            one = self if self.n else other
            return Moments(n, missing, one.mean, one.m2, one.low, one.high)
        delta = other.mean - self.mean
        # Weighted by share, not by a small step from one side, so that both orders give the same.
        mean = self.mean * (self.n / n) + other.mean * (other.n / n)
        m2 = self.m2 + other.m2 + delta * delta * (self.n * other.n / n)
        return Moments(n, missing, mean, m2, min(self.low, other.low), max(self.high, other.high))

    def to_json(self) -> Json:
        """Return a JSON object; a summary of nothing has null for its mean and range."""
        shown: Json = {"kind": self.kind, "n": self.n, "missing": self.missing}
        names = ("mean", "m2", "low", "high")
        return shown | {name: getattr(self, name) if self.n else None for name in names}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Moments:
        """Return what :meth:`to_json` wrote."""
        if not tree["n"]:
            return cls(missing=int(tree["missing"]))
        return cls(int(tree["n"]), int(tree["missing"]), *(float(tree[name]) for name in ("mean", "m2", "low", "high")))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in equal bins between two limits, with what lies outside and NaN counted apart.

    Attributes
    ----------
    low, high
        Limits; a value equal to ``high`` is in the last bin.
    counts
        Values in each bin.
    below, above, missing
        Values outside the limits, and NaN values.
    """

    kind: ClassVar[str] = "histogram"
    low: float
    high: float
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0
    missing: int = 0

    @classmethod
    def of(cls, values: npt.ArrayLike, *, low: float, high: float, bins: int) -> Histogram:
        """Count values of any shape.

        Raises
        ------
        UsageError
            There is no bin, or the limits are not ascending.
        """
        if bins < 1 or not low < high:
            raise UsageError("a histogram needs ascending limits and at least one bin", remedy="Correct them.")
        flat = np.asarray(values, dtype=np.float64).ravel()
        counts, _ = np.histogram(flat, bins=bins, range=(low, high))
        return cls(
            low,
            high,
            tuple(counts.tolist()),
            int((flat < low).sum()),
            int((flat > high).sum()),
            int(np.isnan(flat).sum()),
        )

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Bin edges, one more than bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def n(self) -> int:
        """Values that are not NaN."""
        return sum(self.counts) + self.below + self.above

    def quantile(self, q: float) -> float:
        """Return a quantile, right to one bin width; NaN of nothing, a limit for what lies outside."""
        if not self.n:
            return math.nan
        rank = q * self.n - self.below
        if rank <= 0 and self.below:
            return self.low
        reached = np.concatenate([[0], np.cumsum(self.counts)])
        if rank > reached[-1] or not reached[-1]:
            return self.high
        first = int(np.searchsorted(reached, max(rank, np.nextafter(0, 1)), side="left")) - 1
        share = (rank - reached[first]) / self.counts[first]
        return float(self.low + (first + max(share, 0.0)) * (self.high - self.low) / len(self.counts))

    def merge(self, other: Histogram) -> Histogram:
        """Return the histogram of both; raise :class:`UsageError` where the bins differ."""
        if (self.low, self.high, len(self.counts)) != (other.low, other.high, len(other.counts)):
            raise UsageError("histograms of other bins do not add up", remedy="Use the same limits and bins.")
        return Histogram(
            self.low,
            self.high,
            tuple(one + two for one, two in zip(self.counts, other.counts, strict=True)),
            self.below + other.below,
            self.above + other.above,
            self.missing + other.missing,
        )

    def to_json(self) -> Json:
        """Return a JSON object."""
        outside = {"below": self.below, "above": self.above, "missing": self.missing}
        return {"kind": self.kind, "low": self.low, "high": self.high, "counts": list(self.counts), **outside}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Histogram:
        """Return what :meth:`to_json` wrote."""
        outside = (int(tree[name]) for name in ("below", "above", "missing"))
        return cls(float(tree["low"]), float(tree["high"]), tuple(int(count) for count in tree["counts"]), *outside)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Moments for each of some groups, such as materials."""

    kind: ClassVar[str] = "grouped"
    groups: Mapping[str, Moments] = field(default_factory=dict)

    @classmethod
    def of(cls, values: npt.ArrayLike, labels: Iterable[str]) -> Grouped:
        """Summarise values, shape ``(n,)``, by the ``n`` labels."""
        flat = np.asarray(values, dtype=np.float64)
        names, place = np.unique(np.asarray(list(labels), dtype=str), return_inverse=True)
        if flat.shape != place.shape:
            raise UsageError(f"{len(place)} labels for values of shape {flat.shape}", remedy="Give one label each.")
        return cls({str(name): Moments.of(flat[place == index]) for index, name in enumerate(names)})

    @property
    def macro_mean(self) -> float:
        """Mean of the groups' means, each group counting once; NaN without any value."""
        means = [group.mean for group in self.groups.values() if group.n]
        return math.fsum(means) / len(means) if means else math.nan

    def merge(self, other: Grouped) -> Grouped:
        """Return the groups of both."""
        names = sorted({*self.groups, *other.groups})
        nothing = Moments()
        return Grouped({name: self.groups.get(name, nothing).merge(other.groups.get(name, nothing)) for name in names})

    def to_json(self) -> Json:
        """Return a JSON object."""
        return {"kind": self.kind, "groups": {name: group.to_json() for name, group in self.groups.items()}}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Grouped:
        """Return what :meth:`to_json` wrote."""
        return cls({str(name): Moments.from_json(group) for name, group in tree["groups"].items()})
