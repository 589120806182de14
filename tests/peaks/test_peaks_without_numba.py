"""The same answers where numba is not installed, and a compiler that cannot keep what it compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_lines import spectra
from spectroflow import peaks
from spectroflow.signal import arpls, compiled

SCRIPT = """
import sys
import numpy as np
from spectroflow import peaks
from spectroflow.signal import arpls
from spectroflow.signal.compiled import COMPILED
assert not COMPILED
assert "numba" not in sys.modules
data = np.load(sys.argv[1])
out = {"arpls": arpls(data["y"][0])}
for effort in ("fast", "standard", "precise"):
    batch = peaks.fit_batch(data["x"], data["y"], peaks.FitSettings(effort=effort))
    out[effort], out[effort + "_fit"] = batch.lines, batch.fit
doublet = peaks.fit(data["x"] / 20 + 20, data["y"][0], wavelengths=(1.54056, 1.54439, 0.5))
out["doublet"] = doublet.lines
np.savez(sys.argv[2], **out)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("plain")
    x, y, _ = spectra(5, 61)
    np.savez(folder / "in.npz", x=x, y=y)
    environment = dict(os.environ, SPECTROFLOW_NO_NUMBA="1")
    subprocess.run(
        [sys.executable, "-c", SCRIPT, folder / "in.npz", folder / "out.npz"],
        env=environment,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return x, y, dict(np.load(folder / "out.npz"))


@pytest.mark.parametrize("effort", ["fast", "standard", "precise"])
def test_same_lines(plain: tuple, effort: str) -> None:
    x, y, answers = plain
    batch = peaks.fit_batch(x, y, peaks.FitSettings(effort=effort))
    np.testing.assert_array_equal(batch.fit[:, 0], answers[effort + "_fit"][:, 0])
    np.testing.assert_allclose(batch.lines, answers[effort], rtol=2e-4, atol=2e-4)


def test_same_background_and_companion(plain: tuple) -> None:
    x, y, answers = plain
    np.testing.assert_allclose(arpls(y[0]), answers["arpls"], rtol=1e-9)
    doublet = peaks.fit(x / 20 + 20, y[0], wavelengths=(1.54056, 1.54439, 0.5))
    np.testing.assert_allclose(doublet.lines, answers["doublet"], rtol=1e-3, atol=1e-3)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    asked = []

    def njit(**options):
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    class Stub:
        pass

    stub = Stub()
    stub.njit = njit
    monkeypatch.setattr(compiled, "numba", stub)

    @compiled.jit()
    def double(v: float) -> float:
        return 2.0 * v

    assert double(4.0) == 8.0
    assert asked == [True, False]


def test_cached_code_depends_on_every_kernel() -> None:
    pytest.importorskip("numba")
    from spectroflow.peaks.row import fit_row

    stamp = fit_row._cache._cache_file._source_stamp
    assert stamp[1] == compiled._sources_digest()


def test_importing_compiles_nothing() -> None:
    script = "import sys, spectroflow.peaks; print('numba' in sys.modules or 'spectroflow.peaks.row' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
