"""What is fitted: a background and lines, each with its companion where there is one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.profiles import VOIGT, add_pseudo_voigt, add_pseudo_voigts, pseudo_voigt_derivatives
from spectroflow.peaks.voigt import add_voigt, voigt_derivatives
from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: Kinds of background term: none or linear in its coefficients; ``a exp(-b x)``.
LINEAR = 0
EXPONENTIAL = 1


class Controls(NamedTuple):
    """What the minimiser needs to know besides the data."""

    shape: int
    """PSEUDO_VOIGT or VOIGT."""
    companion_ratio: float
    """Wavelength of the second X-ray line in units of the first."""
    companion_intensity: float
    """Its intensity in units of the first; 0 without one."""
    window: float
    """Half-width of the derivatives' window in units of the line width."""
    background: int
    """LINEAR or EXPONENTIAL."""
    ftol: float
    """Stop when a step lowers chi-square by less than this share."""
    xtol: float
    """Stop when a step is predicted to lower chi-square by less than this: the squared distance from the
    minimum in standard deviations."""
    max_iterations: int


@jit()
def companion(center: float, ratio: float) -> tuple[float, float]:
    """Return where Bragg's law puts the second wavelength (degrees 2-theta), and its derivative by the first."""
    half = np.deg2rad(0.5 * center)
    sine = min(max(ratio * np.sin(half), -0.999999), 0.999999)
    other = np.arcsin(sine)
    return np.rad2deg(2.0 * other), ratio * np.cos(half) / np.cos(other)


@jit()
def add_line(x: Array, c: float, h: float, w: float, s: float, controls: Controls, out: Array) -> None:
    """Add one line, and its companion where there is one, to ``out``."""
    if controls.shape == VOIGT:
        add_voigt(x, c, h, w, s, out)
    else:
        add_pseudo_voigt(x, c, h, w, s, out)
    if controls.companion_intensity > 0.0:
        c2, _ = companion(c, controls.companion_ratio)
        if controls.shape == VOIGT:
            add_voigt(x, c2, h * controls.companion_intensity, w, s, out)
        else:
            add_pseudo_voigt(x, c2, h * controls.companion_intensity, w, s, out)


@jit()
def line_derivatives(
    x: Array, weight: Array, c: float, h: float, w: float, s: float, controls: Controls, out: Array
) -> None:
    """Write the weighted derivatives of one line, with its companion, into ``out``, four runs of ``x.size``."""
    if controls.shape == VOIGT:
        voigt_derivatives(x, weight, c, h, w, s, out)
    else:
        pseudo_voigt_derivatives(x, weight, c, h, w, s, out)
    if controls.companion_intensity > 0.0:
        c2, slope = companion(c, controls.companion_ratio)
        share = controls.companion_intensity
        n = x.size
        second = np.empty(4 * n)
        if controls.shape == VOIGT:
            voigt_derivatives(x, weight, c2, h * share, w, s, second)
        else:
            pseudo_voigt_derivatives(x, weight, c2, h * share, w, s, second)
        for k in range(n):
            out[k] += slope * second[k]
            out[n + k] += share * second[n + k]
            out[2 * n + k] += second[2 * n + k]
            out[3 * n + k] += second[3 * n + k]


@jit()
def model(x: Array, p: Array, lines: int, basis: Array, spans: Index, beta: Array, controls: Controls) -> Array:
    """Return background plus lines at every point.

    ``p`` holds centre, height, width and shape of each line in turn; ``basis`` is ``(terms, points)`` with
    each term different from zero only within its ``spans``.
    """
    out = np.zeros(x.size)
    if controls.background == EXPONENTIAL:
        for i in range(x.size):
            out[i] = beta[0] * np.exp(-beta[1] * x[i])
    else:
        for k in range(beta.size):
            row = basis[k, spans[k, 0] : spans[k, 1]]
            part = out[spans[k, 0] : spans[k, 1]]
            b = beta[k]
            for i in range(row.size):
                part[i] += b * row[i]
    add_lines_to(x, p, lines, controls, out)
    return out


@jit()
def add_lines_to(x: Array, p: Array, lines: int, controls: Controls, out: Array) -> None:
    """Add lines, and the companion of each where there is one, to ``out``."""
    if controls.shape == VOIGT:
        for i in range(lines):
            add_line(x, p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3], controls, out)
    else:
        add_pseudo_voigts(x, with_companions(p, lines, controls), out)


@jit()
def with_companions(p: Array, lines: int, controls: Controls) -> Array:
    """Return the lines as rows of centre, height, width and shape, followed by the companion of each, if any."""
    table = np.empty((2 * lines if controls.companion_intensity > 0.0 else lines, 4))
    for i in range(table.shape[0]):
        k = 4 * (i % lines)
        table[i, 0], table[i, 1], table[i, 2], table[i, 3] = p[k], p[k + 1], p[k + 2], p[k + 3]
        if i >= lines:
            table[i, 0], _ = companion(p[k], controls.companion_ratio)
            table[i, 1] *= controls.companion_intensity
    return table


@jit()
def weighted_residual(y: Array, fitted: Array, weight: Array) -> tuple[Array, float]:
    """Return ``(y - fitted) weight`` and the sum of its squares."""
    out = np.empty(y.size)
    total = 0.0
    for i in range(y.size):
        r = (y[i] - fitted[i]) * weight[i]
        out[i] = r
        total += r * r
    return out, total


if not COMPILED:
    from spectroflow.peaks import plain

    globals().update(weighted_residual=plain.weighted_residual)
