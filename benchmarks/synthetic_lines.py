"""Synthetic spectra with known lines, what can be known of them at best, and how well it was found.

A spectrum has 1,024 points and 5 to 15 Voigt lines on a smooth background, with white noise of standard
deviation one. Line heights are 5 to 70 noise units, evenly by logarithm; full widths 4 to 24 points;
Lorentzian shares anything from 0 to 1. Every second line stands beside another one, at 0.5 to 1.5 times
their mean width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import wofz

POINTS = 1024


@dataclass(frozen=True)
class Truth:
    """Lines of one spectrum: ``(lines, 4)`` centre, height, FWHM, Lorentzian share, and their bounds (1 sigma)."""

    lines: np.ndarray
    center_sigma: np.ndarray
    area_over_sigma: np.ndarray

    @property
    def identifiable(self) -> np.ndarray:
        """Lines whose area is known to one part in five and whose centre to a quarter of the width, at best."""
        return (self.area_over_sigma > 5.0) & (self.center_sigma < self.lines[:, 2] / 4.0)


def voigt(x: np.ndarray, center: float, height: float, fwhm: float, share: float) -> np.ndarray:
    """Return a Voigt line from its height, full width and Lorentzian share of the width."""
    gauss = fwhm * np.sqrt(max((1 - 0.5343205 * share) ** 2 - (0.4656795 * share) ** 2, 1e-9))
    sigma = gauss / np.sqrt(8 * np.log(2))
    gamma = fwhm * share / 2
    top = wofz(1j * gamma / (sigma * np.sqrt(2))).real
    return height * wofz((x - center + 1j * gamma) / (sigma * np.sqrt(2))).real / top


def lines(rng: np.random.Generator, points: int = POINTS) -> np.ndarray:
    """Return the lines of one spectrum, ``(5 to 15, 4)``, by ascending centre."""
    count = int(rng.integers(5, 16))
    rows: list[tuple[float, float, float, float]] = []
    while len(rows) < count:
        height = 5.0 * 14.0 ** rng.random()
        fwhm = 4.0 * 6.0 ** rng.random()
        share = rng.uniform(0.0, 0.95)
        if len(rows) % 2 == 1:
            center_0, _, fwhm_0, _ = rows[-1]
            center = center_0 + rng.choice((-1, 1)) * rng.uniform(0.5, 1.5) * (fwhm + fwhm_0) / 2
        else:
            center = rng.uniform(30.0, points - 30.0)
        if 25.0 < center < points - 25.0:
            rows.append((center, height, fwhm, share))
    return np.array(sorted(rows))


def background(rng: np.random.Generator, points: int = POINTS) -> np.ndarray:
    """Return a smooth background: a slope, a bow and a broad hump, up to about a hundred noise units."""
    t = np.linspace(-1.0, 1.0, points)
    hump = rng.uniform(0, 60) * np.exp(-0.5 * ((t - rng.uniform(-1, 1)) / rng.uniform(0.35, 0.8)) ** 2)
    return 50.0 + rng.uniform(-20, 20) * t + rng.uniform(-15, 15) * t**2 + hump


def bounds(x: np.ndarray, true: np.ndarray) -> Truth:
    """Return the Cramer-Rao bounds of all lines together, for unit noise and a known background."""
    columns = []
    for row in true:
        for k in range(4):
            step = (1e-4 * row[2], 1e-3 * row[1], 1e-4 * row[2], 1e-4)[k]
            upper, lower = row.copy(), row.copy()
            upper[k] += step
            lower[k] -= step
            if k == 3:
                lower[k] = max(lower[k], 0.0)
            columns.append((voigt(x, *upper) - voigt(x, *lower)) / (upper[k] - lower[k]))
    jacobian = np.array(columns)
    covariance = np.linalg.pinv(jacobian @ jacobian.T, rcond=1e-13)
    center = np.sqrt(np.maximum(np.diag(covariance)[0::4], 0.0))
    ratio = np.empty(len(true))
    for i, row in enumerate(true):
        slope = np.empty(4)
        for k in range(4):
            step = (1.0, 1e-3 * row[1], 1e-4 * row[2], 1e-4)[k]
            upper = row.copy()
            upper[k] += step
            slope[k] = (_area(upper) - _area(row)) / step
        block = covariance[4 * i : 4 * i + 4, 4 * i : 4 * i + 4]
        ratio[i] = _area(row) / np.sqrt(max(slope @ block @ slope, 1e-300))
    return Truth(true, center, ratio)


def _area(row: np.ndarray) -> float:
    _, height, fwhm, share = row
    gauss = fwhm * np.sqrt(max((1 - 0.5343205 * share) ** 2 - (0.4656795 * share) ** 2, 1e-9))
    sigma = gauss / np.sqrt(8 * np.log(2))
    top = wofz(1j * fwhm * share / 2 / (sigma * np.sqrt(2))).real
    return float(height * sigma * np.sqrt(2 * np.pi) / top)


def spectra(count: int, seed: int, *, with_background: bool = True) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return axis ``(points,)``, intensities ``(count, points)`` and the true lines of each."""
    x = np.arange(POINTS, dtype=float)
    rows, truths = [], []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        true = lines(rng)
        y = sum(voigt(x, *row) for row in true)
        if with_background:
            y = y + background(rng)
        rows.append(y + rng.normal(size=POINTS))
        truths.append(true)
    return x, np.array(rows), truths


#: True lines belong to one blend where their centres are nearer than this many mean widths.
BLEND = 1.5


def resolved(truth: np.ndarray, matched: set[int]) -> np.ndarray:
    """Return which true lines stand in a blend every line of which was matched to a line of its own."""
    apart = np.abs(truth[:, None, 0] - truth[None, :, 0]) / (0.5 * (truth[:, None, 2] + truth[None, :, 2]))
    lost = np.array([t not in matched for t in range(len(truth))])
    return ~np.any((apart < BLEND) & lost, axis=1)


@dataclass
class Score:
    """What was found of what there was, over many spectra.

    Pulls, the error of a centre over its reported sigma, are of matched identifiable lines, none left out as an
    outlier. ``pulls_all`` has all of them; ``pulls`` those whose blend was resolved. Where two true lines were taken
    for one, the one found is the centre of both and no measurement of either: recall counts that error.
    """

    identifiable: int = 0
    identifiable_found: int = 0
    true: int = 0
    true_found: int = 0
    found: int = 0
    found_right: int = 0
    without_sigma: int = 0
    centre_errors: list[float] = field(default_factory=list)
    pulls: list[float] = field(default_factory=list)
    pulls_all: list[float] = field(default_factory=list)

    def add(self, truth: Truth, table: np.ndarray) -> None:
        """Count one spectrum; ``table`` is ``(lines, 11)`` as a fit returns it."""
        pairs = match(truth.lines, table[:, 0])
        names = truth.identifiable
        alone = resolved(truth.lines, {t for t, _ in pairs})
        self.identifiable += int(names.sum())
        self.true += len(names)
        self.found += len(table)
        for t, f in pairs:
            self.true_found += 1
            self.found_right += 1
            self.identifiable_found += bool(names[t])
            if not names[t]:
                continue
            error = table[f, 0] - truth.lines[t, 0]
            self.centre_errors.append(abs(error) / truth.center_sigma[t])
            if not table[f, 5] > 0:
                self.without_sigma += 1
                continue
            self.pulls_all.append(error / table[f, 5])
            if alone[t]:
                self.pulls.append(error / table[f, 5])

    def figures(self) -> dict[str, float]:
        """Return the qualities by the names that the goals use."""
        every = np.array(self.pulls_all)
        return {
            "recall_identifiable": self.identifiable_found / max(self.identifiable, 1),
            "recall_all": self.true_found / max(self.true, 1),
            "precision": self.found_right / max(self.found, 1),
            "centre_error_over_sigma": float(np.median(self.centre_errors)),
            "pull_std": float(np.std(self.pulls)),
            "pull_std_all": float(np.std(every)),
            "pull_spread_robust_all": 1.4826 * float(np.median(np.abs(every - np.median(every)))),
            "lines_of_unresolved_blends": 1.0 - len(self.pulls) / max(len(every), 1),
            "lines_without_sigma": self.without_sigma / max(self.identifiable_found, 1),
        }


def match(true: np.ndarray, found: np.ndarray) -> list[tuple[int, int]]:
    """Pair true with found lines one to one, nearest first, within half a true width."""
    if len(true) == 0 or len(found) == 0:
        return []
    distance = np.abs(true[:, None, 0] - found[None, :]) / (0.5 * true[:, None, 2])
    pairs = []
    for flat in np.argsort(distance, axis=None):
        t, f = np.unravel_index(flat, distance.shape)
        if distance[t, f] > 1.0:
            break
        if all(t != a and f != b for a, b in pairs):
            pairs.append((int(t), int(f)))
    return pairs
