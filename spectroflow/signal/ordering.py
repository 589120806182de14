"""Order statistics for kernels: one small function each, since NumPy's sorts take long to compile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]


#: Among so few values it is quicker to select than to count.
FEW = 64


@jit()
def extremes(values: Array) -> tuple[float, float]:
    """Return the least and the largest value.

    Every fourth value goes the same way, so that no comparison waits for the one before it.
    """
    n = values.size
    low0 = low1 = low2 = low3 = high0 = high1 = high2 = high3 = values[0]
    for i in range(0, n - 3, 4):
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        low0, high0 = a if a < low0 else low0, a if a > high0 else high0
        low1, high1 = b if b < low1 else low1, b if b > high1 else high1
        low2, high2 = c if c < low2 else low2, c if c > high2 else high2
        low3, high3 = d if d < low3 else low3, d if d > high3 else high3
    low, high = min(min(low0, low1), min(low2, low3)), max(max(high0, high1), max(high2, high3))
    for i in range(n // 4 * 4, n):
        low, high = min(low, values[i]), max(high, values[i])
    return low, high


@jit()
def kth_smallest(values: Array, k: int) -> float:
    """Return the value that has ``k`` values before it in ascending order.

    Bisection by counting, which vector registers do many at a time, until few values are left to select from.
    """
    low, high = extremes(values)
    before, upto = 0, values.size
    while upto - before > FEW:
        middle = 0.5 * low + 0.5 * high
        if not low < middle < high:
            break
        below = 0
        for i in range(values.size):
            below += 1 if values[i] < middle else 0
        if below <= k:
            low, before = middle, below
        else:
            high, upto = middle, below
    if upto - before == values.size:
        return selected(values.copy(), k)
    few = np.empty(upto - before + 1)
    count = 0
    last = upto == values.size
    for i in range(values.size):
        # Written whether it belongs or not: a branch would be guessed wrong half of the time.
        few[count] = values[i]
        count += 1 if (values[i] >= low) & (last | (values[i] < high)) else 0
    return selected(few[:count], k - before)


@jit()
def selected(v: Array, k: int) -> float:
    """Return the value that has ``k`` values before it, by C. A. R. Hoare's selection; ``v`` is reordered."""
    left, right = 0, v.size - 1
    while left < right:
        middle = (left + right) // 2
        a, b, c = v[left], v[middle], v[right]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = left, right
        while i <= j:
            while v[i] < pivot:
                i += 1
            while pivot < v[j]:
                j -= 1
            if i <= j:
                v[i], v[j] = v[j], v[i]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            break
    return float(v[k])


@jit()
def median(values: Array) -> float:
    """Return the median; of an even number of values, the mean of the middle two."""
    half = values.size // 2
    upper = kth_smallest(values, half)
    if values.size % 2 == 1:
        return upper
    below = 0
    smaller = np.empty(values.size)
    for i in range(values.size):
        below += 1 if values[i] < upper else 0
        smaller[i] = values[i] if values[i] < upper else -np.inf
    _, lower = extremes(smaller)
    # Where fewer than half are below, the two in the middle are equal.
    return 0.5 * (upper + (lower if below == half else upper))


@jit()
def ascending(values: Array) -> npt.NDArray[np.int64]:
    """Return the order that sorts ``values``; equal values keep theirs (merge sort from runs of one)."""
    n = values.size
    order = np.arange(n)
    spare = np.empty(n, np.int64)
    run = 1
    while run < n:
        for start in range(0, n, 2 * run):
            middle, stop = min(start + run, n), min(start + 2 * run, n)
            i, j = start, middle
            for k in range(start, stop):
                if i < middle and (j >= stop or values[order[i]] <= values[order[j]]):
                    spare[k] = order[i]
                    i += 1
                else:
                    spare[k] = order[j]
                    j += 1
        order, spare = spare, order
        run *= 2
    return order


if not COMPILED:

    def extremes(values: Array) -> tuple[float, float]:
        """Return the least and the largest value."""
        return float(values.min()), float(values.max())

    def kth_smallest(values: Array, k: int) -> float:
        """Return the value that has ``k`` values before it in ascending order."""
        return float(np.partition(values, k)[k])

    def ascending(values: Array) -> npt.NDArray[np.int64]:
        """Return the order that sorts ``values``; equal values keep theirs."""
        return np.argsort(values, kind="stable")
