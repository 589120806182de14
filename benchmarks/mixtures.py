"""Mixtures of two and three phases, their composition known: what transfer makes of them, what it names.

Phases are found in diffraction patterns, with the structures of all materials in the library: in simulated ones, and
in sums of measured ones where ``SPECTROFLOW_TEST_DATA`` names the RRUFF pack. Generation is by a generator that was
trained on pure materials: on other samples of the same materials, and on their mixtures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks import common, mixtures_measured
from benchmarks.model_work import work_folder
from spectroflow import simulate
from spectroflow.config import SimulateConfig, TrainConfig
from spectroflow.modality import Modality, builtin
from spectroflow.models.blend import correlation
from spectroflow.models.data import SpectraOf, TrainingData, spectra_of
from spectroflow.models.ensemble import fit_generator
from spectroflow.models.generator import Generator
from spectroflow.models.library import LibraryGenerator, PhaseFinder, StructureLibrary
from spectroflow.models.naming import MaterialNamer
from spectroflow.models.preprocess import prepare
from spectroflow.models.training import train_networks
from spectroflow.signal import resample
from spectroflow.simulate import Mixture, SimulatedSpectrum

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

#: Materials of this seed are for reporting; nothing was tuned on them.
SEED = 77
GOALS = [common.Goal("mixtures", least=10_000, quick=False)]


def measure(quick: bool) -> dict[str, float]:
    """Return all figures."""
    config = SimulateConfig(seed=SEED, materials=40 if quick else 200, samples=2, mixtures=150 if quick else 10_000)
    structures = library(config)
    figures = {"mixtures": float(config.mixtures), "structures": float(len(structures))}
    figures |= phases(config, structures)
    figures |= generation(config, structures, quick)
    if not quick:
        with work_folder("mixtures") as folder:
            figures |= mixtures_measured.measure(folder)
    return figures


def library(config: SimulateConfig) -> StructureLibrary:
    """Return the structures of all materials of a synthetic archive."""
    crystals = [simulate.structure(config.seed, index) for index in range(config.materials)]
    return StructureLibrary.of(crystals, 1.06, labels=[crystal.name for crystal in crystals])


def phases(config: SimulateConfig, structures: StructureLibrary) -> dict[str, float]:
    """Return how many of the phases of which share are found in patterns, and how well their shares are told."""
    xrd = builtin()["xrd"]
    finder = PhaseFinder(structures, xrd)
    found: dict[tuple[float, float], list[bool]] = {span: [] for span in mixtures_measured.BINS}
    errors: list[float] = []
    named = right = first = whole = 0
    for start in range(0, config.mixtures, 256):
        indices = range(start, min(start + 256, config.mixtures))
        spectra = [simulate.mixture_spectrum(index, "xrd", config) for index in indices]
        values, valid = gridded(spectra, xrd)
        for index, answer in zip(indices, finder.find(prepare(values, valid, xrd)), strict=True):
            truth = simulate.mixture(index, config)
            share = dict(zip(truth.phases, truth.shares, strict=True))
            told = dict(zip(answer.structures, answer.shares, strict=True))
            for span in mixtures_measured.BINS:
                found[span] += [phase in told for phase, own in share.items() if span[0] <= own < span[1]]
            named += len(told)
            right += len(set(told) & set(share))
            first += bool(told) and max(told, key=lambda i: told[i]) == truth.phases[0]
            if set(told) == set(share):
                whole += 1
                errors += [abs(told[phase] - share[phase]) for phase in share]
    return {
        **{
            f"phases_found_{100 * a:.0f}_to_{100 * b:.0f}_percent": float(np.mean(hit)) for (a, b), hit in found.items()
        },
        "phases_named_right": right / max(named, 1),
        "main_phase_right": first / config.mixtures,
        "all_phases_right": whole / config.mixtures,
        "share_error_median": float(np.median(errors)) if errors else 1.0,
    }


def generation(config: SimulateConfig, structures: StructureLibrary, quick: bool) -> dict[str, float]:
    """Return how well the infrared of mixtures is generated from their Raman, and which phase is named for it."""
    generator = trained(config, quick)
    modalities = generator.modalities
    count = min(config.mixtures, 100 if quick else 2000)
    fresh = config.model_copy(update={"samples": 3})
    pure = [(m, 2) for m in range(min(config.materials, 40))]
    sets: dict[str, tuple[list[SimulatedSpectrum], list[SimulatedSpectrum]]] = {
        "pure": tuple([simulate.spectrum(m, s, name, fresh) for m, s in pure] for name in ("raman", "ir"))  # type: ignore[dict-item]
    }
    made_of: dict[str, list[Mixture]] = {}
    for phases_ in (2, 3):
        chosen = [i for i in range(count) if len(simulate.mixture(i, config).phases) == phases_]
        made_of[f"{phases_}_phases"] = [simulate.mixture(i, config) for i in chosen]
        sets[f"{phases_}_phases"] = tuple(  # type: ignore[assignment]
            [simulate.mixture_spectrum(i, name, config) for i in chosen] for name in ("raman", "ir")
        )
    model, namer = LibraryGenerator(generator, structures), MaterialNamer(generator, "raman")
    labels = [simulate.material(config.seed, index).label for index in range(config.materials)]
    figures: dict[str, float] = {}
    for name, (sources, targets) in sets.items():
        values, valid = gridded(sources, modalities["raman"])
        wanted, measured = gridded(targets, modalities["ir"])
        made = generator.generate(values, valid, None, "raman", "ir")
        score = correlation(made.intensity, prepare(wanted, measured, modalities["ir"]), measured)
        figures[f"raman_ir_r_{name}"] = float(score.mean())
        figures[f"raman_ir_confidence_{name}"] = float(made.confidence.mean())
        likely = model.generate(values, valid, None, "raman", "xrd").probability.argmax(axis=1)
        truths = [[m for m, _ in pure]] if name == "pure" else None
        members = [{m} for m in truths[0]] if truths else [set(one.phases) for one in made_of[name]]
        figures[f"raman_names_a_phase_{name}"] = float(
            np.mean([i in own for i, own in zip(likely, members, strict=True)])
        )
        found = namer.name(values, valid, most=1, known=0.5)
        told = [labels.index(one.materials[0][0]) for one in found]
        figures[f"raman_names_a_material_{name}"] = float(
            np.mean([i in own for i, own in zip(told, members, strict=True)])
        )
        figures[f"raman_material_known_{name}"] = float(np.mean([one.known for one in found]))
    return figures


def trained(config: SimulateConfig, quick: bool) -> Generator:
    """Return a generator of pure materials."""
    modalities = {name: builtin()[name] for name in ("ir", "raman", "xrd")}
    few = config.model_copy(update={"materials": min(config.materials, 40 if quick else 120), "mixtures": 0})
    spectra: dict[str, SpectraOf] = {}
    for name, modality in modalities.items():
        table = list(simulate.spectra(few, (name,)))
        values, valid = gridded(table, modality)
        spectra[name] = spectra_of(
            modality,
            values,
            valid,
            sample=[one.sample_id for one in table],
            label=[one.label for one in table],
            digest=[f"{name}-{one.sample_id}" for one in table],
            formula=[one.formula for one in table],
        )
    data = TrainingData.build(modalities, spectra)
    train = TrainConfig(folds=3, epochs=2 if quick else 20, hidden=32 if quick else 128, latent=16, decoder_lines=16)
    return fit_generator(data, train_networks(data, train), train, directions=[("raman", "ir")])


def gridded(spectra: Sequence[SimulatedSpectrum], modality: Modality) -> tuple[Float, Bool]:
    """Return spectra on the grid of their modality, and where they were measured."""
    axis = modality.grid.axis()
    pairs = [resample(one.axis, one.intensity, axis) for one in spectra]
    values = np.stack([value for value, _ in pairs]).astype(np.float32)
    valid = np.stack([known for _, known in pairs])
    values[~valid] = 0.0
    return values, valid


if __name__ == "__main__":
    common.main("mixtures", measure, GOALS, __doc__)
