"""SpectroFlow: a distributed batch engine for large archives of spectra.

``spectroflow.open(path)`` opens an archive; everything else is in the rooms of the package, of which
``spectroflow.peaks`` (line fitting) is the one most used by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectroflow.errors import SpectroFlowError

if TYPE_CHECKING:
    from spectroflow.archive import Archive

__version__ = "0.1.0"
__all__ = ["SpectroFlowError", "__version__", "open"]


def open(location: str, version: int | None = None) -> Archive:
    """Open an archive for reading.

    Parameters
    ----------
    location
        Path or URL.
    version
        Number of the version; the newest if not given.

    Returns
    -------
    spectroflow.archive.Archive
    """
    from spectroflow.archive import Archive

    return Archive(location, version)
