"""Fitting spectra from Python: one, or many at once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spectroflow.errors import UsageError
from spectroflow.peaks.parameters import FIT_QUANTITIES, LINE_PARAMETERS, Flag
from spectroflow.peaks.settings import Baseline, Effort, FitSettings, Shape, settings_for
from spectroflow.status import FAILED, OK

if TYPE_CHECKING:
    from spectroflow.modality import Modality

#: So many spectra are fitted in one go of compiled code, which an interruption waits for.
BLOCK = 64


@dataclass(frozen=True, slots=True)
class Fit:
    """The lines of one spectrum.

    Attributes
    ----------
    lines
        float64 ``(lines, parameters)``, by ascending centre; columns as in :data:`LINE_PARAMETERS`.
    quantities
        Of the whole spectrum, by the names in :data:`FIT_QUANTITIES`.
    shape
        The profile that the lines describe, for :func:`render`.
    settings
        What the fit was allowed to do.
    """

    lines: npt.NDArray[np.float64]
    quantities: dict[str, float]
    shape: Shape
    settings: FitSettings

    @property
    def flags(self) -> Flag:
        """The flags of the spectrum."""
        return Flag(int(self.quantities["flags"]))

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return one parameter of all lines."""
        column: npt.NDArray[np.float64] = self.lines[:, LINE_PARAMETERS.index(name)]
        return column


@dataclass(frozen=True, slots=True)
class BatchFit:
    """The lines of many spectra.

    Attributes
    ----------
    lines
        float32 ``(spectra, slots, parameters)``, NaN in unused slots.
    fit
        float32 ``(spectra, quantities)``.
    status
        uint8 ``(spectra,)``: 0, or a code of :mod:`spectroflow.status`.
    """

    lines: npt.NDArray[np.float32]
    fit: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]


def fit(
    axis: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    modality: Modality | None = None,
    shape: Shape | None = None,
    effort: Effort = "standard",
    baseline: Baseline = "spline",
    sigma: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    settings: FitSettings | None = None,
    **options: Any,
) -> Fit:
    """Find and fit the lines of one spectrum.

    Parameters
    ----------
    axis, intensity
        Shape ``(points,)``: as measured, neither smoothed nor resampled nor clipped. Points where either
        is not finite are left out.
    modality
        Gives line shape, bounds of the width and X-ray wavelengths. Without one: pseudo-Voigt lines of 1.5
        to 60 points.
    shape, effort, baseline, options
        Fields of :class:`FitSettings`, over those of the modality.
    sigma
        Standard deviation of the noise, one or one per point. Estimated where None.
    mask
        True where a point may be used.
    settings
        All settings at once, instead of ``modality`` and the fields.

    Returns
    -------
    Fit

    Raises
    ------
    UsageError
        The arrays do not fit together, or a setting is not known. Whatever is wrong with the values of a
        spectrum becomes a flag instead.
    """
    x = np.ascontiguousarray(axis, dtype=np.float64)
    y = np.array(intensity, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise UsageError(
            f"axis {x.shape} and intensity {y.shape} do not match", remedy="Give two arrays of the same length."
        )
    if mask is not None:
        usable = np.asarray(mask, dtype=bool)
        if usable.shape != y.shape:
            raise UsageError(f"mask {usable.shape} does not match {y.shape}", remedy="Give one value per point.")
        y[~usable] = np.nan
    noise = np.zeros(0) if sigma is None else np.atleast_1d(np.asarray(sigma, dtype=np.float64))
    if noise.size > 1 and noise.shape != y.shape:
        raise UsageError(f"sigma {noise.shape} does not match {y.shape}", remedy="Give one value, or one per point.")
    if settings is None:
        given: dict[str, Any] = {"effort": effort, "baseline": baseline, **options}
        if shape is not None:
            given["shape"] = shape
        base = settings_for(modality) if modality is not None else FitSettings()
        settings = FitSettings(**{name: getattr(base, name) for name in base.__slots__} | given)
    from spectroflow.peaks.row import fit_rows

    lines = np.empty((1, settings.slots, len(LINE_PARAMETERS)))
    quantities = np.empty((1, len(FIT_QUANTITIES)))
    fit_rows(x[None], y[None], noise, settings.plan(), lines, quantities)
    kept = int(quantities[0, 0])
    return Fit(
        lines=lines[0, :kept].copy(),
        quantities=dict(zip(FIT_QUANTITIES, quantities[0].tolist(), strict=True)),
        shape=settings.rendered_shape,
        settings=settings,
    )


def warm_up() -> None:
    """Load the compiled kernels, or compile them where no cache has them yet.

    The first process on a machine takes a minute or two for this; every later one about a second. Workers call
    it before their first unit, so that no unit's time includes the compiler's.

    A process of its own does the compiling: code that was just compiled and the copy of it on disk may inline
    calls differently and then differ in the last bit, so that everybody runs what lies on disk.
    """
    from spectroflow.peaks.row import fit_rows
    from spectroflow.signal.compiled import lacks_cache

    if lacks_cache(fit_rows):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", "from spectroflow.peaks.api import run_kernels; run_kernels()"]
        # Where that fails, the next line compiles in this process.
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    run_kernels()


def run_kernels() -> None:
    """Fit a small spectrum, for which every kernel is loaded or compiled."""
    points = np.arange(64.0)
    fit(points, np.cos(points))


def fit_batch(axis: npt.ArrayLike, intensity: npt.ArrayLike, settings: FitSettings) -> BatchFit:
    """Find and fit the lines of many spectra.

    Each row is fitted by itself: its result does not depend on the others. The GIL is released, so that
    threads fit batches side by side.

    Parameters
    ----------
    axis
        Shape ``(spectra, points)``, or ``(points,)`` where all share one.
    intensity
        Shape ``(spectra, points)``; NaN where there is no data.
    settings
        What the fits may do; see :func:`settings_for`.

    Returns
    -------
    BatchFit
        A row that cannot be fitted has status NO_DATA or TOO_FEW_POINTS and says more in its flags.

    Raises
    ------
    UsageError
        The arrays do not fit together.
    """
    y = np.asarray(intensity)
    if y.dtype not in (np.float32, np.float64):
        y = y.astype(np.float64)
    x = np.ascontiguousarray(axis, dtype=np.float64)
    if y.ndim != 2 or x.shape not in (y.shape, y.shape[1:]):
        raise UsageError(
            f"axis {x.shape} and intensity {y.shape} do not match",
            remedy="Give intensity (spectra, points) and axis of the same shape or (points,).",
        )
    from spectroflow.peaks.row import fit_rows

    x = x if x.ndim == 2 else x[None]
    lines = np.empty((y.shape[0], settings.slots, len(LINE_PARAMETERS)), dtype=np.float32)
    quantities = np.empty((y.shape[0], len(FIT_QUANTITIES)), dtype=np.float32)
    plan = settings.plan()
    estimate = np.zeros(0)
    with np.errstate(over="ignore"):
        for start in range(0, y.shape[0], BLOCK):
            block = np.ascontiguousarray(y[start : start + BLOCK], dtype=np.float64)
            block_lines = np.empty((len(block), *lines.shape[1:]))
            block_quantities = np.empty((len(block), quantities.shape[1]))
            fit_rows(
                x if len(x) == 1 else x[start : start + BLOCK], block, estimate, plan, block_lines, block_quantities
            )
            lines[start : start + BLOCK] = block_lines
            quantities[start : start + BLOCK] = block_quantities
    status = np.full(y.shape[0], OK, dtype=np.uint8)
    for i in np.flatnonzero(quantities[:, FIT_QUANTITIES.index("flags")].astype(np.int64) & Flag.TOO_SHORT):
        status[i] = FAILED["TOO_FEW_POINTS" if np.any(np.isfinite(y[i])) else "NO_DATA"]
    return BatchFit(lines=lines, fit=quantities, status=status)
