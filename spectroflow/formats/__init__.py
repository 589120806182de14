"""File formats: bytes in, records out.

:func:`detect` finds the format of a file, its ``probe`` and ``read`` give what is in it, and
:func:`to_record` turns that into a spectrum in the units of its modality. Pure: nothing here opens a
file, so that the same code serves folders, buckets, members of archives and child processes.
"""

from spectroflow.formats.base import HEAD_BYTES, Format, Probe, RawRecord
from spectroflow.formats.normalise import Record, resolve_modality, to_record
from spectroflow.formats.registry import detect, fingerprint, formats, get

__all__ = [
    "HEAD_BYTES",
    "Format",
    "Probe",
    "RawRecord",
    "Record",
    "detect",
    "fingerprint",
    "formats",
    "get",
    "resolve_modality",
    "to_record",
]
