"""The background that is fitted together with the lines: a cubic spline with few knots."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.normal import dot, factor, solve
from spectroflow.signal.baseline import arpls_kernel
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: Coefficients of the spline: enough for what fluorescence and air scatter do, too few to follow a line.
BACKGROUND_TERMS = 10


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
    step = pieces / max(points - 1, 1)
    for piece in range(pieces):
        start = int(np.ceil(piece * (points - 1) / pieces))
        stop = points if piece == pieces - 1 else int(np.ceil((piece + 1) * (points - 1) / pieces))
        a, b = basis[piece, start:stop], basis[piece + 1, start:stop]
        c, d = basis[piece + 2, start:stop], basis[piece + 3, start:stop]
        for i in range(stop - start):
            u = step * (start + i) - piece
            v = 1.0 - u
            a[i] = v * v * v / 6.0
            b[i] = (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0
            c[i] = (3.0 * v * v * v - 6.0 * v * v + 4.0) / 6.0
            d[i] = u * u * u / 6.0
        for k in range(piece, piece + 4):
            spans[k, 0] = min(spans[k, 0], start)
            spans[k, 1] = max(spans[k, 1], stop)
    return basis, spans


@jit()
def weighted_basis(basis: Array, spans: Index, weight: Array) -> Array:
    """Return ``basis`` times the weights; only within ``spans``."""
    out = np.empty(basis.shape)
    for k in range(basis.shape[0]):
        source, part = basis[k, spans[k, 0] : spans[k, 1]], out[k, spans[k, 0] : spans[k, 1]]
        own = weight[spans[k, 0] : spans[k, 1]]
        for i in range(source.size):
            part[i] = source[i] * own[i]
    return out


@jit()
def terms_block(terms: Array, spans: Index) -> Array:
    """Return the inner products of the background's derivatives (lower triangle)."""
    count = terms.shape[0]
    out = np.zeros((count, count))
    for k in range(count):
        for j in range(k + 1):
            a, b = max(spans[k, 0], spans[j, 0]), min(spans[k, 1], spans[j, 1])
            if b > a:
                out[k, j] = dot(terms[k, a:b], terms[j, a:b])
    return out


@jit()
def fit_linear(y: Array, weight: Array, basis: Array, spans: Index) -> tuple[Array, bool]:
    """Return the coefficients of the weighted least-squares fit of ``basis`` to ``y``, and whether it exists."""
    terms = basis.shape[0]
    weighted = weighted_basis(basis, spans, weight)
    matrix = terms_block(weighted, spans)
    data = y * weight
    beta = np.zeros(terms)
    first = np.zeros(terms, np.int64)
    for k in range(terms):
        a, b = spans[k, 0], spans[k, 1]
        beta[k] = dot(weighted[k, a:b], data[a:b])
        first[k] = k
        while first[k] > 0 and spans[first[k] - 1, 1] > a:
            first[k] -= 1
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


@jit()
def first_background(y: Array) -> Array:
    """Return a stiff arPLS background, computed on block means where there are many points."""
    n = y.size
    block = max(1, n // 128)
    blocks = n // block
    coarse = np.empty(blocks)
    for b in range(blocks):
        total = 0.0
        for i in range(b * block, (b + 1) * block):
            total += y[i]
        coarse[b] = total / block
    period = 2.0 * blocks / (BACKGROUND_TERMS - 3)
    z = arpls_kernel(coarse, np.ones(blocks), (period / (2.0 * np.pi)) ** 4, 30, 3e-2)
    out = np.empty(n)
    for i in range(n):
        t = (i + 0.5) / block - 0.5
        k = min(max(int(np.floor(t)), 0), blocks - 2)
        u = t - k
        out[i] = (1.0 - u) * z[k] + u * z[k + 1]
    return out
