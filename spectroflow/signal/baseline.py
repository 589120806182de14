"""Asymmetrically reweighted penalised least squares: the background below the lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError
from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]


def arpls(
    intensity: npt.ArrayLike,
    lam: float = 1e5,
    *,
    mask: npt.ArrayLike | None = None,
    max_iterations: int = 50,
    tolerance: float = 1e-3,
) -> Array:
    """Return the background of a spectrum by arPLS.

    S.-J. Baek, A. Park, Y.-J. Ahn, J. Choo, *Analyst* **140** (2015) 250: Whittaker smoothing whose
    weights fall off logistically for points above the background.

    Parameters
    ----------
    intensity
        Shape ``(points,)``. Values that are not finite weigh nothing.
    lam
        Stiffness; the cut-off period is about ``2 pi lam**0.25`` points.
    mask
        True where a point may be used. All by default.
    max_iterations, tolerance
        Stop when the weights change by less than ``tolerance`` of their norm.

    Returns
    -------
    array
        The background at every point, shape ``(points,)``, in the unit of the intensity.

    Raises
    ------
    UsageError
        ``lam`` is not positive, or fewer than three points can be used.
    """
    values = np.array(intensity, dtype=np.float64)
    usable = np.isfinite(values)
    if mask is not None:
        usable &= np.asarray(mask, dtype=bool)
    if not lam > 0:
        raise UsageError("the stiffness of a background must be positive", remedy="Give lam > 0.")
    if np.count_nonzero(usable) < 3:
        raise UsageError("a background needs at least three points", remedy="Give a longer spectrum.")
    values[~usable] = 0.0
    scale = float(np.max(np.abs(values))) or 1.0
    return scale * arpls_kernel(values / scale, usable.astype(np.float64), lam, max_iterations, tolerance)


@jit()
def arpls_kernel(y: Array, use: Array, lam: float, max_iterations: int, tolerance: float) -> Array:
    """Return the arPLS background of ``y`` where ``use`` is 1 for points that count and 0 for others."""
    n = y.size
    weight = use.copy()
    background = y.copy()
    for _ in range(max_iterations):
        background = whittaker(y, weight, lam)
        below = 0
        total = 0.0
        for i in range(n):
            if use[i] > 0.0 and y[i] < background[i]:
                below += 1
                total += y[i] - background[i]
        if below < 2:
            break
        mean = total / below
        spread = 0.0
        for i in range(n):
            if use[i] > 0.0 and y[i] < background[i]:
                spread += (y[i] - background[i] - mean) ** 2
        sigma = np.sqrt(spread / (below - 1))
        if not sigma > 0.0:
            break
        change = 0.0
        norm = 0.0
        for i in range(n):
            argument = 2.0 * (y[i] - background[i] - (2.0 * sigma - mean)) / sigma
            new = use[i] / (1.0 + np.exp(min(argument, 700.0)))
            change += (new - weight[i]) ** 2
            norm += weight[i] ** 2
            weight[i] = new
        if change <= tolerance * tolerance * norm:
            break
    return background


@jit()
def whittaker(y: Array, weight: Array, lam: float) -> Array:
    """Solve ``(W + lam D'D) z = W y`` with second differences ``D``, by a pentadiagonal LDL'."""
    n = y.size
    z = np.empty(n)
    d = np.empty(n)
    e = np.empty(n)
    f = np.empty(n)
    d1 = e1 = f1 = z1 = 0.0
    d2 = f2 = z2 = 0.0
    for i in range(n):
        diagonal = 6.0
        if i < 2:
            diagonal = 1.0 if i == 0 else 5.0
        if i >= n - 2:
            diagonal = min(diagonal, 1.0 if i == n - 1 else 5.0)
        if n < 4:
            diagonal = 1.0 if (i == 0 or i == n - 1) else 4.0
        above = 0.0
        if i < n - 1:
            above = -2.0 if (i == 0 or i == n - 2) else -4.0
        pivot = weight[i] + lam * diagonal - d1 * e1 * e1 - d2 * f2 * f2
        e0 = (lam * above - d1 * e1 * f1) / pivot
        f0 = lam / pivot if i < n - 2 else 0.0
        z0 = weight[i] * y[i] - e1 * z1 - f2 * z2
        d[i] = pivot
        e[i] = e0
        f[i] = f0
        z[i] = z0
        d2, f2, z2 = d1, f1, z1
        d1, e1, f1, z1 = pivot, e0, f0, z0
    z[n - 1] /= d[n - 1]
    z[n - 2] = z[n - 2] / d[n - 2] - e[n - 2] * z[n - 1]
    for i in range(n - 3, -1, -1):
        z[i] = z[i] / d[i] - e[i] * z[i + 1] - f[i] * z[i + 2]
    return z


if not COMPILED:
    from scipy.linalg import solveh_banded
    from scipy.special import expit

    def whittaker(y: Array, weight: Array, lam: float) -> Array:
        """Solve ``(W + lam D'D) z = W y`` with second differences ``D``."""
        n = y.size
        bands = np.zeros((3, n))
        rows = np.diff(np.eye(min(n, 8)), 2, axis=0)
        pattern = rows.T @ rows
        for k in range(3):
            edge = np.diagonal(pattern, k)
            half = edge.size // 2
            inner = np.full(max(n - k - 2 * half, 0), edge[half] if half < edge.size else 0.0)
            bands[k, : n - k] = lam * np.concatenate((edge[:half], inner, edge[edge.size - half :]))[: n - k]
        bands[0] += weight
        solution: Array = solveh_banded(bands, weight * y, lower=True)
        return solution

    def arpls_kernel(y: Array, use: Array, lam: float, max_iterations: int, tolerance: float) -> Array:
        """Return the arPLS background of ``y``."""
        weight = use.copy()
        background = y.copy()
        for _ in range(max_iterations):
            background = whittaker(y, weight, lam)
            residual = y - background
            below = residual[(use > 0.0) & (residual < 0.0)]
            if below.size < 2:
                break
            mean, sigma = below.mean(), below.std(ddof=1)
            if not sigma > 0.0:
                break
            new = use * expit(-2.0 * (residual - (2.0 * sigma - mean)) / sigma)
            change = np.sum((new - weight) ** 2)
            norm = np.sum(weight**2)
            weight = new
            if change <= tolerance * tolerance * norm:
                break
        return background
