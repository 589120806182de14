"""How good a spectrum is: similarity, line matching, intervals, calibration, and summaries that merge.

Arrays in, numbers out; nothing here reads or writes anything.
"""

from spectroflow.metrics.calibration import Reliability, coverage_curve
from spectroflow.metrics.intervals import Interval, bootstrap_interval, macro_average, material_means, paired_difference
from spectroflow.metrics.lines import LineMatch, match_line_sets, match_lines
from spectroflow.metrics.measures import MEASURES, Measure, compare, merge_json
from spectroflow.metrics.similarity import (
    blur,
    hit_quality_index,
    pearson_r,
    rmse,
    spectral_angle,
    spectral_information_divergence,
    wasserstein_1,
)
from spectroflow.metrics.summaries import Counts, Grouped, Histogram, Moments

__all__ = [
    "MEASURES",
    "Counts",
    "Grouped",
    "Histogram",
    "Interval",
    "LineMatch",
    "Measure",
    "Moments",
    "Reliability",
    "blur",
    "bootstrap_interval",
    "compare",
    "coverage_curve",
    "hit_quality_index",
    "macro_average",
    "match_line_sets",
    "match_lines",
    "material_means",
    "merge_json",
    "paired_difference",
    "pearson_r",
    "rmse",
    "spectral_angle",
    "spectral_information_divergence",
    "wasserstein_1",
]
