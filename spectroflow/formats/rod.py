"""Raman Open Database ``.rod``: a CIF block with a loop of shift and intensity."""

from __future__ import annotations

import numpy as np

from spectroflow.errors import RecordError
from spectroflow.formats.base import FloatArray, MetadataValue, Probe, RawRecord, decode, number, suffix
from spectroflow.formats.packed import missing_package

_EXPORT = "Download the entry again."
_SHIFT, _INTENSITY = "_raman_spectrum.raman_shift", "_raman_spectrum.intensity"
_COLUMNS = {
    "_raman_measurement_device.model": "instrument",
    "_raman_measurement_device.excitation_laser_wavelength": "laser",
    "_raman_measurement_device.direction_polarization": "orientation",
    "_raman_measurement.datetime_initiated": "date",
    "_raman_measurement.temperature": "temperature",
    "_raman_measurement.pressure": "pressure",
    "_journal_paper_doi": "doi",
    "_chemical_compound_source": "specimen_source",
}


class Rod:
    """One record per block that has a spectrum."""

    name = "rod"
    extensions: tuple[str, ...] = (".rod",)
    isolated = True
    packages = ("gemmi",)

    def claims(self, head: bytes, name: str) -> bool:
        """Say whether it is called so or has the dictionary's names."""
        return suffix(name) == ".rod" or b"\n_raman_spectrum." in head

    def probe(self, data: bytes, name: str) -> Probe:
        """Count the blocks that have a spectrum."""
        count = sum(line.strip().lower() == _SHIFT for line in decode(data).splitlines())
        if not count:
            raise RecordError("NO_DATA", "there is no Raman spectrum in it", where=name, remedy=_EXPORT)
        return Probe(("raman",) * count)

    def read(self, data: bytes, name: str) -> list[RawRecord]:
        """Return the spectra."""
        try:
            from gemmi import cif
        except ImportError:
            raise missing_package("gemmi", name) from None
        try:
            document = cif.read_string(decode(data))
        except (ValueError, RuntimeError) as error:
            message = str(error).splitlines()[0][:120] if str(error) else "not CIF"
            raise RecordError("TRUNCATED", f"it is not valid CIF ({message})", where=name, remedy=_EXPORT) from None
        records = []
        for block in document:
            table = block.find([_SHIFT, _INTENSITY])
            if not len(table):
                continue
            metadata: dict[str, MetadataValue] = {}
            for tag, column in _COLUMNS.items():
                value = _value(block.find_value(tag))
                as_number = number(value) if column in {"laser", "temperature", "pressure"} else None
                if value:
                    metadata[column] = value if as_number is None else as_number
            records.append(
                RawRecord(
                    axis=_numbers(table.column(0), name),
                    intensity=_numbers(table.column(1), name),
                    axis_unit="cm-1",
                    modality="raman",
                    sample_id=_value(block.find_value("_rod_database.code")) or block.name or None,
                    label=_value(block.find_value("_chemical_name_mineral")) or None,
                    formula=_value(block.find_value("_chemical_formula_sum")) or None,
                    metadata=metadata,
                )
            )
        return records


def _value(text: str | None) -> str:
    from gemmi import cif

    if text is None or text in {"?", "."}:
        return ""
    return " ".join(str(cif.as_string(text)).split())[:300]


def _numbers(column: object, name: str) -> FloatArray:
    texts = [str(text).split("(", 1)[0] for text in column]  # type: ignore[attr-defined]
    try:
        return np.array([np.nan if text in {"?", "."} else float(text) for text in texts], dtype=np.float64)
    except ValueError as error:
        raise RecordError("BAD_NUMBER", f"{error}"[:120], where=name, remedy=_EXPORT) from None
