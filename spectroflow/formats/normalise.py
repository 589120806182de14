"""From what a file has to what the archive holds: units, order, missing values, flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spectroflow.errors import RecordError
from spectroflow.formats import quality
from spectroflow.formats.base import FloatArray, MetadataValue, RawRecord, number
from spectroflow.formats.survey import extent, steps, survey
from spectroflow.formats.units import Optics, axis_unit, convert_axis, convert_intensity, intensity_unit
from spectroflow.modality import Modality

_SHIFTS = frozenset({"raman"})
_NOT_MEASURED = frozenset({"generated", "simulated"})
_SAME_WAVELENGTH = 0.005
"""K-alpha-1, K-alpha-2 and their mean differ by less; no two anodes do."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(slots=True)
class Record:
    """One spectrum in its modality's own units.

    Attributes
    ----------
    axis
        Strictly ascending float64 of shape ``(points,)``.
    intensity
        float64 of the same shape; NaN where there is no data.
    flags
        Bits of :data:`spectroflow.formats.quality.FLAGS`.
    sample_id, label, formula
        As in :class:`~spectroflow.formats.base.RawRecord`.
    metadata
        Further columns of the record table; ``axis_unit_original`` and ``intensity_unit_original`` where a
        unit was converted, ``axis_order`` and ``axis_permutation`` where points were put in order, and
        ``snr_estimate``.
    """

    axis: FloatArray
    intensity: FloatArray
    flags: int
    sample_id: str | None = None
    label: str | None = None
    formula: str | None = None
    metadata: dict[str, MetadataValue] = field(default_factory=dict)


def resolve_modality(name: str | None, modalities: Mapping[str, Modality]) -> str | None:
    """Return the modality that a name or one of its aliases means, or None.

    >>> from spectroflow.modality import builtin
    >>> resolve_modality("FT-IR", builtin())
    'ir'
    """
    if name is None:
        return None
    wanted = name.strip().lower()
    if wanted in modalities:
        return wanted
    return next((each.name for each in modalities.values() if wanted in each.aliases), None)


def to_record(raw: RawRecord, modality: Modality, *, min_points: int = 8, where: str = "") -> Record:
    """Return a spectrum in its modality's units, in order, with what is wrong with it flagged.

    The axis is converted, then sorted; points at the same position are averaged; points without a
    position are dropped; values that are not finite, and zero padding at the ends, become NaN.

    Parameters
    ----------
    raw
        As the format's reader returned it.
    modality
        What it is.
    min_points
        Fewest finite points that make a spectrum.
    where
        Named in errors.

    Raises
    ------
    RecordError
        ``TOO_FEW_POINTS``, ``TOO_LONG``, ``BAD_AXIS``, ``NO_DATA``, ``UNKNOWN_UNIT``, ``AMBIGUOUS_UNIT``, or
        ``NOT_A_SPECTRUM`` if it says of itself that it was not measured.
    """
    axis = np.asarray(raw.axis, dtype=np.float64)
    intensity = np.asarray(raw.intensity, dtype=np.float64)
    if axis.ndim != 1 or axis.shape != intensity.shape:
        raise RecordError(
            "BAD_AXIS", f"{axis.shape} positions for {intensity.shape} intensities", where=where, remedy=_EXPORT
        )
    if axis.size > modality.capacity:
        raise RecordError(
            "TOO_LONG",
            f"{axis.size} points are more than the {modality.capacity} that {modality.name} has room for",
            where=where,
            remedy=f"Set modality.{modality.name}.capacity to {axis.size} or more.",
        )
    metadata = dict(raw.metadata)
    if metadata.get("origin") in _NOT_MEASURED:
        raise RecordError(
            "NOT_A_SPECTRUM",
            f"it says that it is {metadata['origin']}, not measured",
            where=where,
            remedy="Leave it out; a model's or a simulation's spectra stay in archives of their own.",
        )
    flags = set(raw.flags)
    wavelength = number(metadata.get("wavelength", ""))
    if modality.wavelengths and wavelength and abs(wavelength / modality.wavelengths[0] - 1.0) > _SAME_WAVELENGTH:
        flags.add("OTHER_WAVELENGTH")
    axis = _axis_in_unit(raw, axis, modality, metadata, flags, where)
    intensity = _intensity_in_unit(raw, intensity, modality, metadata, flags, where)
    axis, intensity = _in_order(axis, intensity, metadata, flags, where)
    intensity, known = _masked(intensity, flags)
    _require(axis, known, modality, min_points, where)
    _judge(axis, known, modality, metadata, flags)
    return Record(axis, intensity, quality.mask_of(flags), raw.sample_id, raw.label, raw.formula, metadata)


_EXPORT = "Export the spectrum again."


def _axis_in_unit(
    raw: RawRecord,
    axis: FloatArray,
    modality: Modality,
    metadata: dict[str, MetadataValue],
    flags: set[str],
    where: str,
) -> FloatArray:
    if raw.axis_unit is None:
        flags.add("AXIS_UNIT_ASSUMED")
        return axis
    unit = axis_unit(raw.axis_unit)
    if unit is None:
        raise RecordError(
            "UNKNOWN_UNIT",
            f"{raw.axis_unit!r} is not an axis unit we know",
            where=where,
            remedy=f"Export the axis in {modality.axis_unit}.",
        )
    if unit == modality.axis_unit:
        return axis
    optics = Optics(laser=number(metadata.get("laser", "")), wavelength=number(metadata.get("wavelength", "")))
    shift = modality.name in _SHIFTS
    converted = convert_axis(axis, unit, modality.axis_unit, shift=shift, optics=optics, where=where)
    flags.add("AXIS_CONVERTED")
    metadata["axis_unit_original"] = unit
    return converted


def _intensity_in_unit(
    raw: RawRecord,
    intensity: FloatArray,
    modality: Modality,
    metadata: dict[str, MetadataValue],
    flags: set[str],
    where: str,
) -> FloatArray:
    unit = intensity_unit(raw.intensity_unit)
    if raw.intensity_unit is not None and unit is None and modality.intensity_unit == "counts":
        # Any unit will do where only ratios matter, but not one that is a ratio of its own.
        metadata["intensity_unit_original"] = raw.intensity_unit
        return intensity
    if raw.intensity_unit is None:
        flags.add("INTENSITY_UNIT_ASSUMED")
        return intensity
    if unit is None:
        raise RecordError(
            "UNKNOWN_UNIT",
            f"{raw.intensity_unit!r} is not an intensity unit we know",
            where=where,
            remedy=f"Export the intensities as {modality.intensity_unit}.",
        )
    if unit == modality.intensity_unit:
        return intensity
    converted, earned = convert_intensity(intensity, unit, modality.intensity_unit, where=where)
    flags.update(earned)
    if converted is not intensity:
        flags.add("INTENSITY_CONVERTED")
    metadata["intensity_unit_original"] = unit
    return converted


def _in_order(
    axis: FloatArray, intensity: FloatArray, metadata: dict[str, MetadataValue], flags: set[str], where: str
) -> tuple[FloatArray, FloatArray]:
    if axis.size > 1 and steps(axis)[0] > 0:
        return axis, intensity
    known = np.flatnonzero(np.isfinite(axis))
    if known.size < axis.size:
        flags.add("MISSING_POINTS")
        axis, intensity = axis[known], intensity[known]
    if axis.size < 2:
        raise RecordError("TOO_FEW_POINTS", f"only {axis.size} points have a position", where=where, remedy=_EXPORT)
    differences = np.diff(axis)
    if (differences <= 0).all() and (differences < 0).any():
        flags.add("DESCENDING")
        metadata["axis_order"] = "descending"
        axis, intensity = np.ascontiguousarray(axis[::-1]), np.ascontiguousarray(intensity[::-1])
        if steps(axis)[0] > 0:
            return axis, intensity
    elif (differences < 0).any():
        order = np.argsort(axis, kind="stable")
        flags.add("UNSORTED")
        metadata |= {"axis_order": "unsorted", "axis_permutation": _runs(known[order])}
        axis, intensity = axis[order], intensity[order]
    return _merge_repeated(np.ascontiguousarray(axis), np.ascontiguousarray(intensity), flags, where)


def _merge_repeated(
    axis: FloatArray, intensity: FloatArray, flags: set[str], where: str
) -> tuple[FloatArray, FloatArray]:
    new = np.concatenate(([True], np.diff(axis) > 0))
    if new.all():
        return axis, intensity
    flags.add("REPEATED_AXIS")
    starts = np.flatnonzero(new)
    if starts.size < 2:
        raise RecordError("BAD_AXIS", "every point has the same position", where=where, remedy=_EXPORT)
    finite = np.isfinite(intensity)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(np.where(finite, intensity, 0.0), starts)
        return axis[starts], np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)


def _runs(order: npt.NDArray[np.intp]) -> str:
    """Return numbers as runs up and down: the places that sorted points had in their file, as in ``5-8,4-0``."""
    runs = np.split(order, np.flatnonzero(np.abs(np.diff(order)) != 1) + 1)
    return ",".join(f"{run[0]}-{run[-1]}" if run.size > 1 else f"{run[0]}" for run in runs)


def _masked(intensity: FloatArray, flags: set[str]) -> tuple[FloatArray, FloatArray]:
    """Return the values with NaN for what is none, and those that are left."""
    unusable, *_ = extent(intensity, _LARGEST)  # the archive holds float32
    if unusable:
        flags.add("MISSING_POINTS")
        with np.errstate(invalid="ignore"):
            intensity = np.where(np.abs(intensity) <= _LARGEST, intensity, np.nan)
    head, tail = quality.padding(intensity)
    known = intensity[head : intensity.size - tail]
    if head or tail:
        flags.add("ZERO_PADDED")
        intensity = intensity.copy()
        intensity[:head] = np.nan
        intensity[intensity.size - tail :] = np.nan
    return intensity, known[np.isfinite(known)] if unusable else known


def _require(axis: FloatArray, known: FloatArray, modality: Modality, min_points: int, where: str) -> None:
    if not np.count_nonzero(known):
        raise RecordError("NO_DATA", "every value is zero or missing", where=where, remedy="Measure it again.")
    if known.size < min_points:
        raise RecordError(
            "TOO_FEW_POINTS",
            f"{known.size} points are fewer than the {min_points} that make a spectrum",
            where=where,
            remedy="Lower convert.min_points if this is meant.",
        )
    low, high = modality.valid_range
    if axis[0] < low or axis[-1] > high:
        raise RecordError(
            "BAD_AXIS",
            f"an axis from {axis[0]:g} to {axis[-1]:g} {modality.axis_unit} is impossible for {modality.name}",
            where=where,
            remedy="Check the modality, the unit of the axis and the order of the columns.",
        )


def _judge(
    axis: FloatArray, known: FloatArray, modality: Modality, metadata: dict[str, MetadataValue], flags: set[str]
) -> None:
    found = survey(known)
    span = found.high - found.low
    if span == 0:
        flags.add("FLAT")
        return
    if found.snr is not None:
        metadata["snr_estimate"] = float(f"{found.snr:.3g}")
        if found.snr < quality.LEAST_SNR:
            flags.add("LOW_SNR")
    if found.negative > 0.1 * known.size:
        flags.add("NEGATIVE")
    if quality.has_gaps(axis):
        flags.add("GAPS")
    if found.longest_at_top >= quality.HELD and quality.is_saturated(known, found.at_top):
        flags.add("SATURATED")
    if found.jump > 0.5 * span and quality.has_spikes(known):
        flags.add("SPIKES")
    declared = modality.intensity_unit == "absorbance" and not flags & {"INTENSITY_CONVERTED", "INTENSITY_ARBITRARY"}
    if declared and quality.looks_like_transmittance(known):
        flags.add("SUSPECT_TRANSMITTANCE")
