"""The archive: versions, segments, layers, record tables, and opening all of it as one thing."""

from spectroflow.archive.commit import add_layers, add_segments, commit
from spectroflow.archive.opening import Archive, Spectrum, trim
from spectroflow.archive.version import LayerEntry, SegmentEntry, Version, latest_version, read_version, version_numbers

__all__ = [
    "Archive",
    "LayerEntry",
    "SegmentEntry",
    "Spectrum",
    "Version",
    "add_layers",
    "add_segments",
    "commit",
    "latest_version",
    "read_version",
    "trim",
    "version_numbers",
]
