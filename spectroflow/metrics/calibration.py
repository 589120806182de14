"""Whether a confidence means what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against outcome in equal bins of confidence between 0 and 1; it merges.

    Attributes
    ----------
    counts
        Rows in each bin.
    confidence, outcome
        Sums of both over the rows of each bin. Outcomes lie between 0 and 1: whether a spectrum was
        right, or how right it was.
    squared
        Sum of ``(confidence - outcome)^2`` over all rows.
    missing
        Rows without confidence or outcome.
    """

    kind: ClassVar[str] = "reliability"
    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    outcome: tuple[float, ...]
    squared: float = 0.0
    missing: int = 0

    @classmethod
    def of(cls, confidence: npt.ArrayLike, outcome: npt.ArrayLike, *, bins: int = 10) -> Reliability:
        """Count rows by confidence.

        Raises
        ------
        UsageError
            The shapes differ, or a value lies outside 0 to 1.
        """
        said, came = (np.asarray(values, dtype=np.float64).ravel() for values in (confidence, outcome))
        if said.shape != came.shape or bins < 1:
            raise UsageError("confidence and outcome differ in number, or there is no bin", remedy="Give one each.")
        kept = np.isfinite(said) & np.isfinite(came)
        said, came = said[kept], came[kept]
        if ((said < 0) | (said > 1) | (came < 0) | (came > 1)).any():
            raise UsageError("confidence and outcome must lie between 0 and 1", remedy="Scale them first.")
        place = np.minimum((said * bins).astype(np.int64), bins - 1)
        sums = [np.bincount(place, weights=weights, minlength=bins) for weights in (said, came)]
        return cls(
            tuple(np.bincount(place, minlength=bins).tolist()),
            tuple(sums[0].tolist()),
            tuple(sums[1].tolist()),
            float(((said - came) ** 2).sum()),
            int((~kept).sum()),
        )

    @property
    def n(self) -> int:
        """Rows that count."""
        return sum(self.counts)

    @property
    def mean_confidence(self) -> Array:
        """Mean confidence in each bin, NaN in empty ones."""
        return _ratio(self.confidence, self.counts)

    @property
    def mean_outcome(self) -> Array:
        """Mean outcome in each bin, NaN in empty ones."""
        return _ratio(self.outcome, self.counts)

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean gap of confidence and outcome, bins weighted by rows (Naeini 2015)."""
        gaps = np.abs(np.array(self.confidence) - np.array(self.outcome))
        return float(gaps.sum() / self.n) if self.n else math.nan

    @property
    def greatest_error(self) -> float:
        """Greatest gap of any bin that has rows."""
        return float(np.nanmax(np.abs(self.mean_confidence - self.mean_outcome))) if self.n else math.nan

    @property
    def brier_score(self) -> float:
        """Mean squared difference of confidence and outcome (Brier 1950)."""
        return self.squared / self.n if self.n else math.nan

    def merge(self, other: Reliability) -> Reliability:
        """Return the reliability of both; raise :class:`UsageError` where the bins differ."""
        if len(self.counts) != len(other.counts):
            raise UsageError("reliabilities of other bins do not add up", remedy="Use the same number of bins.")
        return Reliability(
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            tuple(a + b for a, b in zip(self.confidence, other.confidence, strict=True)),
            tuple(a + b for a, b in zip(self.outcome, other.outcome, strict=True)),
            self.squared + other.squared,
            self.missing + other.missing,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "kind": self.kind,
            "counts": list(self.counts),
            "confidence": list(self.confidence),
            "outcome": list(self.outcome),
            "squared": self.squared,
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Reliability:
        """Return what :meth:`to_json` wrote."""
        return cls(
            tuple(int(count) for count in tree["counts"]),
            tuple(float(value) for value in tree["confidence"]),
            tuple(float(value) for value in tree["outcome"]),
            float(tree["squared"]),
            int(tree["missing"]),
        )


def coverage_curve(confidence: npt.ArrayLike, outcome: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the share kept and the mean outcome of what is kept, when only the most confident are.

    Both have shape ``(n,)`` for the ``n`` rows with confidence and outcome, from the one most confident
    row to all of them (El-Yaniv and Wiener 2010). Rows of equal confidence share their mean outcome.
    """
    said, came = (np.asarray(values, dtype=np.float64).ravel() for values in (confidence, outcome))
    kept = np.isfinite(said) & np.isfinite(came)
    said, came = said[kept], came[kept]
    order = np.argsort(-said, kind="stable")
    _, tied = np.unique(-said[order], return_inverse=True)
    level = np.bincount(tied, weights=came[order]) / np.bincount(tied) if len(tied) else np.zeros(0)
    count = np.arange(1, len(said) + 1)
    return count / max(len(said), 1), np.cumsum(level[tied]) / count


def _ratio(sums: tuple[float, ...], counts: tuple[int, ...]) -> Array:
    number = np.array(counts, dtype=np.float64)
    return np.asarray(np.divide(np.array(sums), number, out=np.full(len(number), np.nan), where=number > 0))
