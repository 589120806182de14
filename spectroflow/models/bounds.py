"""What no generator is expected to pass: the best spectrum one could have looked up, and measuring again.

``oracle``     the training target that is most like the measured spectrum, chosen with the answer in hand
``replicate``  the same material measured on another sample
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectroflow.models.blend import centre

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

_ROWS = 256  # measured spectra compared at once
MOST_REPLICATES = 8
"""So many other measurements of a material are compared with each."""


def correlations(measured: Float, valid: Bool, candidates: Float) -> Double:
    """Return Pearson's r of every measured spectrum with every candidate, over the measured points of the former.

    Parameters
    ----------
    measured, valid
        ``(n, points)``.
    candidates
        ``(m, points)``, known everywhere.

    Returns
    -------
    ndarray
        ``(n, m)``; 0 where either is constant.
    """
    result = np.zeros((len(measured), len(candidates)))
    wanted = candidates.astype(np.float64)
    squares = wanted**2
    for start in range(0, len(measured), _ROWS):
        rows = slice(start, start + _ROWS)
        mask = valid[rows].astype(np.float64)
        left = centre(measured[rows], valid[rows])
        count = np.maximum(mask.sum(axis=1, keepdims=True), 1.0)
        # The left side is centred, so the mean of the right side drops out of the product.
        mean = mask @ wanted.T / count
        spread = np.maximum(mask @ squares.T - count * mean**2, 0.0)
        length = np.linalg.norm(left, axis=1, keepdims=True) * np.sqrt(spread)
        result[rows] = np.divide(left @ wanted.T, length, out=np.zeros_like(length), where=length > 1e-9)
    return result


def replicate_pairs(material: Int, sample: tuple[str, ...], asked: Int, order: tuple[str, ...]) -> Int:
    """Return pairs of a spectrum and another one of its material, measured on another sample.

    Parameters
    ----------
    material
        ``(n,)`` material of every spectrum of a modality.
    sample
        Their samples.
    asked
        Rows that need replicates.
    order
        Names, such as digests, by which the first :data:`MOST_REPLICATES` of many are chosen.

    Returns
    -------
    ndarray
        ``(pairs, 2)``; a row without a replicate is in none.
    """
    members: dict[int, list[int]] = {}
    for row in sorted(range(len(material)), key=order.__getitem__):
        members.setdefault(int(material[row]), []).append(row)
    pairs = []
    for row in asked.tolist():
        others = [j for j in members[int(material[row])] if sample[j] != sample[row] or not sample[j]]
        pairs += [(row, j) for j in [j for j in others if j != row][:MOST_REPLICATES]]
    return np.asarray(pairs, np.int64).reshape(-1, 2)
