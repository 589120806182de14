"""The background that is fitted together with the lines: a cubic spline with few knots."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.normal import dot, factor, solve
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@jit()
def spline_basis(points: int, terms: int) -> tuple[Array, Index]:
    """Return ``terms`` uniform cubic B-splines over ``points`` samples, and where each differs from zero.

    Knots are even in sample number, so that each spline is supported by data however the axis is spaced.
    At least four terms (one cubic); fewer give no spline at all.
    """
    if terms < 4:
        return np.zeros((0, points)), np.zeros((0, 2), np.int64)
    basis = np.zeros((terms, points))
    spans = np.zeros((terms, 2), np.int64)
    pieces = terms - 3
    for k in range(terms):
        spans[k, 0] = points
    for i in range(points):
        t = pieces * i / max(points - 1, 1)
        piece = min(int(t), pieces - 1)
        u = t - piece
        v = 1.0 - u
        basis[piece, i] = v * v * v / 6.0
        basis[piece + 1, i] = (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0
        basis[piece + 2, i] = (3.0 * v * v * v - 6.0 * v * v + 4.0) / 6.0
        basis[piece + 3, i] = u * u * u / 6.0
        for k in range(piece, piece + 4):
            spans[k, 0] = min(spans[k, 0], i)
            spans[k, 1] = i + 1
    return basis, spans


@jit()
def fit_linear(y: Array, weight: Array, basis: Array, spans: Index) -> tuple[Array, bool]:
    """Return the coefficients of the weighted least-squares fit of ``basis`` to ``y``, and whether it exists."""
    terms = basis.shape[0]
    beta = np.zeros(terms)
    weighted = basis * weight
    data = y * weight
    matrix = np.zeros((terms, terms))
    first = np.zeros(terms, np.int64)
    for k in range(terms):
        row = weighted[k]
        first[k] = k
        beta[k] = dot(row[spans[k, 0] : spans[k, 1]], data[spans[k, 0] : spans[k, 1]])
        for j in range(k, -1, -1):
            begin, end = max(spans[k, 0], spans[j, 0]), min(spans[k, 1], spans[j, 1])
            if end <= begin:
                break
            matrix[k, j] = dot(row[begin:end], weighted[j, begin:end])
            first[k] = j
    if not factor(matrix, first, terms):
        return np.zeros(terms), False
    solve(matrix, first, terms, beta)
    return beta, True


@jit()
def background_values(points: int, basis: Array, spans: Index, beta: Array) -> Array:
    """Return the background at every point."""
    out = np.zeros(points)
    for k in range(beta.size):
        row, part = basis[k, spans[k, 0] : spans[k, 1]], out[spans[k, 0] : spans[k, 1]]
        for i in range(row.size):
            part[i] += beta[k] * row[i]
    return out
