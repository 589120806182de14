"""The innermost kernels in NumPy and SciPy, for where numba is not installed.

Each function stands in for the compiled one of the same name and gives the same numbers up to rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.ndimage import correlate1d

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

FOUR_LN2 = 4.0 * np.log(2.0)


def add_pseudo_voigt(x: Array, center: float, height: float, fwhm: float, eta: float, out: Array) -> None:
    """Add a pseudo-Voigt line to ``out``."""
    square = ((x - center) / fwhm) ** 2
    out += height * (eta / (1.0 + 4.0 * square) + (1.0 - eta) * np.exp(-FOUR_LN2 * square))


def add_gaussian(x: Array, center: float, height: float, fwhm: float, out: Array) -> None:
    """Add a Gaussian line to ``out``."""
    out += height * np.exp(-FOUR_LN2 * ((x - center) / fwhm) ** 2)


def add_pseudo_voigts(x: Array, table: Array, out: Array) -> None:
    """Add pseudo-Voigt lines to ``out``."""
    for center, height, fwhm, eta in table:
        add_pseudo_voigt(x, center, height, fwhm, eta, out)


def pseudo_voigt_derivatives(
    x: Array, weight: Array, center: float, height: float, fwhm: float, eta: float, out: Array
) -> None:
    """Write the weighted derivatives of a pseudo-Voigt line."""
    u = (x - center) / fwhm
    lorentz = 1.0 / (1.0 + 4.0 * u * u)
    gauss = np.exp(-FOUR_LN2 * u * u)
    slope = weight * height / fwhm * 8.0 * u * (eta * lorentz**2 + (1.0 - eta) * 0.25 * FOUR_LN2 * gauss)
    out.reshape(4, x.size)[:] = (
        slope,
        weight * (eta * lorentz + (1.0 - eta) * gauss),
        slope * u,
        weight * height * (lorentz - gauss),
    )


def self_block(jac: Array, residual: Array, matrix: Array, gradient: Array, at: int) -> None:
    """Write the block of one line with itself and its gradient."""
    rows = jac.reshape(4, residual.size)
    matrix[at : at + 4, at : at + 4] = rows @ rows.T
    gradient[at : at + 4] = rows @ residual


def cross_block(
    upper: Array, lower: Array, upper_skip: int, lower_skip: int, overlap: int, matrix: Array, row: int, column: int
) -> None:
    """Write the block between two lines."""
    a = upper.reshape(4, -1)[:, upper_skip : upper_skip + overlap]
    b = lower.reshape(4, -1)[:, lower_skip : lower_skip + overlap]
    matrix[row : row + 4, column : column + 4] = a @ b.T


def mixed_block(jac: Array, skip: int, term: Array, matrix: Array, row: int, column: int) -> None:
    """Write the block between a background term and a line."""
    matrix[row, column : column + 4] = jac.reshape(4, -1)[:, skip : skip + term.size] @ term


def dot(a: Array, b: Array) -> float:
    """Return the inner product."""
    return float(a @ b)


def factor(matrix: Array, first: Index, size: int) -> bool:  # noqa: ARG001
    """Replace the lower triangle by its Cholesky factor."""
    lower = np.tril(matrix[:size, :size])
    diagonal = np.diag(lower).copy()
    try:
        c, _ = cho_factor(lower, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False
    result = np.tril(c)
    if not np.all(np.diag(result) ** 2 > 1e-14 * diagonal):
        return False
    matrix[:size, :size] = result
    return True


def solve(lower: Array, first: Index, size: int, vector: Array) -> None:  # noqa: ARG001
    """Replace ``vector`` by the solution of ``L L' x = vector``."""
    vector[:] = cho_solve((lower[:size, :size], True), vector, check_finite=False)


def covariance_block(
    lower: Array,
    first: Index,  # noqa: ARG001
    size: int,
    at: int,
    out: Array,
    work: Array,  # noqa: ARG001
) -> None:
    """Write the block of the inverse that belongs to one line."""
    unit = np.zeros((size, 4))
    unit[at : at + 4] = np.eye(4)
    columns = solve_triangular(lower[:size, :size], unit, lower=True, check_finite=False)
    out[:] = columns.T @ columns


def weighted_residual(y: Array, fitted: Array, weight: Array) -> tuple[Array, float]:
    """Return ``(y - fitted) weight`` and the sum of its squares."""
    out = (y - fitted) * weight
    return out, float(out @ out)


def bounded_step(
    matrix: Array, gradient: Array, first: Index, size: int, damping: float, p: Array, low: Array, high: Array
) -> tuple[Array, bool]:
    """Return the damped step that stays within the bounds, and whether it could be computed."""
    bounded = p.size
    full = np.tril(matrix) + np.tril(matrix, -1).T
    idle = np.diag(full) <= 0.0
    full[np.diag_indices(size)] *= 1.0 + damping
    full[idle, idle] = 1.0
    fixed = np.zeros(size, dtype=bool)
    fixed[:bounded] = ((p <= low) & (gradient[:bounded] <= 0.0)) | ((p >= high) & (gradient[:bounded] >= 0.0))
    step = np.zeros(size)
    right = step
    for _ in range(5):
        free = ~fixed
        right = step.copy()
        if np.any(free):
            part = full[np.ix_(free, free)].copy()
            rest = np.where(idle, 0.0, gradient)[free] - full[np.ix_(free, fixed)] @ step[fixed]
            if not factor(part, first, part.shape[0]):
                return step, False
            solve(part, first, part.shape[0], rest)
            right[free] = rest
        below = np.zeros(size, dtype=bool)
        above = np.zeros(size, dtype=bool)
        below[:bounded] = free[:bounded] & (p + right[:bounded] < low)
        above[:bounded] = free[:bounded] & (p + right[:bounded] > high)
        if not np.any(below | above):
            return right, True
        step[:bounded] = np.where(below[:bounded], low - p, np.where(above[:bounded], high - p, step[:bounded]))
        fixed |= below | above
    right[:bounded] = np.clip(right[:bounded], low - p, high - p)
    return right, True


def predicted_decrease(matrix: Array, gradient: Array, first: Index, size: int, step: Array) -> float:  # noqa: ARG001
    """Return by how much the linear model lowers the sum of squares along ``step``."""
    lower = np.tril(matrix)
    return float(2.0 * gradient @ step - step @ (2.0 * (lower @ step) - np.diag(lower) * step))


def respond(r: Array, taps: Array) -> Array:
    """Return the filter's response to ``r``, mirrored at its ends."""
    half = taps.size - 1
    if r.size > half:
        result: Array = correlate1d(r, np.concatenate((taps[:0:-1], taps)), mode="mirror")
        return result
    right = r[np.maximum(r.size - 1 - np.arange(1, half + 1), 0)]
    left = r[np.minimum(np.arange(half, 0, -1), r.size - 1)]
    padded: Array = np.convolve(np.concatenate((left, r, right)), np.concatenate((taps[:0:-1], taps)), mode="valid")
    return padded
