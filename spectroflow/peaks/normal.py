"""Normal equations whose lines overlap with few others: assembly, factorisation, covariance.

The matrix is kept dense in memory, row by row, but only from the first column in each row that can
differ from zero (an envelope, or skyline). A Cholesky factor keeps the envelope, so that a hundred
separate lines cost about a hundred times one line.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@jit()
def self_block(jac: Array, residual: Array, matrix: Array, gradient: Array, at: int) -> None:
    """Write the 4 x 4 block of one line with itself and its gradient.

    ``jac`` holds the four derivatives one after the other, each over the points of ``residual``.
    """
    n = residual.size
    a0, a1, a2, a3 = jac[:n], jac[n : 2 * n], jac[2 * n : 3 * n], jac[3 * n : 4 * n]
    s00 = s10 = s11 = s20 = s21 = s22 = s30 = s31 = s32 = s33 = 0.0
    g0 = g1 = g2 = g3 = 0.0
    for k in range(residual.size):
        b0, b1, b2, b3, r = a0[k], a1[k], a2[k], a3[k], residual[k]
        s00 += b0 * b0
        s10 += b1 * b0
        s11 += b1 * b1
        s20 += b2 * b0
        s21 += b2 * b1
        s22 += b2 * b2
        s30 += b3 * b0
        s31 += b3 * b1
        s32 += b3 * b2
        s33 += b3 * b3
        g0 += b0 * r
        g1 += b1 * r
        g2 += b2 * r
        g3 += b3 * r
    matrix[at, at] = s00
    matrix[at + 1, at] = s10
    matrix[at + 1, at + 1] = s11
    matrix[at + 2, at] = s20
    matrix[at + 2, at + 1] = s21
    matrix[at + 2, at + 2] = s22
    matrix[at + 3, at] = s30
    matrix[at + 3, at + 1] = s31
    matrix[at + 3, at + 2] = s32
    matrix[at + 3, at + 3] = s33
    gradient[at] = g0
    gradient[at + 1] = g1
    gradient[at + 2] = g2
    gradient[at + 3] = g3


@jit()
def cross_block(
    upper: Array, lower: Array, upper_skip: int, lower_skip: int, overlap: int, matrix: Array, row: int, column: int
) -> None:
    """Write the 4 x 4 block between two lines from the ``overlap`` points that come after the skipped ones."""
    n, m = upper.size // 4, lower.size // 4
    a0 = upper[upper_skip : upper_skip + overlap]
    a1 = upper[n + upper_skip : n + upper_skip + overlap]
    a2 = upper[2 * n + upper_skip : 2 * n + upper_skip + overlap]
    a3 = upper[3 * n + upper_skip : 3 * n + upper_skip + overlap]
    b0 = lower[lower_skip : lower_skip + overlap]
    b1 = lower[m + lower_skip : m + lower_skip + overlap]
    b2 = lower[2 * m + lower_skip : 2 * m + lower_skip + overlap]
    b3 = lower[3 * m + lower_skip : 3 * m + lower_skip + overlap]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    for k in range(a0.size):
        u0, u1, u2, u3 = a0[k], a1[k], a2[k], a3[k]
        v0, v1, v2, v3 = b0[k], b1[k], b2[k], b3[k]
        s00 += u0 * v0
        s01 += u0 * v1
        s02 += u0 * v2
        s03 += u0 * v3
        s10 += u1 * v0
        s11 += u1 * v1
        s12 += u1 * v2
        s13 += u1 * v3
        s20 += u2 * v0
        s21 += u2 * v1
        s22 += u2 * v2
        s23 += u2 * v3
        s30 += u3 * v0
        s31 += u3 * v1
        s32 += u3 * v2
        s33 += u3 * v3
    matrix[row, column] = s00
    matrix[row, column + 1] = s01
    matrix[row, column + 2] = s02
    matrix[row, column + 3] = s03
    matrix[row + 1, column] = s10
    matrix[row + 1, column + 1] = s11
    matrix[row + 1, column + 2] = s12
    matrix[row + 1, column + 3] = s13
    matrix[row + 2, column] = s20
    matrix[row + 2, column + 1] = s21
    matrix[row + 2, column + 2] = s22
    matrix[row + 2, column + 3] = s23
    matrix[row + 3, column] = s30
    matrix[row + 3, column + 1] = s31
    matrix[row + 3, column + 2] = s32
    matrix[row + 3, column + 3] = s33


@jit()
def mixed_block(jac: Array, skip: int, term: Array, matrix: Array, row: int, column: int) -> None:
    """Write the 1 x 4 block between a background term and a line, whose first ``skip`` points it does not share."""
    n, m = jac.size // 4, term.size
    a0 = jac[skip : skip + m]
    a1 = jac[n + skip : n + skip + m]
    a2 = jac[2 * n + skip : 2 * n + skip + m]
    a3 = jac[3 * n + skip : 3 * n + skip + m]
    s0 = s1 = s2 = s3 = 0.0
    for k in range(term.size):
        t = term[k]
        s0 += t * a0[k]
        s1 += t * a1[k]
        s2 += t * a2[k]
        s3 += t * a3[k]
    matrix[row, column] = s0
    matrix[row, column + 1] = s1
    matrix[row, column + 2] = s2
    matrix[row, column + 3] = s3


@jit()
def dot(a: Array, b: Array) -> float:
    """Return the inner product."""
    total = 0.0
    for k in range(a.size):
        total += a[k] * b[k]
    return total


@jit()
def block_start(first: Index, i: int) -> int:
    """Return the first column, a multiple of four, of the block of four rows that begins with ``i``."""
    return int(min(min(first[i], first[i + 1]), min(first[i + 2], first[i + 3])) // 4 * 4)


@jit()
def factor_row(matrix: Array, first: Index, i: int, start: int, begin: int) -> bool:
    """Factor row ``i``, whose entries differ from zero from ``start`` on and are done up to ``begin``."""
    row = matrix[i]
    for j in range(begin, i):
        other = matrix[j]
        total = row[j]
        for k in range(max(start, first[j]), j):
            total -= row[k] * other[k]
        row[j] = total / other[j]
    diagonal = row[i]
    rest = diagonal
    for k in range(start, i):
        rest -= row[k] * row[k]
    if not rest > 1e-14 * diagonal:
        return False
    row[i] = np.sqrt(rest)
    return True


@jit()
def factor(matrix: Array, first: Index, size: int) -> bool:
    """Replace the lower triangle by its Cholesky factor within the envelope; False where it is singular.

    Blocks of 4 x 4 are worked on in registers: the rows of a line are too short for loops over one at a time. What
    lies left of the envelope must be zero down to the last multiple of four.
    """
    full = size // 4 * 4
    turned = np.empty((full, full))
    for i in range(0, full, 4):
        start = block_start(first, i)
        r0, r1, r2, r3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        for j in range(start, i, 4):
            s00, s01, s02, s03 = r0[j], r0[j + 1], r0[j + 2], r0[j + 3]
            s10, s11, s12, s13 = r1[j], r1[j + 1], r1[j + 2], r1[j + 3]
            s20, s21, s22, s23 = r2[j], r2[j + 1], r2[j + 2], r2[j + 3]
            s30, s31, s32, s33 = r3[j], r3[j + 1], r3[j + 2], r3[j + 3]
            begin = max(start, block_start(first, j))
            for k in range(begin, j):
                u0, u1, u2, u3 = r0[k], r1[k], r2[k], r3[k]
                t = turned[k]
                v0, v1, v2, v3 = t[j], t[j + 1], t[j + 2], t[j + 3]
                s00 -= u0 * v0
                s01 -= u0 * v1
                s02 -= u0 * v2
                s03 -= u0 * v3
                s10 -= u1 * v0
                s11 -= u1 * v1
                s12 -= u1 * v2
                s13 -= u1 * v3
                s20 -= u2 * v0
                s21 -= u2 * v1
                s22 -= u2 * v2
                s23 -= u2 * v3
                s30 -= u3 * v0
                s31 -= u3 * v1
                s32 -= u3 * v2
                s33 -= u3 * v3
            t = matrix[j]
            d = 1.0 / t[j]
            s00, s10, s20, s30 = s00 * d, s10 * d, s20 * d, s30 * d
            t = matrix[j + 1]
            a, d = t[j], 1.0 / t[j + 1]
            s01, s11, s21, s31 = (s01 - a * s00) * d, (s11 - a * s10) * d, (s21 - a * s20) * d, (s31 - a * s30) * d
            t = matrix[j + 2]
            a, b, d = t[j], t[j + 1], 1.0 / t[j + 2]
            s02 = (s02 - a * s00 - b * s01) * d
            s12 = (s12 - a * s10 - b * s11) * d
            s22 = (s22 - a * s20 - b * s21) * d
            s32 = (s32 - a * s30 - b * s31) * d
            t = matrix[j + 3]
            a, b, c, d = t[j], t[j + 1], t[j + 2], 1.0 / t[j + 3]
            s03 = (s03 - a * s00 - b * s01 - c * s02) * d
            s13 = (s13 - a * s10 - b * s11 - c * s12) * d
            s23 = (s23 - a * s20 - b * s21 - c * s22) * d
            s33 = (s33 - a * s30 - b * s31 - c * s32) * d
            r0[j], r0[j + 1], r0[j + 2], r0[j + 3] = s00, s01, s02, s03
            r1[j], r1[j + 1], r1[j + 2], r1[j + 3] = s10, s11, s12, s13
            r2[j], r2[j + 1], r2[j + 2], r2[j + 3] = s20, s21, s22, s23
            r3[j], r3[j + 1], r3[j + 2], r3[j + 3] = s30, s31, s32, s33
            t = turned[j]
            t[i], t[i + 1], t[i + 2], t[i + 3] = s00, s10, s20, s30
            t = turned[j + 1]
            t[i], t[i + 1], t[i + 2], t[i + 3] = s01, s11, s21, s31
            t = turned[j + 2]
            t[i], t[i + 1], t[i + 2], t[i + 3] = s02, s12, s22, s32
            t = turned[j + 3]
            t[i], t[i + 1], t[i + 2], t[i + 3] = s03, s13, s23, s33
        for r in range(i, i + 4):
            if not factor_row(matrix, first, r, start, i):
                return False
            for k in range(i, r + 1):
                turned[k, r] = matrix[r, k]
    solved = True
    for r in range(full, size):
        solved = solved and factor_row(matrix, first, r, first[r], first[r])
    return solved


@jit()
def solve(lower: Array, first: Index, size: int, vector: Array) -> None:
    """Replace ``vector`` by the solution of ``L L' x = vector``."""
    for i in range(size):
        row = lower[i]
        total = vector[i]
        for k in range(first[i], i):
            total -= row[k] * vector[k]
        vector[i] = total / row[i]
    for i in range(size - 1, -1, -1):
        row = lower[i]
        value = vector[i] / row[i]
        vector[i] = value
        for k in range(first[i], i):
            vector[k] -= row[k] * value


@jit()
def covariance_block(lower: Array, first: Index, size: int, at: int, out: Array, work: Array) -> None:
    """Write the 4 x 4 block of the inverse that belongs to the line at ``at`` into ``out``.

    ``work`` has shape ``(size, 4)``: the columns of the inverse factor, whose inner products are the block.
    """
    out[:] = 0.0
    for i in range(at, size):
        row = lower[i]
        t0 = 1.0 if i == at else 0.0
        t1 = 1.0 if i == at + 1 else 0.0
        t2 = 1.0 if i == at + 2 else 0.0
        t3 = 1.0 if i == at + 3 else 0.0
        for k in range(max(first[i], at), i):
            value = row[k]
            t0 -= value * work[k, 0]
            t1 -= value * work[k, 1]
            t2 -= value * work[k, 2]
            t3 -= value * work[k, 3]
        inverse = 1.0 / row[i]
        t0 *= inverse
        t1 *= inverse
        t2 *= inverse
        t3 *= inverse
        work[i, 0], work[i, 1], work[i, 2], work[i, 3] = t0, t1, t2, t3
        out[0, 0] += t0 * t0
        out[1, 0] += t1 * t0
        out[1, 1] += t1 * t1
        out[2, 0] += t2 * t0
        out[2, 1] += t2 * t1
        out[2, 2] += t2 * t2
        out[3, 0] += t3 * t0
        out[3, 1] += t3 * t1
        out[3, 2] += t3 * t2
        out[3, 3] += t3 * t3
    for a in range(4):
        for b in range(a):
            out[b, a] = out[a, b]


if not COMPILED:
    from spectroflow.peaks import plain

    globals().update(
        self_block=plain.self_block,
        cross_block=plain.cross_block,
        mixed_block=plain.mixed_block,
        dot=plain.dot,
        factor=plain.factor,
        solve=plain.solve,
        covariance_block=plain.covariance_block,
    )
