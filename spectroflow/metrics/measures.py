"""All measures of a generated spectrum against a measured one, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spectroflow.metrics import similarity
from spectroflow.metrics.calibration import Reliability
from spectroflow.metrics.similarity import Array
from spectroflow.metrics.summaries import Counts, Grouped, Histogram, Json, Moments


@dataclass(frozen=True, slots=True)
class Measure:
    """What a measure is called and how it is read.

    Attributes
    ----------
    name, title
        Key in tables and files, and what people call it.
    unit
        Its unit; ``axis`` stands for the modality's axis unit, empty for a bare number.
    better
        Whether the greater or the smaller value is better.
    low, high
        Limits for histograms; None where there is none.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    low: float | None = None
    high: float | None = None


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            Measure("r", "Pearson r", "", "higher", -1.0, 1.0),
            Measure("r_common", "Pearson r at common resolution", "", "higher", -1.0, 1.0),
            Measure("rmse", "RMSE of max-normalised spectra", "", "lower", 0.0, 1.0),
            Measure("angle", "Spectral angle", "rad", "lower", 0.0, float(np.pi)),
            Measure("hqi", "Hit quality index", "", "higher", 0.0, 100.0),
            Measure("sid", "Spectral information divergence", "nat", "lower"),
            Measure("w1", "Wasserstein-1 distance", "axis", "lower"),
            Measure("precision", "Peak precision", "", "higher", 0.0, 1.0),
            Measure("recall", "Peak recall", "", "higher", 0.0, 1.0),
            Measure("f1", "Peak F1", "", "higher", 0.0, 1.0),
            Measure("position_error", "Median peak position error", "axis", "lower"),
        )
    }
)


def compare(
    generated: npt.ArrayLike, measured: npt.ArrayLike, valid: npt.ArrayLike, *, axis: npt.ArrayLike, resolution: float
) -> dict[str, Array]:
    """Return every measure of whole spectra, each of shape ``(rows,)``.

    Parameters
    ----------
    generated, measured
        On the same regular grid, shape ``(rows, points)``.
    valid
        Where the target was measured, same shape.
    axis
        The grid, shape ``(points,)``.
    resolution
        Full width at half maximum, axis units, to which both are blurred for ``r_common``.
    """
    a, b = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (generated, measured))
    mask = np.broadcast_to(np.asarray(valid, dtype=bool), b.shape)
    return {
        "r": similarity.pearson_r(a, b, mask),
        "r_common": similarity.pearson_r(
            similarity.blur(axis, a, resolution, mask), similarity.blur(axis, b, resolution, mask), mask
        ),
        "rmse": similarity.rmse(a, b, mask),
        "angle": similarity.spectral_angle(a, b, mask),
        "hqi": similarity.hit_quality_index(a, b, mask),
        "sid": similarity.spectral_information_divergence(a, b, mask),
        "w1": similarity.wasserstein_1(a, b, mask, axis=axis),
    }


def merge_json(one: Mapping[str, Any], two: Mapping[str, Any]) -> Json:
    """Merge two JSON objects whose leaves are summaries in their JSON form.

    Keys that only one has are kept. It is associative, and commutative up to rounding of means.
    """
    if "kind" in one:
        kind = _KINDS[one["kind"]]
        return kind.from_json(one).merge(kind.from_json(two)).to_json()  # type: ignore[arg-type]
    both = {name: merge_json(one[name], two[name]) for name in one if name in two}
    rest = {name: tree for source in (one, two) for name, tree in source.items() if name not in both}
    return dict(sorted({**both, **rest}.items()))


_KINDS: dict[str, type[Counts | Moments | Histogram | Grouped | Reliability]] = {
    kind.kind: kind for kind in (Counts, Moments, Histogram, Grouped, Reliability)
}
