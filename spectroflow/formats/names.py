"""What the name of a file tells about the spectrum in it."""

from __future__ import annotations

import re

_WORDS = {
    "raman": "raman",
    "infrared": "ir",
    "ftir": "ir",
    "xrd": "xrd",
    "pxrd": "xrd",
    "xray": "xrd",
    "diffraction": "xrd",
}
"""Words that mean one modality wherever they stand. ``ir`` (iridium) and ``powder`` do not."""


def modality_in(name: str) -> str | None:
    """Return the modality that a file's own name spells out, or None if it names none or several.

    >>> modality_in("run7/quartz_raman_532nm.txt")
    'raman'
    """
    base = name.rsplit("/", 1)[-1]
    words = re.split(r"[^a-z0-9]+", base.lower().replace("ft-ir", "ftir").replace("x-ray", "xray"))
    found = {_WORDS[word] for word in words if word in _WORDS}
    return found.pop() if len(found) == 1 else None
