"""Training, from top to bottom.

An archive is split into folds of materials. One network is trained for every *pair* of folds, without
either of them::

    network 0-1   sees folds 2 3 4        member 0 = networks 0-1 0-2 0-3 0-4   never saw fold 0
    network 0-2   sees folds 1 3 4        member 1 = networks 0-1 1-2 1-3 1-4   never saw fold 1
    ...                                   ...

So a member is an ensemble that never saw its fold, and inside a member every training material has a
network that never saw *it*: what the blend and the confidence are fitted on (see ``blend.py``). Every
network is used twice. Networks do not depend on each other, so workers share them out whole: what
comes out does not depend on how many workers there were.

The loop knows no framework. :class:`TrainHooks` is what a framework gives it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectroflow.config import TrainConfig
from spectroflow.errors import ModelError
from spectroflow.materials.composition import ELEMENTS
from spectroflow.modality import Modality
from spectroflow.models.augment import augment
from spectroflow.models.checkpoint import from_bytes, to_bytes
from spectroflow.models.data import TrainingData
from spectroflow.models.features import composition_features
from spectroflow.models.vae import (
    SAYS_NOTHING,
    CrossModalVAE,
    Gaussian,
    alignment_loss,
    product_of_experts,
    reconstruction_loss,
)

Int = npt.NDArray[np.int64]
Figures = dict[str, float]
COMPOSITION = "composition"  # name of the expert that reads the formula
TOLD = 0.3  # share of the steps in which it is heard
ACTIVE = 0.01  # variance of a latent unit's mean above which the unit is in use (Burda et al., ICLR 2016)


class TrainHooks(Protocol):
    """What the surroundings of the training offer: a place among workers, a log, and a memory."""

    rank: int
    world_size: int

    def report(self, network: str, epoch: int, figures: Figures) -> None:
        """Take the figures of one look at a network."""

    def save(self, network: str, state: bytes) -> None:
        """Keep the state of a network, in place of an earlier one."""

    def load(self, network: str) -> bytes | None:
        """Return the state that was kept last, or None."""


class InlineHooks:
    """One worker that keeps states in memory and reports to nobody."""

    rank = 0
    world_size = 1

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}

    def report(self, network: str, epoch: int, figures: Figures) -> None:
        """Do nothing."""

    def save(self, network: str, state: bytes) -> None:
        """Keep the state in this object."""
        self.states[network] = state

    def load(self, network: str) -> bytes | None:
        """Return what :meth:`save` kept."""
        return self.states.get(network)


@dataclass(frozen=True)
class NetworkPlan:
    """One network of the ensemble: which folds it never sees, and its seed."""

    name: str
    without: tuple[int, int]
    seed: int


@dataclass(frozen=True)
class Trained:
    """A trained network: its averaged weights on the CPU and how the training went."""

    plan: NetworkPlan
    state: dict[str, Tensor]
    figures: Figures


@dataclass
class Progress:
    """How far the training of one network has come, and the best weights so far."""

    epoch: int = 0
    finished: bool = False
    score: float = math.inf
    stale: int = 0
    figures: Figures = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)


def plan_networks(config: TrainConfig) -> list[NetworkPlan]:
    """Return the networks of an ensemble: one for every pair of folds."""
    pairs = combinations(range(config.folds), 2)
    return [NetworkPlan(f"{a}-{b}", (a, b), config.seed * 1000 + i) for i, (a, b) in enumerate(pairs)]


def train_networks(
    data: TrainingData, config: TrainConfig, *, device: str = "cpu", hooks: TrainHooks | None = None
) -> list[Trained]:
    """Train this worker's share of the networks.

    Parameters
    ----------
    hooks
        None trains all of them here.

    Returns
    -------
    list of Trained
        Networks ``rank, rank + world_size, ...`` of :func:`plan_networks`. A network that was finished
        before is loaded, one that was begun is continued, with the same result as without a break; so
        calling this with hooks that load what all workers saved collects the whole ensemble.
    """
    hooks = hooks or InlineHooks()
    folds = data.folds(config.folds, config.seed, config.split)
    return [
        train_network(data, folds, plan, config, device=device, hooks=hooks)
        for plan in plan_networks(config)[hooks.rank :: hooks.world_size]
    ]


def train_network(
    data: TrainingData,
    folds: Mapping[str, Int],
    plan: NetworkPlan,
    config: TrainConfig,
    *,
    device: str,
    hooks: TrainHooks,
) -> Trained:
    """Train one network on all folds but two.

    Raises
    ------
    ModelError
        The loss became NaN or infinite. The message names the records of the batch; what was kept by
        ``hooks.save`` at the end of the epoch before is untouched.
    """
    torch.manual_seed(plan.seed)
    network = build_network(data.modalities, config).to(device)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    learn, watch = _split_materials(data, folds, plan, config)
    batches = Batches(data, learn, config, device)
    watched = Batches(data, watch, config, device) if any(len(r) for r in watch.values()) else None
    steps = batches.steps * config.epochs
    progress = _resume(hooks.load(plan.name), network, average, optimizer)

    for epoch in range(progress.epoch, config.epochs):
        if progress.finished:
            break
        torch.manual_seed(plan.seed * 100_003 + epoch)  # dropout and the latent noise
        network.train()
        for step, batch in enumerate(batches.epoch(plan.seed, epoch), start=epoch * batches.steps):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _schedule(step / steps)
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=_use_bfloat16(device, config)):
                loss = batch_loss(network, batch, config)
            if not math.isfinite(float(loss.detach())):
                raise ModelError(
                    f"the loss of network {plan.name} became {float(loss.detach())} in epoch {epoch} on the records "
                    f"{', '.join(batch.digests(data)[:12])}",
                    remedy="Look at these records with inspect, or lower train.learning_rate; what was kept is good.",
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_gradient)
            optimizer.step()
            _average_into(average, network, min(config.ema, (1 + step) / (10 + step)))
        progress.epoch = epoch + 1
        if (epoch + 1) % config.stop_every == 0 or epoch + 1 == config.epochs:
            figures = {"loss": float(loss.detach()), **look(average, watched or batches)}
            hooks.report(plan.name, epoch + 1, figures)
            _judge(progress, figures, average, config)
            if not progress.finished:
                hooks.save(plan.name, _pack(network, average, optimizer, progress))
    progress.finished = True
    hooks.save(plan.name, _pack(network, average, optimizer, progress))
    state = {key: value.detach().cpu().contiguous() for key, value in progress.best.items()}
    return Trained(plan, state, {**progress.figures, "epochs": float(progress.epoch)})


def build_network(modalities: Mapping[str, Modality], config: TrainConfig) -> CrossModalVAE:
    """Return a network with fresh weights."""
    return CrossModalVAE(
        modalities,
        hidden=config.hidden,
        latent=config.latent,
        decoder_lines=config.decoder_lines,
        dropout=config.dropout,
    )


@dataclass(frozen=True)
class Batch:
    """One spectrum per modality and material, where the material has one.

    Attributes
    ----------
    rows
        ``{modality: (present,)}`` rows of the training data.
    place
        ``{modality: (present,)}`` which material of the batch each belongs to.
    clean, seen
        ``{modality: (values, valid, lines)}`` as measured, and as the encoders see it.
    formula, hint
        ``(size, elements)`` composition features: the formula's, and those that the encoder sees (the
        formula's or only the elements'); zero rows where unknown.
    size
        Materials in the batch.
    source
        Modality that encodes in this step, or None: all that are present.
    told
        Whether the composition encodes, too.
    comb
        ``{modality: slice}`` grid points at which the decoders render in this step: every second or fifth,
        say, from a random first one. Lines are wider than that, and rendering is most of the cost.
    """

    rows: dict[str, Int]
    place: dict[str, Tensor]
    clean: dict[str, tuple[Tensor, Tensor, Tensor]]
    seen: dict[str, tuple[Tensor, Tensor, Tensor]]
    formula: Tensor
    hint: Tensor
    size: int
    source: str | None
    told: bool
    comb: dict[str, slice]

    def digests(self, data: TrainingData) -> list[str]:
        """Return the digests of all records in the batch."""
        return [data.spectra[name].digest[row] for name, rows in self.rows.items() for row in rows]


class Batches:
    """Random batches of materials; everything lies on the device, so a batch costs a few gathers."""

    def __init__(self, data: TrainingData, rows: Mapping[str, Int], config: TrainConfig, device: str) -> None:
        self.modalities, self.config, self.device = data.modalities, config, device
        self.arrays = {
            name: tuple(
                torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=device)
                for array in (table.values, table.valid, table.lines)
            )
            for name, table in data.spectra.items()
        }
        self.strides = {
            name: max(1, round(modality.grid.points / config.render_points))
            for name, modality in data.modalities.items()
        }
        self.features = {
            track: {
                name: torch.as_tensor(composition_features(fractions, track), device=device)
                for name, fractions in data.composition.items()
            }
            for track in ("elements", "formula")
        }
        self.rows_of: dict[str, dict[int, Int]] = {}
        for name, chosen in rows.items():
            material = data.material[name][chosen]
            self.rows_of[name] = {int(m): chosen[material == m] for m in np.unique(material)}
        self.materials = np.unique(np.concatenate([data.material[n][r] for n, r in rows.items()]))
        self.steps = max(1, round(len(self.materials) / config.batch))

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every material once, in random order, with a random spectrum of each modality."""
        rng = np.random.default_rng((seed, epoch))
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        for chosen in np.array_split(rng.permutation(self.materials), self.steps):
            rows: dict[str, Int] = {}
            place: dict[str, Tensor] = {}
            for name, table in self.rows_of.items():
                at = [i for i, m in enumerate(chosen) if int(m) in table]
                rows[name] = np.asarray([rng.choice(table[int(chosen[i])]) for i in at], np.int64)
                place[name] = torch.as_tensor(at, dtype=torch.long, device=self.device)
            present = [name for name in rows if len(rows[name])]
            source = present[rng.integers(len(present))] if rng.random() < 0.9 else None
            clean = {n: self._take(n, r) for n, r in rows.items() if len(r)}
            seen = {n: augment(*clean[n], self.modalities[n], self.config.augment, generator) for n in present}
            rows = {n: rows[n] for n in present}
            formula, elements = (
                self._composition(track, rows, place, len(chosen)) for track in ("formula", "elements")
            )
            hint = elements if rng.random() < 0.5 else formula
            told = bool(rng.random() < TOLD)
            comb = {n: slice(int(rng.integers(stride)), None, stride) for n, stride in self.strides.items()}
            yield Batch(rows, place, clean, seen, formula, hint, len(chosen), source, told, comb)

    def some(self, most: int = 128) -> Batch:
        """Return the first spectrum of each modality of the first materials, unchanged."""
        index = {int(m): i for i, m in enumerate(self.materials[:most])}
        chosen = {n: [m for m in sorted(table) if m in index] for n, table in self.rows_of.items()}
        rows = {n: np.asarray([self.rows_of[n][m][0] for m in ms], np.int64) for n, ms in chosen.items() if ms}
        place = {n: torch.as_tensor([index[m] for m in chosen[n]], dtype=torch.long, device=self.device) for n in rows}
        clean = {n: self._take(n, r) for n, r in rows.items()}
        size = len(index)
        formula = self._composition("formula", rows, place, size)
        return Batch(rows, place, clean, clean, formula, formula, size, None, False, {n: slice(None) for n in rows})

    def _composition(self, track: str, rows: dict[str, Int], place: dict[str, Tensor], size: int) -> Tensor:
        result = torch.zeros(size, len(ELEMENTS), device=self.device)
        for name in rows:
            feature = self.features[track][name][torch.as_tensor(rows[name], device=self.device)]
            known = feature.any(dim=1)
            result[place[name][known]] = feature[known]
        return result

    def _take(self, name: str, rows: Int) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.as_tensor(rows, device=self.device)
        values, valid, lines = self.arrays[name]
        return values[index], valid[index], lines[index]


def batch_loss(network: CrossModalVAE, batch: Batch, config: TrainConfig) -> Tensor:
    """Return the loss of one batch: reconstruction and transfer, KL divergence, alignment of the modalities."""
    sources = [batch.source] if batch.source else list(batch.seen)
    experts = {name: network.encode(name, *batch.seen[name]) for name in batch.seen}
    known = batch.formula.any(dim=1).nonzero().squeeze(1)
    places = dict(batch.place)
    if len(known):
        experts[COMPOSITION], places[COMPOSITION] = network.encode_composition(batch.hint[known]), known
        sources = [*sources, COMPOSITION] if batch.told else sources
    posterior, encoded = _combine(experts, places, sources, batch.size, network.latent)
    latent = posterior.sample(torch.randn_like(posterior.mean))
    total = config.kl_weight * posterior.divergence().sum(dim=1)[encoded].mean()
    for name, (values, valid, _) in batch.clean.items():
        asked = encoded[batch.place[name]]
        if bool(asked.any()):
            found = network.decode(name, latent[batch.place[name][asked]], batch.comb[name])
            wanted, measured = values[asked][:, batch.comb[name]], valid[asked][:, batch.comb[name]]
            total = total + reconstruction_loss(found, wanted, measured).mean()
    asked = known[encoded[known]]
    if len(asked):
        found = network.decode_composition(latent[asked])
        total = total + config.composition_weight * (1.0 - (found * batch.formula[asked]).sum(dim=1)).mean()
    if config.align_weight:
        for one, other in combinations(experts, 2):
            left, right = _shared(places[one], places[other])
            if len(left) > 1:
                total = total + config.align_weight * alignment_loss(
                    experts[one].mean[left], experts[other].mean[right]
                )
    return total


@torch.no_grad()
def look(network: CrossModalVAE, batches: Batches) -> Figures:
    """Return how a network does on some materials: losses within and across modalities, KL, active units."""
    network.eval()
    batch = batches.some()
    figures: Figures = {}
    within: list[float] = []
    across: list[float] = []
    divergence: list[float] = []
    active: list[float] = []
    for source in batch.clean:
        posterior = network.posterior(source, *batch.clean[source])
        divergence.append(float(posterior.divergence().sum(dim=1).mean()))
        active.append(float((posterior.mean.var(dim=0) > ACTIVE).sum()) if len(posterior.mean) > 1 else 0.0)
        for target, (values, valid, _) in batch.clean.items():
            left, right = _shared(batch.place[source], batch.place[target])
            if len(left):
                loss = reconstruction_loss(network.decode(target, posterior.mean[left]), values[right], valid[right])
                (within if source == target else across).extend(loss.tolist())
                figures[f"{source}_{target}"] = float(loss.mean())
    return {
        "within": float(np.mean(within)),
        "across": float(np.mean(across)) if across else float(np.mean(within)),
        "kl": float(np.mean(divergence)),
        "active_units": float(np.mean(active)),
        **figures,
    }


def _combine(
    experts: Mapping[str, Gaussian], places: Mapping[str, Tensor], sources: Sequence[str], size: int, latent: int
) -> tuple[Gaussian, Tensor]:
    """Return the posterior of every material of the batch and which ones any source has encoded."""
    device = next(iter(experts.values())).mean.device
    spread: list[Gaussian] = []
    encoded = torch.zeros(size, dtype=torch.bool, device=device)
    for name in sources:
        # A material that lacks this modality gets an expert so wide that it says nothing.
        mean = torch.zeros(size, latent, device=device)
        wide = torch.full((size, latent), SAYS_NOTHING, device=device)
        at = places[name].unsqueeze(1).expand(-1, latent)
        spread.append(
            Gaussian(
                mean.scatter(0, at, experts[name].mean.float()), wide.scatter(0, at, experts[name].log_variance.float())
            )
        )
        encoded[places[name]] = True
    return product_of_experts(spread), encoded


def _shared(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions in two sorted lists of places at which they hold the same place."""
    same = one.unsqueeze(1) == other.unsqueeze(0)
    left, right = same.nonzero(as_tuple=True)
    return left, right


def _split_materials(
    data: TrainingData, folds: Mapping[str, Int], plan: NetworkPlan, config: TrainConfig
) -> tuple[dict[str, Int], dict[str, Int]]:
    """Return the rows to learn from and the rows of the materials that watch for a stop."""
    allowed = {n: np.flatnonzero(~np.isin(fold, plan.without)) for n, fold in folds.items()}
    materials = np.unique(np.concatenate([data.material[n][rows] for n, rows in allowed.items()]))
    if not len(materials):
        raise ModelError(
            f"network {plan.name} has no material to learn from",
            remedy="Train on more materials, or set train.folds lower.",
        )
    count = int(config.stop_share * len(materials))
    watching = np.random.default_rng((plan.seed, 7)).permutation(materials)[:count]
    watch = {n: rows[np.isin(data.material[n][rows], watching)] for n, rows in allowed.items()}
    return {n: np.setdiff1d(rows, watch[n]) for n, rows in allowed.items()}, watch


def _schedule(part: float) -> float:
    """Return the learning rate's factor: a short warm-up, then half a cosine down to 2 %."""
    return min(1.0, part / 0.05 + 0.02) * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(part, 1.0))))


def _use_bfloat16(device: str, config: TrainConfig) -> bool:
    return config.mixed_precision and device.startswith("cuda") and torch.cuda.is_bf16_supported()


@torch.no_grad()
def _average_into(average: CrossModalVAE, network: CrossModalVAE, decay: float) -> None:
    for held, new in zip(average.parameters(), network.parameters(), strict=True):
        held.lerp_(new, 1.0 - decay)


def _judge(progress: Progress, figures: Figures, average: CrossModalVAE, config: TrainConfig) -> None:
    """Keep the averaged weights where they did best on the watching materials; stop when patience is over."""
    if figures["across"] < progress.score or not config.stop_share:
        progress.score, progress.figures, progress.stale = figures["across"], figures, 0
        progress.best = {key: value.detach().clone() for key, value in average.state_dict().items()}
    else:
        progress.stale += 1
        progress.finished = progress.stale >= config.patience


def _pack(
    network: CrossModalVAE, average: CrossModalVAE, optimizer: torch.optim.Optimizer, progress: Progress
) -> bytes:
    """Return everything that continuing needs; of a finished network, its best weights."""
    kept = {key: value for key, value in vars(progress).items() if key != "best"}
    if progress.finished:
        return to_bytes({f"best.{key}": value for key, value in progress.best.items()}, kept)
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in progress.best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    return to_bytes(tensors, kept)


def _resume(
    state: bytes | None, network: CrossModalVAE, average: CrossModalVAE, optimizer: torch.optim.Optimizer
) -> Progress:
    """Put a packed state back in place; without one, begin."""
    if state is None:
        return Progress()
    tensors, kept = from_bytes(state)
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "best": {}, "optimizer": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    if kept["finished"]:
        return Progress(**kept, best=parts["best"])
    network.load_state_dict(parts["network"])
    average.load_state_dict(parts["average"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return Progress(**kept, best=parts["best"])
