"""What is there now beside what was there last time: what must be opened, and what is gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spectroflow.formats.registry import fingerprint
from spectroflow.sources.catalogue import CONTAINER, UNCLAIMED, Catalogue
from spectroflow.sources.manifest import Manifest
from spectroflow.sources.walk import led_to

BoolArray = npt.NDArray[np.bool_]

NOT_ROWS = (UNCLAIMED, CONTAINER)
"""Codes of sources that have no row in the archive."""


class Comparison:
    """The listing beside the previous catalogue; all arrays have one entry per listed source but ``gone``.

    Attributes
    ----------
    before
        Row of the source in the previous catalogue, or -1.
    was_row
        Whether it had rows in the archive.
    must_open
        Whether it is new, or its size, time, tag or manifest entry changed, or storage failed when it was last
        read, or it was asked for.
    unlisted, gone
        One entry per row of the previous catalogue: not in this listing; and not there any more, although the
        given sources would lead to it.
    """

    def __init__(
        self,
        listing: pa.Table,
        previous: Catalogue,
        manifest: Manifest | None,
        again: Collection[str],
        sources: Sequence[str],
    ) -> None:
        self._previous = previous.table
        found = pc.index_in(listing["source"], value_set=previous.table["source"].combine_chunks())
        self.before = integers(pc.fill_null(found, -1))
        known = self.before >= 0
        same = known & self._equal(listing, ("size", "modified", "etag"))
        codes = self._earlier("code")
        self.was_row = known & ~is_true(pc.is_in(codes, value_set=pa.array(NOT_ROWS)))
        if previous.formats != fingerprint():
            same &= ~is_true(pc.equal(codes, UNCLAIMED))
        same &= ~is_true(pc.equal(codes, "STORAGE_ERROR"))
        self._said: list[str] | None = None
        if manifest is not None:
            same &= self._apply(listing["source"].to_pylist(), manifest)
        self.asked = is_true(pc.is_in(listing["source"], value_set=pa.array(sorted(again), pa.string())))
        self.must_open = ~(same & ~self.asked) & ~is_true(pc.equal(listing["code"], CONTAINER))
        self.unlisted: BoolArray = np.ones(previous.table.num_rows, dtype=bool)
        self.unlisted[self.before[known]] = False
        self.gone: BoolArray = np.zeros(previous.table.num_rows, dtype=bool)
        others = np.flatnonzero(self.unlisted)
        self.gone[others] = led_to(previous.table["source"].take(pa.array(others)).combine_chunks(), sources)

    def said(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return what a manifest says of some listed sources, now or, where it is silent, earlier."""
        if self._said is not None:
            return [self._said[row] for row in rows]
        return self._take("said", self.before[rows]).to_pylist()  # type: ignore[no-any-return]

    def unchanged_content(self, listed: npt.NDArray[np.int64], fresh: pa.Table) -> BoolArray:
        """Say which opened sources turned out to be what they were, although time or size say otherwise."""
        before = self.before[listed]
        same = (before >= 0) & ~self.asked[listed]
        for column in ("digest", "said"):
            same &= is_true(pc.equal(self._take(column, before), fresh[column]))
        same &= ~is_true(pc.equal(fresh["digest"], ""))
        # What still cannot be read has its failed row already.
        code = self._take("code", before)
        again = is_true(pc.equal(code, "STORAGE_ERROR")) & is_true(pc.equal(fresh["code"], "STORAGE_ERROR"))
        same |= again & is_true(pc.equal(self._take("said", before), fresh["said"])) & ~self.asked[listed]
        # A file that no format claimed before may be claimed now.
        was = is_true(pc.equal(code, UNCLAIMED))
        same &= was == is_true(pc.equal(fresh["code"], UNCLAIMED))
        return same

    def _apply(self, names: list[str], manifest: Manifest) -> BoolArray:
        earlier = self._earlier("said").to_pylist()
        now = [entry.to_json() if (entry := manifest.entries.get(name)) else "" for name in names]
        self._said = [new or old for new, old in zip(now, earlier, strict=True)]
        return np.array([not new or new == old for new, old in zip(now, earlier, strict=True)], dtype=bool)

    def _equal(self, listing: pa.Table, columns: tuple[str, ...]) -> BoolArray:
        same = np.ones(listing.num_rows, dtype=bool)
        for column in columns:
            same &= is_true(pc.equal(self._earlier(column), listing[column]))
        return same

    def _earlier(self, column: str) -> pa.ChunkedArray:
        return self._take(column, self.before)

    def _take(self, column: str, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
        """Return values of the previous catalogue; an empty text or null for row -1."""
        indices = pa.array(rows, mask=rows < 0)
        values = self._previous[column].take(indices)
        return pc.fill_null(values, "") if pa.types.is_string(values.type) else values


def is_true(values: pa.Array | pa.ChunkedArray) -> BoolArray:
    """Return an Arrow column of truth values as an array; null is false."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def integers(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return an Arrow column of whole numbers without nulls as an array."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)
