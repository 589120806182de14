"""Where a generated spectrum has lines, as an answer of its own beside the intensity.

The spectrum that is right on average is blurred: where the position of a line is unsure, it becomes low
and broad, and its local maxima are not the places where lines most likely are. So the density of lines is
predicted for its own sake; and lines are placed where most are to be expected within the tolerance of a
match: as many as make the expected F1 greatest, 2 (sum of p) / (placed + expected number of true lines).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from spectroflow.metrics import match_lines
from spectroflow.modality import Modality

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

LEAST_PROMINENCE = 0.05  # of a line in a gridded spectrum, as a share of the maximum
APART = 1.5  # tolerances between two generated lines
LEAST_EXPECTED = 0.02  # of a line that is considered
COUNTS, POWERS = (0.5, 0.8, 1.2, 1.8), (1.0, 1.4)  # that are tried for a rule


@dataclass(frozen=True)
class LineRule:
    """How lines are placed by one member in one direction.

    Attributes
    ----------
    weights
        ``{density: weight >= 0}`` in the mixture.
    count
        Number of true lines to reckon with, in units of what the density adds up to: one for which nothing
        speaks, such as noise that was measured as a line, is in no density.
    power
        Of the expected number of lines at a place, for the probability of one there.
    """

    weights: dict[str, float] = field(default_factory=dict)
    count: float = 1.0
    power: float = 1.0

    def density(self, densities: Mapping[str, Float]) -> Float:
        """Return the mixture, ``(n, points)``."""
        return np.asarray(
            np.sum([weight * densities[name] for name, weight in sorted(self.weights.items())], axis=0), np.float32
        )


def line_points(values: Float, valid: Bool | None = None) -> list[Int]:
    """Return the grid indices of the lines of each gridded spectrum: local maxima that stand out."""
    found = []
    for k, row in enumerate(values if valid is None else np.where(valid, values, 0.0)):
        top = float(row.max(initial=0.0))
        places = find_peaks(row, prominence=LEAST_PROMINENCE * top)[0] if top > 0 else np.empty(0, np.int64)
        found.append(places if valid is None else places[valid[k, places]])
    return found


def line_density(values: Float, modality: Modality) -> Float:
    """Return lines per tolerance at each point: each line a Gaussian of half a tolerance, ``(n, points)``.

    The Gaussian says that a line elsewhere within the tolerance is as good.
    """
    tolerance = modality.match_tolerance / modality.grid.step
    comb = np.zeros(values.shape, np.float32)
    for row, places in zip(comb, line_points(values), strict=True):
        row[places] = tolerance
    return np.asarray(gaussian_filter1d(comb, 0.5 * tolerance, axis=1, mode="constant"), np.float32)


def place_lines(density: Float, modality: Modality, least: float | Double) -> Float:
    """Place lines where most are expected, the likeliest first, none near another.

    Parameters
    ----------
    density
        ``(n, points)`` predicted :func:`line_density`.
    least
        Fewest expected lines within the tolerance of a placed one; one number, or ``(n,)``.

    Returns
    -------
    ndarray
        ``(n, slots, 2)`` position in axis units and the expected number of lines there, at most 1 (a
        probability); in order of position, NaN in unused slots.
    """
    tolerance = modality.match_tolerance / modality.grid.step
    window = 2 * max(1, round(tolerance)) + 1
    # Mean over the window times its width in tolerances: the expected number of lines in it.
    expected = uniform_filter1d(np.maximum(density, 0.0), window, axis=1, mode="constant") * (window / tolerance)
    reach = max(1, round(APART * tolerance))
    axis, placed = modality.grid.axis(), []
    for row, fewest in zip(expected, np.broadcast_to(least, len(expected)), strict=True):
        places = np.sort(find_peaks(np.concatenate([[-1.0], row, [-1.0]]), height=fewest, distance=reach)[0] - 1)
        placed.append(np.stack([axis[places], np.minimum(row[places], 1.0)], axis=1))
    slots = max((len(lines) for lines in placed), default=0)
    result = np.full((len(placed), slots, 2), np.nan, np.float32)
    for row, lines in zip(result, placed, strict=True):
        row[: len(lines)] = lines
    return result


def likely_lines(density: Float, modality: Modality, count: float | Double, power: float | Double) -> Float:
    """Place lines for the greatest expected F1, each row for itself.

    Parameters
    ----------
    density
        ``(n, points)`` predicted :func:`line_density`.
    count, power
        See :class:`LineRule`; one number each, or ``(n,)``.

    Returns
    -------
    ndarray
        As :func:`place_lines`.
    """
    candidates = place_lines(density, modality, LEAST_EXPECTED)
    return _best(candidates, expected_lines(density, modality), count, power)


def expected_lines(density: Float, modality: Modality) -> Double:
    """Return how many lines a density adds up to, ``(n,)``."""
    return np.asarray(density.sum(axis=1, dtype=np.float64) * modality.grid.step / modality.match_tolerance)


def fit_rule(
    weights: Mapping[str, float], density: Float, measured: Float, valid: Bool, modality: Modality, share: Double
) -> LineRule:
    """Choose how many lines to reckon with: for the best mean F1 of held-out spectra.

    Parameters
    ----------
    weights
        By which the density was mixed.
    density
        ``(n, points)`` predicted for spectra that the prediction has not seen.
    measured, valid
        ``(n, points)`` what was measured.
    share
        ``(n,)`` of the spectra in the mean.
    """
    axis = modality.grid.axis()
    true = [axis[places] for places in line_points(measured, valid)]
    candidates, expected = place_lines(density, modality, LEAST_EXPECTED), expected_lines(density, modality)
    best, chosen = -1.0, LineRule(dict(weights))
    for count in COUNTS:
        for power in POWERS:
            placed = within(_best(candidates, expected, count, power), valid, modality)
            scores = [
                match_lines(found, lines, modality.match_tolerance).f1
                for found, lines in zip(placed[:, :, 0], true, strict=True)
            ]
            score = float(np.average(np.nan_to_num(scores), weights=share))
            if score > best:
                best, chosen = score, LineRule(dict(weights), count, power)
    return chosen


def _best(candidates: Float, expected: Double, count: float | Double, power: float | Double) -> Float:
    """Keep of each row the likeliest candidates, as many as the expected F1 wants."""
    if not candidates.shape[1]:
        return candidates
    probability = (
        np.nan_to_num(candidates[:, :, 1]).astype(np.float64) ** np.broadcast_to(power, len(candidates))[:, None]
    )
    order = np.argsort(-probability, axis=1, kind="stable")
    likely = np.take_along_axis(probability, order, axis=1)
    placed = np.arange(1, likely.shape[1] + 1)
    kept = (2 * np.cumsum(likely, axis=1) / (placed + (count * expected)[:, None])).argmax(axis=1) + 1
    # Candidates are in order of position; those that are kept move to the front and stay so.
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
    lines = np.where((rank < kept[:, None])[:, :, None], candidates, np.float32(np.nan))
    moved = np.argsort(np.isnan(lines[:, :, 0]), axis=1, kind="stable")
    packed = np.take_along_axis(lines, moved[:, :, None], axis=1)
    return packed[:, : int(np.isfinite(packed[:, :, 0]).sum(axis=1).max())]


def within(lines: Float, valid: Bool, modality: Modality) -> Float:
    """Return lines without those outside what was measured."""
    grid = modality.grid
    at = np.nan_to_num((lines[:, :, 0] - grid.start) / grid.step).round().astype(np.int64)
    usable = np.take_along_axis(valid, np.clip(at, 0, grid.points - 1), axis=1)
    return np.where(usable[:, :, None], lines, np.float32(np.nan))
