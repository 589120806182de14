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
    def _as_float(context: Any, value: Any) -> Any:
        """Reinterpret the bits of an int64 as a float64."""

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.int64), code

    @intrinsic
    def _as_int(context: Any, value: Any) -> Any:
        """Reinterpret the bits of a float64 as an int64."""

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
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
        return s * _as_float((_as_int(shifted) + 1023) << 52)


@jit()
def reach(x: Array, low: float, high: float) -> tuple[int, int]:
    """Return the first index with ``x >= low`` and the first with ``x > high``."""
    return int(np.searchsorted(x, low)), int(np.searchsorted(x, high, side="right"))


@jit()
def add_pseudo_voigt(x: Array, center: float, height: float, fwhm: float, eta: float, out: Array) -> None:
    """Add a pseudo-Voigt line to ``out`` at every point."""
    inverse = 1.0 / fwhm
    if eta > 0.0:
        a = height * eta
        for i in range(x.size):
            u = (x[i] - center) * inverse
            out[i] += a / (1.0 + 4.0 * u * u)
    if eta < 1.0:
        a = height * (1.0 - eta)
        start, stop = reach(x, center - GAUSS_REACH * fwhm, center + GAUSS_REACH * fwhm)
        for i in range(start, stop):
            u = (x[i] - center) * inverse
            out[i] += a * exponential(-FOUR_LN2 * u * u)


@jit()
def pseudo_voigt_derivatives(
    x: Array, weight: Array, center: float, height: float, fwhm: float, eta: float, start: int, stop: int, out: Array
) -> None:
    """Write the weighted derivatives by centre, height, width and shape into ``out`` of shape ``(4, stop - start)``."""
    inverse = 1.0 / fwhm
    inner_start, inner_stop = reach(x, center - GAUSS_REACH * fwhm, center + GAUSS_REACH * fwhm)
    inner_start = min(max(inner_start, start), stop)
    inner_stop = max(min(inner_stop, stop), inner_start)
    _lorentz_part(x, weight, center, height, inverse, eta, start, inner_start, start, out)
    _lorentz_part(x, weight, center, height, inverse, eta, inner_stop, stop, start, out)
    for i in range(inner_start, inner_stop):
        u = (x[i] - center) * inverse
        lorentz = 1.0 / (1.0 + 4.0 * u * u)
        gauss = exponential(-FOUR_LN2 * u * u)
        slope = height * inverse * 8.0 * u * (eta * lorentz * lorentz + (1.0 - eta) * (0.25 * FOUR_LN2) * gauss)
        w = weight[i]
        k = i - start
        out[0, k] = w * slope
        out[1, k] = w * (eta * lorentz + (1.0 - eta) * gauss)
        out[2, k] = w * slope * u
        out[3, k] = w * height * (lorentz - gauss)


@jit()
def _lorentz_part(
    x: Array,
    weight: Array,
    center: float,
    height: float,
    inverse: float,
    eta: float,
    begin: int,
    end: int,
    start: int,
    out: Array,
) -> None:
    for i in range(begin, end):
        u = (x[i] - center) * inverse
        lorentz = 1.0 / (1.0 + 4.0 * u * u)
        slope = height * inverse * 8.0 * u * eta * lorentz * lorentz
        w = weight[i]
        k = i - start
        out[0, k] = w * slope
        out[1, k] = w * eta * lorentz
        out[2, k] = w * slope * u
        out[3, k] = w * height * lorentz
