"""The plot job: a page with the spectrum, its lines, what is left over, and its flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spectroflow.archive import Archive
from spectroflow.errors import InvalidInput
from spectroflow.jobs import JobOptions
from spectroflow.jobs.plot import find, plot
from spectroflow.peaks import FIT_QUANTITIES, Flag


def test_a_fitted_spectrum_shows_lines_residual_and_flags(simulated: Path, inline: JobOptions, tmp_path: Path) -> None:
    opened = Archive(str(simulated))
    segment, row = find(opened, 'modality == "raman"')
    page = tmp_path / "spectrum.html"
    summary = plot(str(simulated), f"{segment}/{row}", str(page), options=inline)
    assert summary.output == str(page)
    html = page.read_text()
    layer = opened.lines_layer(segment)
    assert layer is not None
    quantities = dict(zip(FIT_QUANTITIES, opened.layer_array(layer, "fit", row, row + 1)[0].tolist(), strict=True))
    for flag in Flag(int(quantities["flags"])):
        assert flag.name in html
    assert '"residual"' in html
    lines = opened.layer_array(layer, "lines", row, row + 1)[0]
    assert html.count('"fitted lines"') == np.isfinite(lines[:, 0]).sum() > 0


def test_nothing_that_matches_is_an_invalid_input(simulated: Path, inline: JobOptions, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no spectrum matches"):
        plot(str(simulated), "nobody", str(tmp_path / "x.html"), options=inline)
