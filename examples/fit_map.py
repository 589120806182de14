"""Fit a Raman map of 100 x 100 spectra and draw where a line lies.

    python examples/fit_map.py [SIDE]

The map is computed here: two phases that share the area, under a strain that shifts all lines by up to 1.5 cm-1.
Prints the rate, and how well the strain is found again: about 0.1 cm-1, which is what the noise allows.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spectroflow import peaks
from spectroflow.peaks import LINE_PARAMETERS


def spectra(side: int, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the map ``(side * side, points)`` and the shift of each spectrum in cm-1."""
    rng = np.random.default_rng(5)
    u, v = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side)))
    share = 0.5 + 0.5 * np.sin(5 * u + 3 * v)
    shift = 1.5 * (u - v)
    one = np.array([[180.0, 25, 9, 0.6], [420, 60, 8, 0.7], [760, 15, 14, 0.5]])
    two = np.array([[230.0, 35, 12, 0.3], [640, 50, 7, 0.8]])
    rows = []
    for a, d in zip(share, shift, strict=True):
        lines = np.vstack((one * [1, 0.3 + a, 1, 1], two * [1, 1.3 - a, 1, 1])) + np.array([d, 0, 0, 0])
        rows.append(peaks.render(axis, lines) + 30 + 20 * np.exp(-axis / 500) + rng.normal(size=axis.size))
    return np.array(rows), shift


def main() -> None:
    """Fit the map with all cores and print what was found."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    axis = np.linspace(100.0, 1123.0, 1024)
    values, shift = spectra(side, axis)
    settings = peaks.FitSettings()
    peaks.fit_batch(axis, values[:1], settings)
    start = time.perf_counter()
    workers = os.cpu_count() or 1
    # The kernel releases the GIL, so that threads are enough.
    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(lambda part: peaks.fit_batch(axis, part, settings), np.array_split(values, 4 * workers)))
    seconds = time.perf_counter() - start
    lines = np.concatenate([part.lines for part in parts])
    center = lines[:, :, LINE_PARAMETERS.index("center")]
    nearest = np.nanargmin(np.abs(center - 420.0), axis=1)
    found = center[np.arange(len(center)), nearest] - 420.0
    print(f"{len(values)} spectra in {seconds:.1f} s with {workers} threads ({len(values) / seconds:.0f} a second)")
    print(f"shift of the line at 420 cm-1: median error {np.median(np.abs(found - shift)):.3f} cm-1")
    picture = found.reshape(side, side)
    shades = " .:-=+*#%@"
    step = max(1, side // 20)
    for row in picture[::step]:
        print("".join(shades[int(np.clip((v + 1.5) / 3.0 * 9.99, 0, 9))] * 2 for v in row[::step]))


if __name__ == "__main__":
    main()
