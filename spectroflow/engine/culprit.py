"""The search for the rows that end their process: halving, with a bounded number of probes."""

from __future__ import annotations

from spectroflow.engine.events import Reason

CODES: dict[Reason, str] = {"crashed": "CRASHED_WORKER", "memory": "OUT_OF_MEMORY", "timeout": "TIMED_OUT"}
"""The status of a row by the way in which it ends its process."""


class Search:
    """Finds the rows of a unit that kill when they are computed.

    Parameters
    ----------
    rows
        The rows of the unit.
    known
        Rows that are condemned already; they are not probed.
    limit
        Most rows that may be condemned; a unit with more is not a matter of single records.

    Notes
    -----
    It asks for one range at a time with :meth:`next` and is told with :meth:`feed` whether computing it
    killed. A range that killed is halved down to single rows, the first half first. One killing row
    among n costs at most ``2 * ceil(log2(n))`` probes, at most half of which kill a worker. Where a range
    killed but neither half does, the range as a whole is at fault and no row is condemned.
    """

    def __init__(self, rows: range, known: frozenset[int] = frozenset(), limit: int = 16) -> None:
        self.found: dict[int, str] = {}
        self._limit = limit
        self._suspects = [row for row in rows if row not in known]
        self._stack: list[tuple[int, int]] = [(0, len(self._suspects))] if self._suspects else []
        self._halve()

    @property
    def exhausted(self) -> bool:
        """Whether so many rows kill that the search gave up."""
        return len(self.found) > self._limit

    def next(self) -> range | None:
        """Return the rows to probe now, without a known one among them; None when the search is over."""
        if not self._stack or self.exhausted:
            return None
        start, stop = self._stack[-1]
        return range(self._suspects[start], self._suspects[stop - 1] + 1)

    def feed(self, reason: Reason | None) -> None:
        """Say how the range from :meth:`next` ended: None for well, else how it killed."""
        start, stop = self._stack[-1]
        if reason is None:
            self._stack.pop()
        elif stop - start == 1:
            self._stack.pop()
            self.found[self._suspects[start]] = CODES.get(reason, "CRASHED_WORKER")
        else:
            self._halve()

    def _halve(self) -> None:
        """Replace the range on top by its halves, cut where a known row would lie between."""
        if not self._stack:
            return
        start, stop = self._stack.pop()
        if stop - start == 1:
            self._stack.append((start, stop))
            return
        middle = (start + stop) // 2
        for part in ((middle, stop), (start, middle)):
            self._stack += self._without_gaps(*part)

    def _without_gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Split a part at condemned rows, so that each range holds suspects only; last one first."""
        parts = []
        begin = start
        for index in range(start + 1, stop + 1):
            if index == stop or self._suspects[index] != self._suspects[index - 1] + 1:
                parts.append((begin, index))
                begin = index
        return parts[::-1]
