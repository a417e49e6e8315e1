"""Training a grounder, ours or another system's: one loop, one way to draw batches, one way to store it."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, PaddedSet, Sampled, gather, lengths_of, pad
from groundgraph.models.device import device_of, device_of_model
from groundgraph.training.checkpoint import Parts, kept_at_stop, load_checkpoint, save_checkpoint
from groundgraph.training.processes import ALONE, Ranks

log = logging.getLogger(__name__)
Curves = dict[str, list[float]]


class Step(NamedTuple):
    """What one training step is given: a batch of images, a batch of entities (often the same object), the epoch.

    epoch  None: no step, but a look at the loss, which is to be of one definition whenever it is taken; so what changes
           over the epochs (the weight of L_MIL, an average before the learnt weights) is left out of it
    """

    images: PaddedSet
    entities: PaddedSet
    epoch: int | None


class Trainable(Protocol):
    """What a grounder that learns is: an nn.Module built from (text size, visual size, GroundingConfig) with these.

    losses  named scalar terms, float32 in any precision, whose sum is minimised; random draws come from the generator.
            Where several processes share the step's batches (`PaddedSet.share`), what each gives adds up to the terms
            of the whole
    score   a_ij [N, E, V]; of a padded region, anything
    """

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]: ...

    def score(self, batch: PaddedSet) -> Tensor: ...


@dataclass
class TrainingState:
    """Where a training stands, beside what its model, optimiser, schedule and random generators hold.

    epoch and step   the epoch under way and how many of its batches are done; done: batches of all epochs
    order            the epoch's images or entities as they were shuffled
    sums, curves     the terms' means over the epoch so far, and what `Learned.train` gives
    best             the lowest validation loss, with its weights
    """

    epoch: int = 0
    step: int = 0
    done: int = 0
    order: list[int] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=lambda: {"validation": []})
    best: float = float("inf")
    weights: dict[str, Tensor] = field(default_factory=dict)


class Learned:
    """A grounder that learns, around a module of `kind`: train, score, save, load."""

    every_match = False  # an entity's candidates are its best K regions

    def __init__(self, kind: Callable[[int, int, GroundingConfig], nn.Module], config: GroundingConfig) -> None:
        self.kind, self.config = kind, config
        self.model: nn.Module | None = None
        self.sizes = (0, 0)  # of a text embedding and of a region's features

    def train(
        self,
        train: Sequence[GroundingImage],
        validation: Sequence[GroundingImage],
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
        *,
        checkpoint: str | Path | None = None,
        interval: int = 200,
        ranks: Ranks = ALONE,
        device: str | torch.device = "auto",
    ) -> Curves:
        """Learn from `train`, keep the weights that are best on `validation` (where there is none, on `train`).

        Gives curves: one value an epoch of every loss term (its weight included), one a look of "validation".
        `progress(done, total)` is called after each batch.

        checkpoint, interval
                a file that holds the whole training after about every `interval` batches and each epoch; where it
                exists, training goes on from it as if it had never stopped. It is left for the caller to delete
        ranks   the processes that share each batch (`parallel.launch`). All call this with the same arguments, and end
                with the same weights and curves; without dropout these are one process's but for rounding. The first
                writes the checkpoint, from which any number of processes may go on
        device  where one process alone trains, see `groundgraph.models.device`

        Raises InputError where there is nothing to learn from, where the loss stops being a number, or where the
        checkpoint is damaged or another training's.
        """
        c = self.config
        torch.manual_seed(seed)
        data = gather(train)
        check = gather(validation) if lengths_of(validation).all(0).any() else data
        self.sizes = data.widths
        self.model = self.kind(*self.sizes, c).to(ranks.place(device))
        steps = steps_an_epoch(data, c)
        run = _Training(self.model, c, steps * c.epochs, seed, len(data), ranks)
        state = TrainingState(weights=copy.deepcopy(self.model.state_dict()))
        path, stored = None if checkpoint is None else Path(checkpoint), 0
        if path is not None and ranks.ask(path.exists):
            state = load_checkpoint(path, run.parts, TrainingState)
            stored = state.done
            ranks.wait()  # until all have read it, before the first writes the next
        ranks.same_start(self.model)
        every = c.validate_every or steps
        while state.epoch < c.epochs:
            state.order = state.order or shuffled(data, c, run.generator).tolist()
            order = torch.tensor(state.order)
            for step in batches(data, c, state.epoch, run.generator, order, state.step, ranks):
                terms = run.step(step, state)
                state.step, state.done = state.step + 1, state.done + 1
                for name, value in terms.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value / steps
                if state.done % every == 0 or state.done == run.total:
                    self._look(check, run, state)
                if path and ranks.first and state.done - stored >= interval and run.stepped(state.done):
                    save_checkpoint(path, state, run.parts)
                    stored = state.done
                if progress:
                    with kept_at_stop(path if ranks.first and run.stepped(state.done) else None, state, run.parts):
                        progress(state.done, run.total)
            for name, value in state.sums.items():
                state.curves.setdefault(name, []).append(value)
            log.info("epoch %d: %s", state.epoch, state.sums)
            state.epoch, state.step, state.order, state.sums = state.epoch + 1, 0, [], {}
            if path and ranks.first and run.stepped(state.done):
                save_checkpoint(path, state, run.parts)
        self.model.load_state_dict(state.weights)
        self.model.eval()
        return state.curves

    def _look(self, check: Sampled, run: _Training, state: TrainingState) -> None:
        """Ask for the validation loss, and keep the weights where it is the best so far."""
        value = validation_loss(self.model, check, self.config, run.ranks)
        if not np.isfinite(value):
            raise InputError(f"the grounder's loss is {value} in epoch {state.epoch}: lower grounding.learning_rate")
        run.plateau.step(value)
        state.curves["validation"].append(value)
        if value < state.best:
            state.best, state.weights = value, copy.deepcopy(self.model.state_dict())

    @torch.no_grad()
    def scores(self, images: Sequence[GroundingImage], batch: int = 64) -> list[np.ndarray]:
        """a_ij of every image: a list of [E, V] float32; one without entities or regions gives an empty array."""
        found: list[np.ndarray] = []
        self.model.eval()
        device = device_of_model(self.model)
        for start in range(0, len(images), batch):
            part = [images[k] for k in range(start, min(start + batch, len(images)))]
            shapes = [(len(i.embeddings), len(i.features)) for i in part]
            full = [i for i, shape in zip(part, shapes, strict=True) if all(shape)]
            values = iter(self.model.score(pad(full).to(device)).float().cpu().numpy() if full else ())
            found += [next(values)[:e, :v].copy() if e and v else np.zeros((e, v), np.float32) for e, v in shapes]
        return found

    def save(self, folder: str | Path) -> None:
        """Write model.safetensors and grounder.json (sizes and configuration) into a folder."""
        folder = Path(folder)
        text = json.dumps({"sizes": self.sizes, "config": self.config.model_dump(mode="json")}, indent=1)
        weights = {k: v.cpu().contiguous() for k, v in self.model.state_dict().items()}
        with atomic_write(folder / "grounder.json") as described, atomic_write(folder / "model.safetensors") as stored:
            save_file(weights, stored)
            described.write_text(text + "\n", encoding="utf-8")

    def load(self, folder: str | Path, device: str | torch.device = "auto") -> Learned:
        """Read what `save` wrote, onto a device (see `groundgraph.models.device`).

        Raises InputError naming the file where it is missing or of another grounder.
        """
        path = Path(folder) / "grounder.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            self.config = GroundingConfig(**record["config"])
            self.sizes = tuple(record["sizes"])
            self.model = self.kind(*self.sizes, self.config)
            path = path.with_name("model.safetensors")
            self.model.load_state_dict(load_file(path))
        except Exception as error:  # each library raises its own kind for a damaged file
            raise InputError(f"{path}: no stored grounder of this kind ({error}); train it again") from error
        self.model.to(device_of(device)).eval()
        return self


class _Training:
    """A model with its optimiser, schedule and random generator."""

    def __init__(self, model: nn.Module, config: GroundingConfig, total: int, seed: int, images: int, ranks: Ranks):
        self.model, self.config, self.total, self.seed, self.ranks = model, config, total, seed, ranks
        self.optimiser = torch.optim.Adam(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimiser, factor=0.5, patience=config.patience, threshold=5e-3, min_lr=config.learning_rate / 500
        )
        self.generator = torch.Generator().manual_seed(seed)
        stateful = {"model": model, "optimiser": self.optimiser, "plateau": self.plateau}
        identity: dict[str, Any] = {"grounder": type(model).__name__, "config": config.model_dump(mode="json")}
        identity |= {"seed": seed, "images": images, "batches": total}
        self.parts = Parts(stateful, self.generator, device_of_model(model), identity)

    def stepped(self, done: int) -> bool:
        """Whether no gradient waits for a step of the optimiser when so many batches are done: none is ever stored."""
        return done % self.config.accumulate == 0 or done == self.total

    def step(self, step: Step, state: TrainingState) -> dict[str, float]:
        """Learn from one batch, of which this process has its share; the whole batch's terms."""
        c, ranks = self.config, self.ranks
        ranks.seed_dropout(self.seed, state.done)
        self.model.train()
        if self.stepped(state.done):
            self.optimiser.zero_grad(set_to_none=True)
        terms = losses_of(self.model, step, self.generator, c)
        (torch.stack(list(terms.values())).sum() / c.accumulate).backward()
        if self.stepped(state.done + 1):
            ranks.add_gradients(self.model.parameters())
            if c.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), c.clip)
            self.optimiser.step()
        values = ranks.sum(torch.stack(list(terms.values())).detach()).tolist()
        return dict(zip(terms, values, strict=True))


def losses_of(model: nn.Module, step: Step, generator: torch.Generator, config: GroundingConfig) -> dict[str, Tensor]:
    """The model's terms of a step, on its device and in the precision that is asked for."""
    device = device_of_model(model)
    images = step.images.to(device)
    entities = images if step.entities is step.images else step.entities.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        return model.losses(Step(images, entities, step.epoch), generator)


def steps_an_epoch(data: Sampled, config: GroundingConfig) -> int:
    """How many steps `batches` gives."""
    if config.scheme == "entities":
        return max(1, -(-int(data.entities.sum()) // config.batch))
    return max(1, len(data) // config.images)


def shuffled(data: Sampled, config: GroundingConfig, generator: torch.Generator) -> Tensor:
    """An epoch's order: a permutation of the images, or of the entities, as the scheme has it."""
    count = len(data) if config.scheme == "images" else int(data.entities.sum())
    return torch.randperm(count, generator=generator)


def batches(
    data: Sampled,
    config: GroundingConfig,
    epoch: int,
    generator: torch.Generator,
    order: Tensor | None = None,
    done: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[Step]:
    """One epoch's steps in random order.

    "images": every image once, both losses on the same batch. "entities" (released): every entity once for KD, and
    beside each such batch `images` images that have at least `least_entities` for MIL (of all images, where too few
    have). An entity is drawn once a batch, where the released code draws short images' entities repeatedly.

    order: what `shuffled` gave, of which `done` steps are past. Each of several processes gets its share of a step's
    images; the draws are the same in all.
    """
    order = shuffled(data, config, generator) if order is None else order
    if config.scheme == "images":
        for images in order.tensor_split(steps_an_epoch(data, config))[done:]:
            batch = data.sample(images, config.entities, generator, ranks)
            yield Step(batch, batch, epoch)
        return
    rows = data.entities.nonzero()
    rich = (data.entities.sum(1) >= config.least_entities).nonzero()[:, 0]
    rich = rich if len(rich) >= 2 else torch.arange(len(data))
    for part in order.split(config.batch)[done:]:
        drawn = rich[torch.randperm(len(rich), generator=generator)[: config.images]]
        images = data.sample(drawn, config.entities, generator, ranks)
        yield Step(images, data.of_entities(rows[part], ranks), epoch)


@torch.no_grad()
def validation_loss(model: nn.Module, data: Sampled, config: GroundingConfig, ranks: Ranks = ALONE) -> float:
    """The sum of the loss terms over a set in fixed batches, without dropout; without "mil" where so configured.

    Of one definition at all times (`Step.epoch` None), so that looks can be compared. Several processes share each
    batch.
    """
    model.eval()
    total, generator = 0.0, torch.Generator().manual_seed(0)  # a fixed draw, for the same reason
    for images in torch.arange(len(data)).split(config.images):
        batch = data.sample(images, config.entities, None, ranks)
        terms = losses_of(model, Step(batch, batch, None), generator, config)
        kept = [v for k, v in terms.items() if config.validate_mil or k != "mil" or len(terms) == 1]
        total += torch.stack(kept).sum().item() * len(images)
    return ranks.sum(torch.tensor(total, dtype=torch.float64)).item() / len(data)
