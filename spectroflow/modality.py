"""What a modality is: its axis, units, grid, line shape and the way people plot it.

A modality is data, not code: one TOML file each under ``spectroflow/modalities/``. A configuration
file may change any value or add a modality under ``[modality.NAME]``; see ``docs/adding-a-modality.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spectroflow.config import nearest
from spectroflow.errors import ConfigError, UsageError

LineShape = Literal["gaussian", "lorentzian", "pseudo-voigt", "voigt", "thompson-cox-hastings"]


class Grid(BaseModel):
    """A regular axis on which spectra of one modality are compared and learned.

    ``start`` and ``stop`` are inclusive and, like ``step``, in the modality's axis unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: float
    stop: float
    step: float = Field(gt=0)

    @model_validator(mode="after")
    def _ascending(self) -> Grid:
        if not self.start < self.stop:
            raise ValueError("grid.start must be below grid.stop")
        return self

    @property
    def points(self) -> int:
        """Number of grid points."""
        return round((self.stop - self.start) / self.step) + 1

    def axis(self) -> npt.NDArray[np.float64]:
        """Return the grid as an array of shape ``(points,)``."""
        return self.start + self.step * np.arange(self.points, dtype=np.float64)


class Modality(BaseModel):
    """One kind of spectroscopy.

    Attributes
    ----------
    name
        Short lower-case name, as used on the command line and in archives.
    title
        What people call it.
    axis_unit, intensity_unit
        Units in which the archive stores this modality (``cm-1``, ``deg`` 2-theta, ``absorbance``...).
    axis_label, intensity_label
        Axis titles for plots.
    reversed
        Whether the axis is drawn from high to low, as for infrared.
    capacity
        Most points a spectrum may have.
    line_slots
        Most lines that are kept per spectrum.
    line_shape
        Profile that the fit uses and the decoder renders.
    wavelengths
        X-ray wavelengths (K-alpha-1, K-alpha-2) in angstrom and the intensity ratio of the second to
        the first, where the modality has them.
    fwhm
        Least and most full width at half maximum of a believable line, in axis units.
    grid
        The regular axis for learning and comparison.
    match_tolerance
        Two lines nearer than this, in axis units, count as the same line.
    resolution
        FWHM, in axis units, to which spectra are blurred for a comparison at common resolution.
    valid_range
        Axis values outside cannot belong to this modality.
    aliases
        Other names by which files call it (lower case).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    title: str
    axis_unit: str
    axis_label: str
    intensity_unit: str
    intensity_label: str
    reversed: bool = False
    capacity: int = Field(gt=1)
    line_slots: int = Field(default=64, gt=0, le=1024)
    line_shape: LineShape = "pseudo-voigt"
    wavelengths: tuple[float, float, float] | None = None
    fwhm: tuple[float, float]
    grid: Grid
    match_tolerance: float = Field(gt=0)
    resolution: float = Field(gt=0)
    valid_range: tuple[float, float]
    aliases: tuple[str, ...] = ()


UNKNOWN = "unknown"
"""Under this name an archive keeps the rows of records whose modality nobody knows."""


def unknown() -> Modality:
    """Return the modality of records that could not be given one; its rows never hold a spectrum."""
    return Modality(
        name=UNKNOWN,
        title="Unknown",
        axis_unit="unknown",
        axis_label="unknown",
        intensity_unit="unknown",
        intensity_label="unknown",
        capacity=2,
        fwhm=(1.0, 2.0),
        grid=Grid(start=0.0, stop=1.0, step=1.0),
        match_tolerance=1.0,
        resolution=1.0,
        valid_range=(0.0, 1.0),
    )


@cache
def builtin() -> Mapping[str, Modality]:
    """Return the modalities that come with SpectroFlow, by name."""
    found = {}
    for entry in sorted(files("spectroflow").joinpath("modalities").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            modality = Modality.model_validate(tomllib.loads(entry.read_text("utf-8")))
            found[modality.name] = modality
    return found


def resolve(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Modality]:
    """Return all modalities, with those of a configuration laid over the built-in ones.

    Parameters
    ----------
    overrides
        ``{name: {field: value}}`` as in the ``[modality.NAME]`` tables of a configuration. Fields of a
        known modality are replaced one by one; a new name must give every required field.

    Raises
    ------
    ConfigError
        A field is unknown, or a new modality lacks one.
    """
    result = dict(builtin())
    for name, fields in (overrides or {}).items():
        base = result[name].model_dump() if name in result else {}
        try:
            result[name] = Modality.model_validate({**base, "name": name, **fields})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in ("modality", name, *first["loc"]))
            hint = nearest(str(first["loc"][0]) if first["loc"] else "", Modality.model_fields)
            raise ConfigError(
                f"{key}: {first['msg'].lower()}",
                remedy=hint or "See docs/adding-a-modality.md for the fields of a modality.",
            ) from None
    return result


def lookup(name: str, modalities: Mapping[str, Modality]) -> Modality:
    """Return the modality called ``name``, or say which there are.

    Raises
    ------
    UsageError
        There is no modality of that name.
    """
    if name in modalities:
        return modalities[name]
    raise UsageError(
        f"there is no modality {name!r}",
        remedy=nearest(name, modalities) or f"Known are {', '.join(sorted(modalities))}.",
    )
