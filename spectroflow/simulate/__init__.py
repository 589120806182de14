"""Synthetic archives with known truth.

A material is one crystal: a structure type, what takes its places, and springs whose lengths and
stiffnesses follow from bond valences. Its Raman bands, infrared bands and Bragg reflections are computed
from that one crystal, so the modalities are tied as in nature; samples and instruments then add strain,
orientation, background, broadening, shift and noise.

- :func:`spectrum` gives any spectrum by its indices, :func:`spectra` all of them;
- :func:`mixture_spectrum` gives mixtures of two or three of the materials;
- :func:`write_files` writes them as RRUFF-like files with a manifest and the true lines.
"""

from spectroflow.simulate.files import Written, file_bytes, write_files
from spectroflow.simulate.material import Material, label_for, material, structure
from spectroflow.simulate.mixture import Mixture, mixture, mixture_spectrum, row_spectrum, spectra
from spectroflow.simulate.profiles import TRUE_LINE_PARAMETERS
from spectroflow.simulate.spectrum import (
    SimulatedSpectrum,
    is_measured,
    materials,
    modalities_of,
    rows,
    sample_id,
    spectrum,
)

__all__ = [
    "TRUE_LINE_PARAMETERS",
    "Material",
    "Mixture",
    "SimulatedSpectrum",
    "Written",
    "file_bytes",
    "is_measured",
    "label_for",
    "material",
    "materials",
    "mixture",
    "mixture_spectrum",
    "modalities_of",
    "row_spectrum",
    "rows",
    "sample_id",
    "spectra",
    "spectrum",
    "structure",
    "write_files",
]
