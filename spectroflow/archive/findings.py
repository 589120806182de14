"""What an examination of an archive finds, and how much it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["altered", "missing", "unexpected", "unreadable", "marker", "metadata", "version", "leftover"]
"""What is wrong with an object:

- ``altered``: its bytes are not those that were written.
- ``missing``: it was written and is gone.
- ``unexpected``: nobody who is known wrote it, and it lies where it could be taken for data.
- ``unreadable``: the storage does not give it.
- ``marker``: a unit's marker is missing or damaged, so that nothing vouches for what it wrote.
- ``metadata``: the metadata of a zarr group was altered or does not fit the version.
- ``version``: a version's file was altered or contradicts itself.
- ``leftover``: a half written file that a killed process left; harmless, ``gc`` removes it.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written.

    Attributes
    ----------
    kind
        What is wrong.
    key
        Of the object, relative to the archive.
    detail
        What was found, as a sentence.
    """

    kind: Kind
    key: str
    detail: str

    @property
    def damage(self) -> bool:
        """Whether what a reader gets may be wrong; leftovers harm nobody."""
        return self.kind != "leftover"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {"kind": self.kind, "key": self.key, "detail": self.detail}


@dataclass(slots=True)
class Examined:
    """How much an examination has looked at so far, and what it counted."""

    objects: int = 0
    bytes: int = 0
    damaged: int = 0
    leftovers: int = 0

    def note(self, finding: Finding) -> Finding:
        """Count a finding, and return it."""
        if finding.damage:
            self.damaged += 1
        else:
            self.leftovers += 1
        return finding
