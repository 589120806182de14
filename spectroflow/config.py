"""The configuration of every job: defaults, a TOML file over them, ``--set`` over that.

Each section is one pydantic model that refuses keys it does not know and names the nearest one it
does. A resolved configuration is part of every plan, and the digest of its section decides whether a
layer of that configuration already exists.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectroflow.errors import ConfigError


class Section(BaseModel):
    """Base of all sections: unknown keys are errors and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArchiveConfig(Section):
    """How arrays are cut into shards and chunks."""

    shard_rows: int = Field(default=1024, gt=0, description="most spectra in one shard")
    shard_bytes: int = Field(default=32 << 20, gt=0, description="most bytes of one shard of one array, uncompressed")
    chunk_rows: int = Field(default=64, gt=0, description="spectra in one chunk inside a shard")
    chunk_points: int = Field(default=2048, gt=0, description="points in one chunk inside a shard")


class EngineConfig(Section):
    """How units are dispatched."""

    unit_shards: int | None = Field(
        default=None,
        gt=0,
        description="shards that one worker does at a time; chosen for a minute of work if not given",
    )
    attempts: int = Field(default=3, gt=0, description="times a unit is tried before its records are searched")
    unit_timeout: float = Field(default=1800.0, gt=0, description="seconds after which a unit counts as hung")
    in_flight: int = Field(default=2, gt=0, description="units queued on each worker")
    gpus_per_worker: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of a graphics processor that each worker of training and generation has; 0: on the CPU",
    )
    inline_rows: int = Field(
        default=256, ge=0, description="jobs of at most this many rows run in this process unless --workers asks"
    )
    verify_fraction: float = Field(default=0.05, ge=0, le=1, description="share of units that are read back")
    order: Literal["planned", "shuffled"] = Field(default="planned", description="in which order units are given out")


class ConvertConfig(Section):
    """How files become records."""

    manifest_columns: dict[str, str] = Field(
        default_factory=dict, description="our column name -> the name it has in the manifest"
    )
    min_points: int = Field(default=8, ge=2, description="fewest points that make a spectrum")
    reader_timeout: float = Field(default=30.0, gt=0, description="CPU seconds that one file may take to read")
    reader_memory: int = Field(default=1 << 30, gt=0, description="bytes that reading one file may take")
    max_file_bytes: int = Field(default=2 << 30, gt=0, description="larger files are refused")


class FitConfig(Section):
    """How lines are fitted."""

    effort: Literal["fast", "standard", "precise"] = "standard"
    baseline: Literal["spline", "arpls", "none"] = Field(
        default="spline", description="spline: fitted with the lines; arpls: subtracted before"
    )
    detection_sigma: float = Field(default=5.0, gt=0, description="detection threshold in noise sigmas")
    noise: Literal["auto", "counts", "differences"] = Field(
        default="auto", description="auto: counting statistics where the data are evidently counts"
    )
    model_error: float = Field(
        default=0.01, ge=0, lt=1, description="how far the model may miss, as a share of the signal nearby"
    )


class TrainConfig(Section):
    """How the generator is trained."""

    folds: int = Field(default=5, ge=3, description="folds of materials; one ensemble member each")
    split: Literal["species", "sample", "paper"] = Field(
        default="species", description="what folds keep whole: materials, samples (material seen) or single records"
    )
    most_spectra: int = Field(
        default=6000,
        gt=0,
        description="spectra of one modality that a model learns from; of more, some of each material",
    )
    epochs: int = Field(default=50, gt=0, description="passes over the materials of a network")
    batch: int = Field(default=32, gt=1, description="materials in one batch")
    unpaired: float = Field(
        default=0.5, ge=0, description="materials of one modality in an epoch, for each one of several modalities"
    )
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    latent: int = Field(default=64, gt=0, description="size of the latent space")
    hidden: int = Field(default=256, gt=1, description="width of encoders and decoders")
    decoder_lines: int = Field(default=64, gt=0, description="line slots that a decoder renders")
    render_points: int = Field(
        default=350, gt=0, description="about how many points of a spectrum a training step renders"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)
    kl_weight: float = Field(default=1e-3, ge=0, description="weight of the KL divergence, in nats, in the loss")
    align_weight: float = Field(default=0.1, ge=0, description="weight of the contrastive alignment of modalities")
    composition_weight: float = Field(default=0.5, ge=0, description="weight of the composition read from a spectrum")
    augment: float = Field(default=1.0, ge=0, description="strength of simulated instrument effects; 0 is none")
    metric_steps: int = Field(default=100, ge=0, description="steps of learning what makes samples alike")
    clip_gradient: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    ema: float = Field(default=0.99, ge=0, lt=1, description="decay of the averaged weights, per step")
    stop_share: float = Field(
        default=0.0, ge=0, lt=0.5, description="share of the training materials that watch for an early stop; 0 is none"
    )
    stop_every: int = Field(default=25, gt=0, description="epochs between two looks at them")
    patience: int = Field(default=4, gt=0, description="looks without improvement before a network stops")
    tensorboard: bool = Field(default=False, description="write the course of the training for TensorBoard")
    mixed_precision: bool = Field(default=True, description="bfloat16 on GPUs that have it")
    seed: int = 0


class TransferConfig(Section):
    """How spectra are generated."""

    batch: int = Field(default=64, gt=0, description="spectra in one padded inference batch")
    accept_confidence: float = Field(default=0.7, ge=0, le=1)
    review_confidence: float = Field(default=0.4, ge=0, le=1)
    materials_named: int = Field(default=3, ge=0, description="training materials that are named for each spectrum")
    material_known: float = Field(
        default=0.5, gt=0, lt=1, description="share of the samples that are believed to be of a training material"
    )
    library_holds: float = Field(
        default=0.9, gt=0, lt=1, description="share of the samples whose structure a library is believed to hold"
    )
    library_names: int = Field(default=5, ge=0, description="structures that are named for each spectrum")


class LibraryConfig(Section):
    """How patterns of known structures are computed."""

    shortest: float = Field(default=0.7, gt=0.2, description="least spacing of reflections, in angstrom")
    lines: int = Field(default=4096, gt=0, description="most powder lines that are kept of a structure")
    fwhm: float = Field(default=0.1, gt=0, description="width of the lines of the stored pattern, in degrees 2-theta")


class EvaluateConfig(Section):
    """How generated spectra are judged."""

    bootstrap: int = Field(default=1000, ge=0, description="bootstrap samples over materials")
    seed: int = 0


class ReportConfig(Section):
    """What a report shows."""

    overlays: int = Field(default=6, ge=0, description="example spectra per direction")
    worst: int = Field(default=10, ge=0, description="worst cases listed per direction")


class SimulateConfig(Section):
    """What a synthetic archive holds."""

    materials: int = Field(default=50, gt=0)
    samples: int = Field(default=3, gt=0, description="samples of each material")
    modalities: tuple[str, ...] = ("raman", "ir", "xrd")
    mixtures: int = Field(default=0, ge=0, description="samples of two or three of the materials besides")
    snr: float = Field(default=60.0, gt=0, description="median signal-to-noise ratio")
    coverage: float = Field(default=1.0, gt=0, le=1, description="share of samples measured in each modality")
    broken: int = Field(default=0, ge=0, description="unreadable files mixed in")
    seed: int = 0


class Config(Section):
    """Everything that can be configured, one attribute per TOML table."""

    archive: ArchiveConfig = ArchiveConfig()
    engine: EngineConfig = EngineConfig()
    convert: ConvertConfig = ConvertConfig()
    fit: FitConfig = FitConfig()
    train: TrainConfig = TrainConfig()
    transfer: TransferConfig = TransferConfig()
    library: LibraryConfig = LibraryConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()
    simulate: SimulateConfig = SimulateConfig()
    modality: dict[str, dict[str, Any]] = Field(default_factory=dict)


def load(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    path
        A TOML file, or None for the defaults.
    overrides
        ``section.key=value`` strings that win over the file. Values are read as TOML; what is not
        TOML is taken as a string.

    Raises
    ------
    ConfigError
        The file cannot be read, a key is unknown, or a value does not fit.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigError(
                f"the configuration cannot be read ({error.strerror})", where=str(path), remedy="Check --config."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"not valid TOML: {error}", where=str(path), remedy="Correct that line.") from None
    for override in overrides:
        _apply(tree, override)
    return parse(tree, where=str(path or "--set"))


def parse(tree: Mapping[str, Any], *, where: str = "") -> Config:
    """Validate a nested mapping; raise :class:`ConfigError` naming the first wrong key."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, Config, where) from None


def digest(value: BaseModel | Mapping[str, Any], length: int = 16) -> str:
    """Return a hexadecimal digest of a configuration, independent of key order."""
    tree = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()[:length]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean ...?"`` for the known name closest to ``name``, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean {matches[0]!r}?" if matches else ""


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts) or len(parts) < 2:
        raise ConfigError(
            f"--set {override!r} is not of the form section.key=value", remedy="For example: --set fit.effort=fast."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override!r}: {part!r} is a value, not a table", remedy="Set that value itself.")
    tree[parts[-1]] = value


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        place = f"in [{'.'.join(path[:-1])}]" if path[:-1] else "at the top level"
        return ConfigError(
            f"there is no key {path[-1]!r} {place}",
            where=where,
            remedy=nearest(path[-1], known) or f"Known are {', '.join(sorted(known))}.",
        )
    return ConfigError(f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}", where=where, remedy="Correct that value.")


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
