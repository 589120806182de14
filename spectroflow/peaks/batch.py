"""Row after row, without the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spectroflow.peaks.row import fit_row
from spectroflow.peaks.settings import Plan
from spectroflow.signal.compiled import jit


@jit()
def fit_rows(
    axis: npt.NDArray[np.float64],
    intensity: npt.NDArray[Any],
    plan: Plan,
    lines: npt.NDArray[np.float32],
    quantities: npt.NDArray[np.float32],
    fitted: npt.NDArray[np.bool_],
) -> None:
    """Fit each row of ``intensity``; ``axis`` has as many rows, or one for all."""
    nothing = np.zeros(0)
    row_lines = np.empty((lines.shape[1], lines.shape[2]))
    row_quantities = np.empty(quantities.shape[1])
    shared = axis.shape[0] == 1
    for i in range(intensity.shape[0]):
        x = axis[0 if shared else i]
        y = intensity[i].astype(np.float64)
        fitted[i] = fit_row(x, y, nothing, plan, row_lines, row_quantities)
        for j in range(lines.shape[1]):
            for k in range(lines.shape[2]):
                lines[i, j, k] = row_lines[j, k]
        for k in range(quantities.shape[1]):
            quantities[i, k] = row_quantities[k]
