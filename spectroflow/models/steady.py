"""Likeness in which what differs between measurements of one material counts less.

Spectra of one material differ by laser, orientation, background and impurities, and much of that lies in a few
directions. What of a spectrum lies in them says little of what it is a spectrum of, so it is taken away by as much as
the direction varies within materials::

    W        =  mean over materials of the covariance of their spectra  =  sum over directions  e v v'
    x . y   ->  x . y  -  sum over directions  e / (e + mean e)  (x . v) (y . v),    then of unit length again

This is within-class covariance normalisation (Hatch, Kajarekar and Stolcke, INTERSPEECH 2006), shrunk by the mean
eigenvalue, of the leading directions. They are combinations of training spectra, so that the likeness of a new spectrum
follows from its inner products with those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

STEADY_KINDS = {"steady shape": "shape", "steady local": "local", "steady steep": "steep"}
"""The views that are looked at in this way, see ``features.py``."""

MOST_DIRECTIONS = 64
LEAST_MATERIALS = 10  # with two spectra, or what differs within a material is not known
LEAST_SHARE = 1e-3  # of a direction that is worth taking away


@dataclass(frozen=True)
class Directions:
    """In which spectra of one material differ, in one view.

    Attributes
    ----------
    mixture
        ``(n, directions)``: inner products with the spectra that were learned from, times this, are coordinates.
    coordinates
        ``(rows, directions)`` of all spectra of the modality.
    """

    mixture: Float
    coordinates: Float

    def likeness(self, similar: Float, towards: Float, rows: Int) -> Float:
        """Return ``(queries, rows)`` from the inner products with the spectra learned from, and with the rows."""
        asked, own = similar @ self.mixture, self.coordinates[rows]
        lengths = [np.sqrt(np.maximum(1.0 - (part * part).sum(axis=1), 1e-6)) for part in (asked, own)]
        return np.asarray((towards - asked @ own.T) / (lengths[0][:, None] * lengths[1]), np.float32)


@dataclass(frozen=True)
class Steady:
    """What differs within materials, and likeness without it.

    Attributes
    ----------
    rows
        ``(n,)`` spectra that it was learned from.
    views
        ``{view: directions}``
    """

    rows: Int
    views: Mapping[str, Directions]

    @classmethod
    def fit(cls, features: Mapping[str, Float], material: Int, rows: Int) -> Steady | None:
        """Learn from some of the spectra of a modality; None where too few materials have two.

        Parameters
        ----------
        features
            ``{view: (all rows, points)}`` of unit length, or zero.
        material
            ``(all rows,)``
        rows
            ``(n,)``
        """
        _, place, counts = np.unique(material[rows], return_inverse=True, return_counts=True)
        if (counts > 1).sum() < LEAST_MATERIALS:
            return None
        several = counts[place] > 1
        rows = rows[several]
        return cls(rows, {name: _directions(features[kind], rows, material) for name, kind in STEADY_KINDS.items()})

    def similarity(self, similar: Mapping[str, Float], rows: Int | None = None) -> dict[str, Float]:
        """Return likeness to some spectra of the modality, or to all, ``{steady view: (queries, rows)}``.

        Parameters
        ----------
        similar
            ``{view: (queries, all rows)}`` inner products.
        """
        found = {}
        for name, directions in self.views.items():
            plain = similar[STEADY_KINDS[name]]
            chosen = np.arange(plain.shape[1]) if rows is None else rows
            found[name] = directions.likeness(plain[:, self.rows], plain[:, chosen], chosen)
        return found


def shown_enough(valid: Bool, rows: Int) -> Int:
    """Return the rows that show at least half as much of the axis as any: parts of it differ by what they show."""
    if not len(rows):
        return rows
    measured = valid[rows].sum(axis=1)
    kept: Bool = 2 * measured >= measured.max()
    return rows[kept]


def _directions(view: Float, rows: Int, material: Int) -> Directions:
    _, place, counts = np.unique(material[rows], return_inverse=True, return_counts=True)
    share = 1.0 / np.sqrt((counts - 1.0) * len(counts))[place][:, None]
    deviation = _from_mean(view[rows].astype(np.float64), place, counts) * share
    # The same eigenvalues from whichever product is smaller; ``axes`` are the directions, (points, directions).
    tall = len(deviation) > deviation.shape[1]
    values, vectors = np.linalg.eigh(deviation.T @ deviation if tall else deviation @ deviation.T)
    mean = values.sum() / deviation.shape[1]
    values, vectors = values[::-1][:MOST_DIRECTIONS], vectors[:, ::-1][:, :MOST_DIRECTIONS]
    kept = values > LEAST_SHARE * mean
    values, vectors = values[kept], vectors[:, kept]
    axes = vectors if tall else deviation.T @ vectors / np.sqrt(values)
    taken = np.sqrt(values / (values + mean))
    mixture = _from_mean(deviation @ axes * share, place, counts) * taken / values
    return Directions(mixture.astype(np.float32), (view @ (axes * taken)).astype(np.float32))


def _from_mean(values: Double, place: Int, counts: Int) -> Double:
    """Subtract from each row the mean of its material."""
    total = np.zeros((len(counts), values.shape[1]))
    np.add.at(total, place, values)
    return np.asarray(values - (total / counts[:, None])[place], np.float64)
