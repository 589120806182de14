"""Compiled line profiles: values and derivatives over a run of points.

Every profile is ``height * f(u)`` with ``u = (x - center) / fwhm`` and ``f(0) = 1``. The fourth parameter
is the Lorentzian fraction for the pseudo-Voigt family, and the share ``q`` of the Lorentzian in the full
width for the Voigt profile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, STRICT, jit

Array = npt.NDArray[np.float64]

#: Shape codes as the kernels know them.
PSEUDO_VOIGT = 0
VOIGT = 1

FOUR_LN2 = 4.0 * np.log(2.0)
#: Beyond this many widths a Gaussian is below 1e-16 of its height.
GAUSS_REACH = 3.65

LOG2E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
ROUNDER = 6755399441055744.0

if COMPILED:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def _as_float(context: Any, value: Any) -> Any:  # noqa: ARG001
        """Reinterpret the bits of an int64 as a float64."""

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.int64), code

    @intrinsic
    def _as_int(context: Any, value: Any) -> Any:  # noqa: ARG001
        """Reinterpret the bits of a float64 as an int64."""

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.bitcast(args[0], ir.IntType(64))

        return types.int64(types.float64), code

    @jit(STRICT)
    def exponential(t: float) -> float:
        """Return ``exp(t)`` for ``-700 < t <= 0`` to two units in the last place.

        Written out, because a call of the C library would keep the loops around it out of the vector
        registers: reduction by powers of two through the rounding constant, then the Taylor series.
        """
        shifted = t * LOG2E + ROUNDER
        whole = shifted - ROUNDER
        rest = t - whole * LN2_HIGH - whole * LN2_LOW
        s = 1.6059043836821613e-10
        s = s * rest + 2.08767569878681e-09
        s = s * rest + 2.505210838544172e-08
        s = s * rest + 2.755731922398589e-07
        s = s * rest + 2.7557319223985893e-06
        s = s * rest + 2.48015873015873e-05
        s = s * rest + 1.984126984126984e-04
        s = s * rest + 1.388888888888889e-03
        s = s * rest + 8.333333333333333e-03
        s = s * rest + 4.1666666666666664e-02
        s = s * rest + 0.16666666666666666
        s = s * rest + 0.5
        s = s * rest + 1.0
        s = s * rest + 1.0
        return float(s * _as_float((_as_int(shifted) + 1023) << 52))


@jit()
def reach(x: Array, low: float, high: float) -> tuple[int, int]:
    """Return the first index with ``x >= low`` and the first with ``x > high``, for ascending ``x``."""
    start, stop = 0, x.size
    while start < stop:
        middle = (start + stop) // 2
        if x[middle] < low:
            start = middle + 1
        else:
            stop = middle
    begin, stop = start, x.size
    while start < stop:
        middle = (start + stop) // 2
        if x[middle] <= high:
            start = middle + 1
        else:
            stop = middle
    return begin, start


@jit()
def add_pseudo_voigt(x: Array, center: float, height: float, fwhm: float, eta: float, out: Array) -> None:
    """Add a pseudo-Voigt line to ``out`` at every point."""
    inverse = 1.0 / fwhm
    if eta > 0.0:
        a = height * eta
        for i in range(x.size):
            u = (x[i] - center) * inverse
            out[i] += a / (1.0 + 4.0 * u * u)
    add_gaussian(x, center, height * (1.0 - eta), fwhm, out)


@jit()
def add_pseudo_voigts(x: Array, table: Array, out: Array) -> None:
    """Add lines, rows of centre, height, width and Lorentzian fraction, to ``out`` at every point.

    Lorentzians are summed four to a common denominator: one division instead of four.
    """
    lines = table.shape[0]
    c, a, v = np.zeros(lines + 3), np.zeros(lines + 3), np.zeros(lines + 3)
    for k in range(lines):
        c[k], a[k], v[k] = table[k, 0], table[k, 1] * table[k, 3], 2.0 / table[k, 2]
    for k in range(0, lines, 4):
        c0, c1, c2, c3 = c[k], c[k + 1], c[k + 2], c[k + 3]
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        v0, v1, v2, v3 = v[k], v[k + 1], v[k + 2], v[k + 3]
        for i in range(x.size):
            u0, u1, u2, u3 = (x[i] - c0) * v0, (x[i] - c1) * v1, (x[i] - c2) * v2, (x[i] - c3) * v3
            d0, d1, d2, d3 = 1.0 + u0 * u0, 1.0 + u1 * u1, 1.0 + u2 * u2, 1.0 + u3 * u3
            left, right = d0 * d1, d2 * d3
            out[i] += ((a0 * d1 + a1 * d0) * right + (a2 * d3 + a3 * d2) * left) / (left * right)
    for k in range(lines):
        add_gaussian(x, table[k, 0], table[k, 1] * (1.0 - table[k, 3]), table[k, 2], out)


@jit()
def add_gaussian(x: Array, center: float, height: float, fwhm: float, out: Array) -> None:
    """Add a Gaussian line to ``out`` where it can be told from zero."""
    if height == 0.0:
        return
    inverse = 1.0 / fwhm
    start, stop = reach(x, center - GAUSS_REACH * fwhm, center + GAUSS_REACH * fwhm)
    # Loops over slices from zero: the compiler then knows that no index is negative.
    xs, part = x[start:stop], out[start:stop]
    for i in range(xs.size):
        u = (xs[i] - center) * inverse
        part[i] += height * exponential(-FOUR_LN2 * u * u)


@jit()
def pseudo_voigt_derivatives(
    x: Array, weight: Array, center: float, height: float, fwhm: float, eta: float, out: Array
) -> None:
    """Write the weighted derivatives by centre, height, width and shape into ``out``, four runs of ``x.size``."""
    n = x.size
    inner_start, inner_stop = reach(x, center - GAUSS_REACH * fwhm, center + GAUSS_REACH * fwhm)
    inverse = 1.0 / fwhm
    d0, d1, d2, d3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n : 4 * n]
    a, b = inner_start, inner_stop
    _lorentz_part(x[:a], weight[:a], center, height, inverse, eta, d0[:a], d1[:a], d2[:a], d3[:a])
    _lorentz_part(x[b:], weight[b:], center, height, inverse, eta, d0[b:], d1[b:], d2[b:], d3[b:])
    xs, ws = x[a:b], weight[a:b]
    e0, e1, e2, e3 = d0[a:b], d1[a:b], d2[a:b], d3[a:b]
    for i in range(xs.size):
        u = (xs[i] - center) * inverse
        lorentz = 1.0 / (1.0 + 4.0 * u * u)
        gauss = exponential(-FOUR_LN2 * u * u)
        w = ws[i]
        slope = w * height * inverse * 8.0 * u * (eta * lorentz * lorentz + (1.0 - eta) * (0.25 * FOUR_LN2) * gauss)
        e0[i] = slope
        e1[i] = w * (eta * lorentz + (1.0 - eta) * gauss)
        e2[i] = slope * u
        e3[i] = w * height * (lorentz - gauss)


@jit()
def _lorentz_part(
    x: Array,
    weight: Array,
    center: float,
    height: float,
    inverse: float,
    eta: float,
    d0: Array,
    d1: Array,
    d2: Array,
    d3: Array,
) -> None:
    for i in range(x.size):
        u = (x[i] - center) * inverse
        lorentz = 1.0 / (1.0 + 4.0 * u * u)
        w = weight[i]
        slope = w * height * inverse * 8.0 * u * eta * lorentz * lorentz
        d0[i] = slope
        d1[i] = w * eta * lorentz
        d2[i] = slope * u
        d3[i] = w * height * lorentz


if not COMPILED:
    from spectroflow.peaks import plain

    globals().update(
        add_gaussian=plain.add_gaussian,
        add_pseudo_voigt=plain.add_pseudo_voigt,
        add_pseudo_voigts=plain.add_pseudo_voigts,
        pseudo_voigt_derivatives=plain.pseudo_voigt_derivatives,
    )
