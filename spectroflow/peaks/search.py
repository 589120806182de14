"""Looking for the lines that the first pass missed or got wrong: the order of the trials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.add import add_lines
from spectroflow.peaks.model import Controls
from spectroflow.peaks.settings import Plan
from spectroflow.peaks.split import split_lines
from spectroflow.peaks.starts import recentre, sorted_lines
from spectroflow.peaks.untangle import untangle_lines
from spectroflow.signal.compiled import jit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@jit(inline=True)
def search(
    x: Array,
    rest: Array,
    weight: Array,
    p: Array,
    low: Array,
    high: Array,
    scales: Array,
    fwhm_low: float,
    fwhm_high: float,
    thorough: bool,
    plan: Plan,
    controls: Controls,
) -> tuple[Array, Array, Array]:
    """Add, split and untangle lines until the residual holds no more; one round of adding if not ``thorough``.

    ``rest`` is data minus everything that is modelled, and kept so.
    """
    for _ in range(plan.rounds if thorough else 1):
        p, low, high, added = add_lines(x, rest, weight, p, low, high, scales, fwhm_low, fwhm_high, plan, controls)
        if not added:
            break
    recentre(x, p, low, high)
    if not thorough:
        return p, low, high
    if plan.split == 1:
        p, low, high = split_lines(x, rest, weight, p, low, high, fwhm_low, fwhm_high, plan, controls)
    untangle_lines(x, rest, weight, p, low, high, fwhm_low, fwhm_high, plan, controls)
    p, low, high = sorted_lines(p, low, high)
    recentre(x, p, low, high)
    return p, low, high
