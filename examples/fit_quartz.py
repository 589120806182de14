"""Fit a real Raman spectrum of quartz and compare its lines with the literature.

    python examples/fit_quartz.py [SPECTRUM.txt]

Without a file it takes one from the folder that SPECTROFLOW_TEST_DATA names; RRUFF offers the same one for
download (https://rruff.info/R040031). Prints, for quartz R040031 at 514 nm, the lines above 3 % of the strongest,
among them those at 128, 206, 355 and 464 cm-1, each within 2 cm-1 of J. F. Scott and S. P. S. Porto, Phys. Rev.
161 (1967) 903.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from spectroflow import peaks
from spectroflow.modality import builtin

LITERATURE = (128.0, 206.0, 355.0, 464.0)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return axis and intensity of a RRUFF text file."""
    rows = [line.split(",")[:2] for line in path.read_text("latin-1").splitlines() if line and not line.startswith("#")]
    x, y = np.array([[float(v) for v in row] for row in rows if len(row) == 2]).T
    return x, y


def main() -> None:
    """Fit and print."""
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
    else:
        folder = Path(os.environ.get("SPECTROFLOW_TEST_DATA", "."))
        path = next(folder.glob("rruff/raman/Quartz__R040031__Raman__514*"), Path("quartz.txt"))
    if not path.is_file():
        sys.exit(f"{path}: no such file. Name a RRUFF spectrum of quartz.")
    x, y = read(path)
    fit = peaks.fit(x, y, modality=builtin()["raman"])
    print(f"{path.name}: {x.size} points, {len(fit.lines)} lines, chi2/dof {fit.quantities['chi2_reduced']:.2f}")
    strongest = fit.column("height").max()
    print("  centre (cm-1)      height   FWHM (cm-1)  shape")
    for center, height, fwhm, shape, _, sigma, *_ in fit.lines:
        if height > 0.03 * strongest:
            known = min(LITERATURE, key=lambda c: abs(c - center))
            note = f"  literature {known:.0f}" if abs(known - center) < 2 else ""
            print(f"  {center:8.2f} ± {sigma:4.2f} {height:11.1f} {fwhm:10.2f} {shape:9.2f}{note}")


if __name__ == "__main__":
    main()
