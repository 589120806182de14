"""Peak fitting: speed beside lmfit and scipy on the same spectra, and accuracy against what is possible.

The spectra are those of :mod:`benchmarks.synthetic_lines`. ``standard`` and ``fast`` start from nothing:
noise, background, detection, fit, selection, uncertainties. The peers get data without a background and
the same starting values as the kernel; all find chi-square themselves.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks import common, peaks_real
from benchmarks.synthetic_lines import Score, bounds, spectra
from spectroflow import peaks

#: Spectra of these seeds are for reporting; nothing was tuned on them.
SEEDS = (7001, 7002, 7003)

GOALS = [
    common.Goal("standard_per_core_s", least=600),
    common.Goal("fast_per_core_s", least=2000),
    common.Goal("recall_identifiable", least=0.99),
    common.Goal("precision", least=0.97),
    common.Goal("centre_error_over_sigma", least=0.62, most=0.75),
    common.Goal("pull_std", least=0.9, most=1.15, quick=False),
    common.Goal("fast_recall_identifiable", least=0.99),
    common.Goal("fast_precision", least=0.97),
    common.Goal("fast_centre_error_over_sigma", least=0.62, most=0.75),
    common.Goal("fast_pull_std", least=0.9, most=1.15, quick=False),
    common.Goal("times_lmfit", least=1000),
    common.Goal("times_scipy", least=40),
    common.Goal("chi2_median_excess", most=0.001),
    common.Goal("chi2_share_over_1_percent", most=0.05),
    common.Goal("two_workers_ratio", least=1.9, quick=False),
    common.Goal("map_100x100_wall_s", most=20, quick=False),
    common.Goal("nist_digits_gauss", least=9),
    common.Goal("nist_digits_eckerle4", least=8),
    common.Goal("noise_lines_per_spectrum", most=0.02),
    common.Goal("literature_lines_given_of_those_in_the_data", least=0.9),
    common.Goal("literature_maxima_given_of_those_in_the_data", least=0.9),
    common.Goal("repeated_measurements_median_cm1", most=1.5),
]


PARTS = ("automatic", "peers", "scaling", "noise", "certified", "real")


def measure(part: str, quick: bool) -> dict[str, float]:
    """Return the figures of one part."""
    start = time.perf_counter()
    peaks.warm_up()
    figures = {"first_call_s": time.perf_counter() - start}
    match part:
        case "automatic":
            return figures | automatic(quick)
        case "peers":
            return beside_peers(quick)
        case "scaling":
            return scaling(quick)
        case "noise":
            return pure_noise(500 if quick else 4000)
        case "certified":
            return certified()
        case _:
            folder = common.test_data()
            return {} if folder is None else peaks_real.figures(folder, quick)


def automatic(quick: bool) -> dict[str, float]:
    """Return speed and quality of ``standard`` and ``fast``, over all seeds together and the spread between seeds."""
    figures: dict[str, float] = {}
    efforts = ("standard", "fast") if quick else ("standard", "fast", "precise")
    sets = [spectra(100 if quick else 400, seed) for seed in (SEEDS[:1] if quick else SEEDS)]
    truths = [[bounds(x, true) for true in every] for x, _, every in sets]
    for effort in efforts:
        settings = peaks.FitSettings(effort=effort)
        total, recalls, seconds = Score(), [], []
        for (x, y, _), known in zip(sets, truths, strict=True):
            seconds.append(common.cpu_seconds(lambda x=x, y=y, s=settings: peaks.fit_batch(x, y, s)) / len(y))
            batch = peaks.fit_batch(x, y, settings)
            own = Score()
            for i, truth in enumerate(known):
                table = batch.lines[i, : int(batch.fit[i, 0])].astype(float)
                total.add(truth, table)
                own.add(truth, table)
            recalls.append(own.figures()["recall_identifiable"])
        found = total.figures()
        figures[f"{effort}_per_core_s"] = 1.0 / float(np.median(seconds))
        prefix = "" if effort == "standard" else f"{effort}_"
        figures |= {prefix + key: value for key, value in found.items()}
        if effort == "standard":
            figures["recall_identifiable_worst_seed"] = min(recalls)
            figures["identifiable_lines"] = float(total.identifiable)
    return figures


def starting_values(true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return starts near the truth, as a detector would give them."""
    count = len(true)
    return np.column_stack(
        (
            true[:, 0] + true[:, 2] * rng.uniform(-0.1, 0.1, count),
            true[:, 1] * rng.uniform(0.8, 1.2, count),
            true[:, 2] * rng.uniform(0.8, 1.25, count),
            np.full(count, 0.5),
        )
    )


def beside_peers(quick: bool) -> dict[str, float]:
    """Return how many times faster the kernel is than lmfit and scipy, spectrum by spectrum in turn."""
    x, y, truth = spectra(6 if quick else 60, 17, with_background=False)
    rng = np.random.default_rng(17)
    own, own_voigt, scipy_s, lmfit_s, excess = [], [], [], [], []
    for i, (data, true) in enumerate(zip(y, truth, strict=True)):
        start = starting_values(true, rng)
        own.append(common.cpu_seconds(lambda d=data, s=start: peaks.refine(x, d, s), 5))
        mine = peaks.refine(x, data, start).chi2
        begin = time.process_time()
        theirs = with_scipy(x, data, start)
        scipy_s.append(time.process_time() - begin)
        excess.append(mine / theirs - 1.0)
        if i < (1 if quick else 6):
            own_voigt.append(common.cpu_seconds(lambda d=data, s=start: peaks.refine(x, d, s, shape="voigt"), 5))
            begin = time.process_time()
            with_lmfit(x, data, start)
            lmfit_s.append(time.process_time() - begin)
    return {
        "kernel_pseudo_voigt_per_core_s": 1 / float(np.median(own)),
        "kernel_voigt_per_core_s": 1 / float(np.median(own_voigt)),
        "scipy_per_core_s": 1 / float(np.median(scipy_s)),
        "lmfit_per_core_s": 1 / float(np.median(lmfit_s)),
        "times_scipy": float(np.median(np.array(scipy_s) / np.array(own))),
        "times_lmfit": float(np.median(np.array(lmfit_s) / np.array(own[: len(lmfit_s)]))),
        "times_lmfit_voigt": float(np.median(np.array(lmfit_s) / np.array(own_voigt))),
        "chi2_median_excess": float(np.median(excess)),
        "chi2_share_over_1_percent": float(np.mean(np.array(excess) > 0.01)),
    }


def with_scipy(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> float:
    """Fit pseudo-Voigt lines by scipy's trust region with the analytic Jacobian; return chi-square."""
    from scipy.optimize import least_squares

    count = len(start)

    def parts(p):
        c, h, w, s = p.reshape(count, 4).T[:, :, None]
        u = (x - c) / w
        lorentz, gauss = 1 / (1 + 4 * u * u), np.exp(-4 * np.log(2) * u * u)
        return h, w, s, u, lorentz, gauss

    def residual(p):
        h, _, s, _, lorentz, gauss = parts(p)
        return (h * (s * lorentz + (1 - s) * gauss)).sum(0) - y

    def jacobian(p):
        h, w, s, u, lorentz, gauss = parts(p)
        slope = 8 * h / w * u * (s * lorentz**2 + (1 - s) * np.log(2) * gauss)
        return (
            np.stack((slope, s * lorentz + (1 - s) * gauss, slope * u, h * (lorentz - gauss)), 1).reshape(-1, x.size).T
        )

    low = np.column_stack((start[:, 0] - start[:, 2], np.zeros(count), 0.1 * start[:, 2], np.zeros(count)))
    high = np.column_stack((start[:, 0] + start[:, 2], np.full(count, np.inf), 10 * start[:, 2], np.ones(count)))
    fit = least_squares(
        residual, start.ravel(), jacobian, bounds=(low.ravel(), high.ravel()), method="trf", x_scale="jac", ftol=1e-4
    )
    return 2 * fit.cost


def with_lmfit(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> float:
    """Fit Voigt lines by lmfit as its documentation shows; return chi-square."""
    from lmfit.models import VoigtModel

    model, parameters = None, None
    for i, (center, height, fwhm, _) in enumerate(start):
        one = VoigtModel(prefix=f"v{i}_")
        sigma = fwhm / 3.6013
        own = one.make_params(center=center, sigma=sigma, amplitude=height * sigma * 3.0)
        own[f"v{i}_gamma"].set(value=sigma, vary=True, expr="", min=0)
        own[f"v{i}_amplitude"].set(min=0)
        own[f"v{i}_center"].set(min=center - fwhm, max=center + fwhm)
        model = one if model is None else model + one
        parameters = own if parameters is None else parameters + own
    return float(model.fit(y, parameters, x=x).chisqr)


def scaling(quick: bool) -> dict[str, float]:
    """Return how two threads and a larger batch compare, and the time of a Raman map.

    ``two_workers_ratio_of_the_machine`` is what the same comparison gives for arithmetic in registers, which shares
    nothing: less than 2 is what the second core is short of.
    """
    x, y, _ = spectra(60 if quick else 400, 23)
    settings = peaks.FitSettings()
    double = np.concatenate((y, y))
    longer = common.cpu_seconds(lambda: peaks.fit_batch(x, double, settings))
    shorter = common.cpu_seconds(lambda: peaks.fit_batch(x, y, settings))
    side = 20 if quick else 100
    rounds = 2 if quick else 7
    count_down(10)
    return {
        "twice_the_spectra_times_the_time": longer / shorter,
        "two_workers_ratio": two_workers(lambda: peaks.fit_batch(x, y, settings), rounds),
        "two_workers_ratio_of_the_machine": two_workers(lambda: count_down(100_000_000), rounds),
        f"map_{side}x{side}_wall_s": map_seconds(x, raman_map(x, side)),
    }


def two_workers(work: Callable[[], Any], rounds: int) -> float:
    """Return how many times the work of one thread two get done, by the median over rounds on the wall."""
    ratios = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            single = common.wall_seconds(work)
            both = common.wall_seconds(lambda: [one.result() for one in [pool.submit(work), pool.submit(work)]])
            ratios.append(2 * single / both)
    return float(np.median(ratios))


@numba.njit(nogil=True)
def count_down(steps: int) -> float:
    """Compute in one register for a while."""
    value = 1.0
    for _ in range(steps):
        value = value * 1.0000001 + 1e-9
    return value


#: What somebody runs who has a map in a file: everything from the start of Python to the lines on disk.
FIT_A_MAP = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from spectroflow import peaks
given = np.load(sys.argv[1])
parts, settings = np.array_split(given["cube"], 20), peaks.FitSettings()
with ThreadPoolExecutor(2) as pool:
    fits = list(pool.map(lambda part: peaks.fit_batch(given["axis"], part, settings), parts))
np.savez(sys.argv[2], lines=np.concatenate([fit.lines for fit in fits]))
"""


def map_seconds(x: np.ndarray, cube: np.ndarray) -> float:
    """Return the time on the wall to fit a map with two threads in a process of its own, all included."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "map.npz", Path(folder) / "lines.npz"
        np.savez(source, axis=x, cube=cube)
        command = [sys.executable, "-c", FIT_A_MAP, str(source), str(target)]
        return common.wall_seconds(lambda: subprocess.run(command, cwd=common.ROOT, check=True))


def raman_map(x: np.ndarray, side: int, seed: int = 5) -> np.ndarray:
    """Return the spectra of a map of two phases whose shares and line positions vary, ``(side * side, points)``."""
    rng = np.random.default_rng(seed)
    u, v = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    share = 0.5 + 0.5 * np.sin(5 * u + 3 * v)
    strain = 1.5 * (u - v)
    first = np.array([[180.0, 25, 9, 0.6], [420, 60, 8, 0.7], [760, 15, 14, 0.5], [900, 30, 10, 0.4]])
    second = np.array([[230.0, 35, 12, 0.3], [405, 45, 10, 0.6], [640, 50, 7, 0.8]])
    rows = []
    for a, d in zip(share.ravel(), strain.ravel(), strict=True):
        one, two = first * [1, 0.2 + a, 1, 1], second * [1, 1.2 - a, 1, 1]
        lines = np.vstack((one, two)) + np.array([d, 0, 0, 0])
        rows.append(peaks.render(x, lines) + 30 + 20 * np.exp(-x / 500) + rng.normal(size=x.size))
    return np.array(rows)


def pure_noise(count: int) -> dict[str, float]:
    """Return how many lines are found per spectrum that has none."""
    noise = np.random.default_rng(99).normal(size=(count, 1024))
    batch = peaks.fit_batch(np.arange(1024.0), noise, peaks.FitSettings())
    return {"noise_lines_per_spectrum": float(batch.fit[:, 0].mean())}


def certified() -> dict[str, float]:
    """Return the worst number of correct digits in NIST's certified problems, where the files are at hand."""
    folder = common.test_data()
    if folder is None or not (folder / "nist_strd").is_dir():
        return {}
    gauss = [nist_digits(folder / "nist_strd" / f"Gauss{k}.dat", start) for k in (1, 2, 3) for start in (0, 1)]
    eckerle = [nist_digits(folder / "nist_strd" / "Eckerle4.dat", start) for start in (0, 1)]
    return {"nist_digits_gauss": min(gauss), "nist_digits_eckerle4": min(eckerle)}


def nist_digits(path, start: int) -> float:
    """Fit one of NIST's problems from its first or second start; return the fewest correct digits."""
    text = path.read_text().splitlines()
    pattern = re.compile(r"\s*b\d+\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")
    rows = np.array([[float(v) for v in m.groups()] for m in map(pattern.match, text) if m])
    first = max(i for i, line in enumerate(text) if line.startswith("Data:")) + 1
    y, x = np.array([[float(v) for v in line.split()] for line in text[first:] if line.strip()]).T
    b, certain = rows[:, start], rows[:, 2]
    if path.name.startswith("Gauss"):
        k = 2 * np.sqrt(np.log(2))
        lines = [[b[3], b[2], k * b[4], 0], [b[6], b[5], k * b[7], 0]]
        fit = peaks.refine(x, y, lines, shape="gaussian", background="exponential", background_start=b[:2], exact=True)
        found = np.concatenate([fit.background, *(row[[1, 0, 2]] / [1, 1, k] for row in fit.lines)])
    else:
        k = np.sqrt(8 * np.log(2))
        box = ([[x[0], 0, 1, 0]], [[x[-1], np.inf, 100, 0]])
        fit = peaks.refine(x, y, [[b[2], b[0] / b[1], k * b[1], 0]], shape="gaussian", bounds=box, exact=True)
        center, height, fwhm = fit.lines[0, :3]
        found = np.array([height * fwhm / k, fwhm / k, center])
    return float(np.min(-np.log10(np.maximum(np.abs(found / certain - 1), 1e-15))))


if __name__ == "__main__":
    options = common.parser("peaks", __doc__, PARTS).parse_args()
    figures = common.in_parts(options, PARTS, lambda part, _: measure(part, options.quick))
    common.show(common.result("peaks", figures, GOALS, quick=options.quick), as_json=options.json)
