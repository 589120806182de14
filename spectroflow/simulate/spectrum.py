"""Random access to the spectra of a synthetic archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spectroflow.config import SimulateConfig, nearest
from spectroflow.errors import UsageError
from spectroflow.simulate import instrument
from spectroflow.simulate.material import Material, material, rng_for
from spectroflow.simulate.prototypes import Array

MIXTURE = -1  # in the place of a material's index: the sample is a mixture
_INSTRUMENTS = {"raman": instrument.raman, "ir": instrument.infrared, "xrd": instrument.diffraction}


@dataclass(frozen=True, slots=True)
class SimulatedSpectrum:
    """One simulated spectrum and what is true of it.

    Attributes
    ----------
    sample_id, label, formula, modality
        What a file would say of it.
    axis
        Ascending, in the modality's unit (cm-1 or degrees 2-theta), float64, shape ``(n,)``.
    intensity
        Counts or absorbance with noise, float64, shape ``(n,)``.
    lines_true
        The lines as drawn, shape ``(lines, len(TRUE_LINE_PARAMETERS))``. For diffraction those of K-alpha-1.
    clean
        Without noise and cosmic rays; ``background`` is the part of it that is not lines.
    metadata
        Facts of the sample and the instrument.
    filename
        Path below the folder of an archive written as files.
    """

    sample_id: str
    label: str
    formula: str
    modality: str
    axis: Array
    intensity: Array
    lines_true: Array
    clean: Array
    background: Array
    metadata: dict[str, str | float | int] = field(default_factory=dict)
    filename: str = ""


def modalities_of(config: SimulateConfig, modalities: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the modalities to simulate; raise :class:`UsageError` for one that cannot be."""
    wanted = tuple(modalities) if modalities else config.modalities
    for name in wanted:
        if name not in _INSTRUMENTS:
            raise UsageError(
                f"modality {name!r} cannot be simulated",
                remedy=nearest(name, _INSTRUMENTS) or f"Choose among {', '.join(_INSTRUMENTS)}.",
            )
    return wanted


def materials(config: SimulateConfig) -> list[Material]:
    """Return all materials of a synthetic archive."""
    return [material(config.seed, index) for index in range(config.materials)]


def sample_id(material_index: int, sample_index: int) -> str:
    """Return the identifier of a sample, the same for all its modalities."""
    return f"S{material_index:05d}N{sample_index:02d}"


@lru_cache(maxsize=8)
def rows(config: SimulateConfig, modality: str) -> npt.NDArray[np.int64]:
    """Return material and sample index of every spectrum of a modality, in order, shape ``(n, 2)``.

    Mixtures come last, with :data:`MIXTURE` for their material. With ``coverage`` below 1 some samples were not
    measured in some modalities. The array is shared and cannot be written to.
    """
    pairs = np.stack(np.divmod(np.arange(config.materials * config.samples, dtype=np.int64), config.samples), axis=1)
    if config.coverage < 1.0:
        measured = [is_measured(int(m), int(s), modality, config) for m, s in pairs]
        pairs = pairs[np.array(measured, dtype=bool)]
    mixed = np.stack([np.full(config.mixtures, MIXTURE), np.arange(config.mixtures)], axis=1)
    pairs = np.concatenate([pairs, mixed.astype(np.int64)])
    pairs.setflags(write=False)
    return pairs


def is_measured(material_index: int, sample_index: int, modality: str, config: SimulateConfig) -> bool:
    """Tell whether a sample was measured in a modality, by ``coverage``."""
    draw = rng_for(config.seed, "coverage", material_index, sample_index, modality).random()
    return bool(draw < config.coverage)


def spectrum(material_index: int, sample_index: int, modality: str, config: SimulateConfig) -> SimulatedSpectrum:
    """Return one spectrum; it depends on the seed, the two indices, the modality and ``snr`` alone.

    Raises
    ------
    UsageError
        The modality cannot be simulated or an index is negative.
    """
    modalities_of(config, (modality,))
    if material_index < 0 or sample_index < 0:
        raise UsageError("material and sample are counted from 0", remedy="Give indices of 0 and more.")
    own = material(config.seed, material_index)
    physical = instrument.sample(config.seed, material_index, sample_index)
    identifier = sample_id(material_index, sample_index)
    return measure(own, physical, identifier, modality, config, ("measurement", material_index, sample_index))


def measure(
    own: Material,
    physical: instrument.Sample,
    identifier: str,
    modality: str,
    config: SimulateConfig,
    stream: tuple[int | str, ...],
) -> SimulatedSpectrum:
    """Measure a sample of a material; ``stream`` with seed and modality names the random numbers it uses."""
    rng = rng_for(config.seed, *stream, modality)
    measured = _INSTRUMENTS[modality](own, physical, config.snr, rng)
    facts: dict[str, str | float | int] = {
        "crystal_system": own.crystal_system,
        "structure_type": own.prototype,
        "ideal_chemistry": own.formula_rruff,
        **measured.facts,
    }
    return SimulatedSpectrum(
        sample_id=identifier,
        label=own.label,
        formula=own.formula,
        modality=modality,
        axis=measured.axis,
        intensity=measured.intensity,
        lines_true=measured.lines,
        clean=measured.clean,
        background=measured.background,
        metadata=facts,
        filename=_filename(own.label, identifier, modality, facts),
    )


def _filename(label: str, identifier: str, modality: str, facts: dict[str, str | float | int]) -> str:
    if modality == "raman":
        oriented = "unoriented" if facts["orientation"] == "unoriented" else "oriented"
        return f"raman/{label}__{identifier}__Raman__{facts['laser_nm']:.0f}__0__{oriented}__Raman_Data_RAW.txt"
    if modality == "ir":
        return f"ir/{label}__{identifier}-1__Infrared__Infrared_Data_RAW.txt"
    return f"xrd/{label}__{identifier}__Xray_Data_XY_RAW.xy"
