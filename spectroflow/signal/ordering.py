"""Order statistics for kernels: one small function each, since NumPy's sorts take long to compile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.signal.compiled import COMPILED, jit

Array = npt.NDArray[np.float64]


@jit()
def kth_smallest(values: Array, k: int) -> float:
    """Return the value that has ``k`` values before it in ascending order (C. A. R. Hoare's selection)."""
    v = values.copy()
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
    return 0.5 * (upper + kth_smallest(values, half - 1))


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

    def kth_smallest(values: Array, k: int) -> float:
        """Return the value that has ``k`` values before it in ascending order."""
        return float(np.partition(values, k)[k])

    def ascending(values: Array) -> npt.NDArray[np.int64]:
        """Return the order that sorts ``values``; equal values keep theirs."""
        return np.argsort(values, kind="stable")
