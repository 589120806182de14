from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spectroflow.archive import Archive
from spectroflow.config import load
from spectroflow.errors import InvalidInput
from spectroflow.jobs import JobOptions
from spectroflow.jobs import train as job
from spectroflow.jobs.summary import Summary
from spectroflow.jobs.train import train
from spectroflow.jobs.training_data import TrainingInput
from spectroflow.storage import Location

TINY = (
    "train.folds=3",
    "train.epochs=2",
    "train.stop_every=1",
    "train.hidden=16",
    "train.latent=4",
    "train.decoder_lines=8",
    "train.metric_steps=4",
    "train.tensorboard=true",
)
PAIRS = [("raman", "ir")]


class Broken(Exception):
    pass


class BreaksOff(job.LocationHooks):
    """Ends the process, as it were, after the first look."""

    def save(self, network: str, state: bytes) -> None:
        super().save(network, state)
        raise Broken


@pytest.fixture(scope="module")
def tiny() -> JobOptions:
    return JobOptions(config=load(None, TINY), workers=0)


@pytest.fixture(scope="module")
def trained(simulated: Path, tiny: JobOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary, float]:
    """A model whose training broke off once, the summary of the second call, and what the first one took."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "LocationHooks", BreaksOff)
        with pytest.raises(Broken):
            train(str(simulated), str(folder), pairs=PAIRS, options=tiny)
    kept = json.loads(next(folder.rglob("cost.json")).read_text())
    assert kept["calls"] == 1
    return folder, train(str(simulated), str(folder), pairs=PAIRS, options=tiny), kept["wall_seconds"]


def test_a_card_tells_what_is_needed_to_judge_the_model(
    trained: tuple[Path, Summary, float], simulated: Path, tiny: JobOptions
) -> None:
    folder, summary, first = trained
    card = json.loads((folder / "card.json").read_text())
    assert summary.rows.ok == card["data"]["spectra"]["raman"] + card["data"]["spectra"]["ir"] == 32
    assert card["cost"]["calls"] == 2
    assert card["cost"]["wall_seconds"] > first
    assert card["cost"]["networks_cpu_seconds"] > 0
    assert set(card["networks"]) == {"0-1", "0-2", "1-2"}
    for figures in card["networks"].values():
        assert figures["kl"] > 0
        assert 0 <= figures["active_units"] <= 4
        assert -1 <= figures["r_raman"] <= 1
        assert -1 <= figures["r_ir"] <= 1
    assert sum(card["blends"]["raman to ir"].values()) == pytest.approx(1, abs=1e-3)
    assert card["held_out_r"]["raman to ir"]["mean"] > -1
    assert sum(card["folds"]["raman"]) == 16
    assert card["train"]["epochs"] == 2
    assert not (folder / "training").exists()
    assert train(str(simulated), str(folder), pairs=PAIRS, options=tiny).status == "nothing to do"


def test_the_course_of_a_training_can_be_looked_at_with_tensorboard(trained: tuple[Path, Summary, float]) -> None:
    runs = {path.parent.name for path in (trained[0] / "tensorboard").rglob("events.out.*")}
    assert runs == {"0-1", "0-2", "1-2"}
    written = next((trained[0] / "tensorboard" / "1-2").iterdir()).read_bytes()
    assert b"active_units" in written


def test_one_modality_trains_reconstruction_and_says_so(
    simulated: Path, tiny: JobOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "modalities_for", lambda *_: ("ir",))
    summary = train(str(simulated), str(tmp_path), options=tiny)
    assert "reconstruction only" in summary.lines[0]
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["directions"] == []
    assert all(-1 <= figures["r_ir"] <= 1 for figures in card["networks"].values())


def test_unpaired_modalities_are_refused(simulated: Path, tiny: JobOptions, tmp_path: Path) -> None:
    options = replace(tiny, where="modality == 'ir'")
    with pytest.raises(InvalidInput, match="no usable raman spectrum"):
        train(str(simulated), str(tmp_path), pairs=PAIRS, options=options)


def test_of_very_many_spectra_some_of_each_material_are_learned_from_and_it_is_said(
    simulated: Path, tmp_path: Path
) -> None:
    everything = load(None, TINY)
    some = load(None, (*TINY, "train.most_spectra=8"))
    opened = Archive(str(simulated))
    whole, chosen = (
        TrainingInput(opened.root, opened.version.number, ("ir", "raman"), None, config).load()
        for config in (everything, some)
    )
    for name in ("ir", "raman"):
        table, kept = whole.spectra[name], chosen.spectra[name]
        assert len(kept) == 8 < len(table)
        assert len(set(kept.label)) == 8  # one of each of the eight materials
        rows = [table.digest.index(digest) for digest in kept.digest]
        np.testing.assert_array_equal(kept.values, table.values[rows])
        np.testing.assert_array_equal(kept.lines, table.lines[rows])
        assert kept.formula == tuple(table.formula[row] for row in rows)
    assert len(chosen.pairs("raman", "ir")) == 8
    options = JobOptions(config=some, workers=0, dry_run=True)
    summary = train(str(simulated), str(tmp_path / "model"), pairs=PAIRS, options=options)
    assert any("of 16 raman spectra 8 are learned from" in line for line in summary.lines)


def test_a_log_beside_a_remote_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="local disk only"):
        job.TensorBoardLog.beside(Location.parse("memory://models/one"))
