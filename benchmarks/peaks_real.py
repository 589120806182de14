"""Real spectra of the RRUFF project against the literature, against each other, and against crystal cells.

B. Lafuente, R. T. Downs, H. Yang, N. Stone, "The power of databases: the RRUFF project" (2015).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectroflow import peaks
from spectroflow.modality import builtin

#: Raman lines (cm-1), with where they come from.
LITERATURE = {
    "Quartz": ([128, 206, 355, 464], "J. F. Scott, S. P. S. Porto, Phys. Rev. 161 (1967) 903"),
    "Calcite": ([156, 282, 712, 1086], "H. N. Rutt, J. H. Nicola, J. Phys. C 7 (1974) 4522"),
    "Zircon": ([357, 439, 1008], "P. Dawson, M. M. Hargreave, G. R. Wilkinson, J. Phys. C 4 (1971) 240"),
    "Diamond": ([1332.5], "S. A. Solin, A. K. Ramdas, Phys. Rev. B 1 (1970) 1687"),
    "Corundum": ([378, 418, 645], "S. P. S. Porto, R. S. Krishnan, J. Chem. Phys. 47 (1967) 1009"),
    "Rutile": ([447, 612], "S. P. S. Porto, P. A. Fleury, T. C. Damen, Phys. Rev. 154 (1967) 522"),
}
#: Within this of the literature a line counts as given (cm-1).
AGREEMENT = 2.0
#: A line of the literature is looked for within this (cm-1).
REACH = 12.0
#: Of a blend, lines above this share of its tallest one may stand for the line of the literature.
BLEND_SHARE = 0.5
#: Lines below this share of the tallest one of the spectrum are none of the literature's.
LEAST_SHARE = 0.01


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return axis and intensity of a RRUFF text file."""
    rows = [line.split(",") for line in path.read_text("latin-1").splitlines() if line and not line.startswith("#")]
    pairs = []
    for row in rows:
        try:
            pairs.append((float(row[0]), float(row[1])))
        except (ValueError, IndexError):
            continue
    x, y = np.array(pairs).T
    return x, y


def fitted(path: Path) -> peaks.Fit:
    """Fit a Raman spectrum."""
    return peaks.fit(*read(path), modality=builtin()["raman"])


def above(result: peaks.Fit, share: float) -> np.ndarray:
    """Return the lines higher than a share of the tallest one."""
    height = result.column("height")
    return result.lines[height > share * height.max(initial=0.0)]


@dataclass(frozen=True)
class Literature:
    """How far the lines of a mineral lie from those of the literature (cm-1), ``(spectra, lines)``; NaN for none.

    ``fitted`` is of the nearest line of the blend there. ``together`` is of the maximum of all fitted lines together:
    a broad asymmetric line is described by several that overlap, none of which need lie at its top. ``data`` is of the
    maximum of the data themselves, without any fit: what sample and instrument allow.
    """

    fitted: np.ndarray
    together: np.ndarray
    data: np.ndarray

    def whole(self, offsets: np.ndarray) -> int:
        """Return how many spectra show all lines within the agreement."""
        return int(np.all(np.abs(offsets) < AGREEMENT, axis=1).sum())

    def given(self, offsets: np.ndarray) -> tuple[int, int]:
        """Return how many of the lines whose data agree with the literature do so by ``offsets``, and all of them."""
        there = np.abs(self.data) < AGREEMENT
        return int((there & (np.abs(offsets) < AGREEMENT)).sum()), int(there.sum())


def literature(folder: Path, mineral: str, most: int | None = None) -> Literature:
    """Compare spectra of a mineral with the literature."""
    lines = np.array(LITERATURE[mineral][0], dtype=float)
    files = sorted(folder.glob(f"rruff*/raman/{mineral}__*Processed*"))[:most]
    fits, together, data = np.full((3, len(files), lines.size), np.nan)
    for i, path in enumerate(files):
        x, y = read(path)
        result = fitted(path)
        strong = above(result, LEAST_SHARE)
        for k, line in enumerate(lines):
            data[i, k] = maximum(x, y, line) - line
            fine = np.arange(line - REACH, line + REACH, 0.1)
            top = int(np.argmax(peaks.render(fine, result.lines, result.shape)))
            if 0 < top < fine.size - 1:
                together[i, k] = fine[top] - line
            near = strong[np.abs(strong[:, 0] - line) < REACH]
            if len(near):
                near = near[near[:, 1] >= BLEND_SHARE * near[:, 1].max()]
                fits[i, k] = near[np.argmin(np.abs(near[:, 0] - line)), 0] - line
    return Literature(fits, together, data)


def maximum(x: np.ndarray, y: np.ndarray, line: float) -> float:
    """Return where the data near a line are highest: a parabola over 6 cm-1; NaN where they only rise or fall."""
    smooth = np.convolve(y, np.full(5, 0.2), "same")
    inside = np.flatnonzero(np.abs(x - line) < REACH)
    if inside.size < 5:
        return float("nan")
    top = inside[np.argmax(smooth[inside])]
    if top in (inside[0], inside[-1]):
        return float("nan")
    half = max(round(3.0 / float(np.median(np.diff(x)))), 2)
    part = slice(max(top - half, 0), top + half + 1)
    bend, slope, _ = np.polyfit(x[part] - x[top], y[part], 2)
    return float(x[top] - slope / (2.0 * bend)) if bend < 0 else float(x[top])


def repeats(folder: Path, every: int = 1) -> np.ndarray:
    """Return the distances (cm-1) between the lines above a tenth of the maximum in two measurements of a sample."""
    samples = defaultdict(list)
    with (folder / "rruff" / "manifest.csv").open() as table:
        for row in csv.DictReader(table):
            if row["modality"] == "raman" and row["kind"] == "processed":
                samples[row["rruff_id"], row["mineral_file"]].append(folder / "rruff" / row["path"])
    distances: list[float] = []
    for paths in [paths for _, paths in sorted(samples.items()) if len(paths) >= 2][::every]:
        one, two = (above(fitted(path), 0.1)[:, 0] for path in paths[:2])
        if len(one) and len(two):
            nearest = np.abs(one[:, None] - two[None, :]).min(axis=1)
            distances.extend(nearest[nearest < 8.0])
    return np.array(distances)


@dataclass(frozen=True)
class Diffraction:
    """How lines of a cubic mineral lie to those of the reference cell (median of absolute degrees 2-theta).

    ``shifted`` allows a zero shift. ``own_cell`` allows a cell length as well: a sample of another composition than
    the reference has another one, and all its lines move as tan(theta).
    """

    mineral: str
    shifted: float
    own_cell: float
    cell_change: float


def diffraction(folder: Path, every: int = 1) -> list[Diffraction]:
    """Compare powder patterns of cubic minerals with their reference cells; at least four lines above 5 %."""
    modality = builtin()["xrd"]
    assert modality.wavelengths is not None
    out = []
    for cif in sorted((folder / "rruff" / "xrd").glob("*/*.cif"))[::every]:
        expected = cell_reflections(cif.read_text(), modality.wavelengths[0], 90.0)
        files = sorted(cif.parent.glob("*.xy"))
        if expected is None or not files:
            continue
        x, y = np.loadtxt(files[0], usecols=(0, 1)).T
        found = above(peaks.fit(x, y, modality=modality), 0.05)[:, 0]
        if len(found) < 4:
            continue
        shift = float(np.median(found - nearest_of(expected, found)))
        offset = found - nearest_of(expected, found - shift)
        shifted = float(np.median(np.abs(offset - shift)))
        slope = np.tan(np.deg2rad(found / 2.0))
        zero, change = robust_line(slope, offset)
        own = float(np.median(np.abs(offset - zero - change * slope)))
        out.append(Diffraction(cif.parent.name, shifted, own, -float(np.deg2rad(change)) / 2.0))
    return out


def nearest_of(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the expected value nearest to each found one."""
    return expected[np.abs(found[:, None] - expected).argmin(axis=1)]


def robust_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return intercept and slope by Theil and Sen: lines of another phase do not matter."""
    i, j = np.triu_indices(len(x), 1)
    apart = np.abs(x[j] - x[i]) > 1e-3
    slope = float(np.median((y[j] - y[i])[apart] / (x[j] - x[i])[apart]))
    return float(np.median(y - slope * x)), slope


def cell_reflections(cif: str, wavelength: float, limit: float) -> np.ndarray | None:
    """Return the angles (degrees 2-theta) that a cubic cell allows, or None for another cell."""

    def number(name: str) -> float:
        found = re.search(rf"_cell_{name}\s+([\d.]+)", cif)
        return float(found.group(1)) if found else float("nan")

    a = number("length_a")
    if any(abs(number(f"length_{k}") - a) > 1e-6 for k in "bc"):
        return None
    if any(abs(number(f"angle_{k}") - 90) > 1e-6 for k in ("alpha", "beta", "gamma")):
        return None
    rotations, shifts = symmetry(cif)
    most = int(2 * a / wavelength * np.sin(np.deg2rad(limit / 2))) + 1
    angles = set()
    for h in range(most + 1):
        for k in range(h + 1):
            for m in range(k + 1):
                index = np.array([h, k, m])
                sine = wavelength * np.sqrt(index @ index) / (2 * a)
                if not 0 < sine < np.sin(np.deg2rad(limit / 2)):
                    continue
                # A reflection is extinct where the operations that keep it disagree about its phase.
                same = [
                    np.exp(2j * np.pi * (index @ t))
                    for r, t in zip(rotations, shifts, strict=True)
                    if np.allclose(index @ r, index)
                ]
                if abs(np.mean(same)) > 0.5:
                    angles.add(round(float(2 * np.rad2deg(np.arcsin(sine))), 6))
    return np.array(sorted(angles))


def symmetry(cif: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return rotations and translations of the symmetry operations that a CIF lists."""
    rotations, shifts = [], []
    for operation in re.findall(r"'([-+xyz/\d ,]*[xyz][-+xyz/\d ,]*)'", cif):
        rows = np.zeros((3, 4))
        for i, part in enumerate(operation.replace(" ", "").split(",")):
            for sign, term in re.findall(r"([-+]?)([xyz]|\d+/\d+)", part):
                value = -1.0 if sign == "-" else 1.0
                if term in "xyz":
                    rows[i, "xyz".index(term)] = value
                else:
                    top, bottom = term.split("/")
                    rows[i, 3] = value * int(top) / int(bottom)
        rotations.append(rows[:, :3])
        shifts.append(rows[:, 3])
    return rotations, shifts


def figures(folder: Path, quick: bool) -> dict[str, float]:
    """Return all figures on real spectra, for the benchmark."""
    out: dict[str, float] = {}
    given, together, there = 0, 0, 0
    for mineral in LITERATURE:
        result = literature(folder, mineral, 3 if quick else None)
        name = mineral.lower()
        out[f"{name}_spectra"] = float(len(result.fitted))
        out[f"{name}_spectra_with_literature_lines"] = float(result.whole(result.fitted))
        out[f"{name}_spectra_whose_data_agree"] = float(result.whole(result.data))
        out[f"{name}_spectra_with_literature_maxima"] = float(result.whole(result.together))
        given += result.given(result.fitted)[0]
        together += result.given(result.together)[0]
        there += result.given(result.data)[1]
    out["literature_lines_given_of_those_in_the_data"] = given / max(there, 1)
    out["literature_maxima_given_of_those_in_the_data"] = together / max(there, 1)
    out["repeated_measurements_median_cm1"] = float(np.median(repeats(folder, 60 if quick else 2)))
    cubic = diffraction(folder, 8 if quick else 1)
    out["cubic_minerals"] = float(len(cubic))
    out["cubic_minerals_within_0.05_deg"] = float(sum(each.shifted < 0.05 for each in cubic))
    out["cubic_minerals_within_0.05_deg_own_cell"] = float(sum(each.own_cell < 0.05 for each in cubic))
    out["cubic_median_deg"] = float(np.median([each.shifted for each in cubic]))
    out["cubic_median_deg_own_cell"] = float(np.median([each.own_cell for each in cubic]))
    return out
