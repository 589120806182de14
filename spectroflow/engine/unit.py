"""Units: the rows that one worker does at a time, always whole shards of one group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Unit:
    """A run of whole shards of one group.

    Attributes
    ----------
    id
        ``<group>-<number>``, the number padded with zeros so that ids sort as they are cut.
    group
        The name of the group the rows belong to.
    start, stop
        Rows of the group, ``start <= row < stop``.
    shard_start, shard_stop
        Shards of the group, ``shard_start <= shard < shard_stop``; only the group's last one may be short.
    """

    id: str
    group: str
    start: int
    stop: int
    shard_start: int
    shard_stop: int

    @property
    def rows(self) -> range:
        """The rows of the unit."""
        return range(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


class Group(BaseModel):
    """Rows that are cut into units together: one segment or one layer.

    Attributes
    ----------
    name
        Letters, digits, ``_``, ``.`` and ``-``; unique within a plan.
    rows
        How many rows it has; none gives no units.
    shard_rows
        Rows of one shard, the same for every array that the job writes for this group.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int = Field(ge=0)
    shard_rows: int = Field(gt=0)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be part of a file name")
        return name

    @property
    def shards(self) -> int:
        """How many shards the rows fill."""
        return -(-self.rows // self.shard_rows)

    def count(self, unit_shards: int) -> int:
        """Return how many units of ``unit_shards`` shards the group is cut into."""
        return -(-self.shards // unit_shards)

    def unit(self, number: int, unit_shards: int) -> Unit:
        """Return one unit by its number."""
        first = number * unit_shards
        last = min(first + unit_shards, self.shards)
        return Unit(
            id=f"{self.name}-{number:0{_DIGITS}d}",
            group=self.name,
            start=first * self.shard_rows,
            stop=min(last * self.shard_rows, self.rows),
            shard_start=first,
            shard_stop=last,
        )

    def units(self, unit_shards: int) -> Iterator[Unit]:
        """Yield the units in order, each made when it is asked for."""
        for number in range(self.count(unit_shards)):
            yield self.unit(number, unit_shards)
