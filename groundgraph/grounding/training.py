"""Training a grounder, ours or another system's: one loop, one way to draw batches, one way to store it."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, PaddedSet, pad

log = logging.getLogger(__name__)
Curves = dict[str, list[float]]


class Step(NamedTuple):
    """What one training step is given: a batch of images, a batch of entities (often the same object), the epoch."""

    images: PaddedSet
    entities: PaddedSet
    epoch: int


class Trainable(Protocol):
    """What a grounder that learns is: an nn.Module built from (text size, visual size, GroundingConfig) with these.

    losses  named scalar terms, whose sum is minimised; random draws come from the generator
    score   a_ij [N, E, V]; of a padded region, anything
    """

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]: ...

    def score(self, batch: PaddedSet) -> Tensor: ...


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
    ) -> Curves:
        """Learn from `train`, keep the weights that are best on `validation` (where there is none, on `train`).

        Gives curves: one value an epoch of every loss term (its weight included), one a look of "validation".
        `progress(done, total)` is called after each step. Raises ValueError where there is nothing to learn from, or
        where the loss stops being a number.
        """
        c = self.config
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        data = pad(train)
        check = pad(validation) if any(len(i.embeddings) and len(i.features) for i in validation) else data
        self.sizes = (data.embeddings.shape[-1], data.features.shape[-1])
        model = self.model = self.kind(*self.sizes, c)
        optimiser = torch.optim.Adam(model.parameters(), c.learning_rate, weight_decay=c.weight_decay)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=0.5, patience=c.patience, threshold=5e-3, min_lr=c.learning_rate / 500
        )
        curves: Curves = {"validation": []}
        best, weights, done = float("inf"), copy.deepcopy(model.state_dict()), 0
        steps = steps_an_epoch(data, c)
        every = c.validate_every or steps
        for epoch in range(c.epochs):
            sums: dict[str, float] = {}
            for step in batches(data, c, epoch, generator):
                model.train()
                terms = model.losses(step, generator)
                loss = torch.stack(list(terms.values())).sum()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                done += 1
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value.item() / steps
                if progress:
                    progress(done, steps * c.epochs)
                if done % every and done < steps * c.epochs:
                    continue
                value = validation_loss(model, check, c, epoch)
                if not np.isfinite(value):
                    raise ValueError(f"the grounder's loss is {value} in epoch {epoch}: lower grounding.learning_rate")
                plateau.step(value)
                curves["validation"].append(value)
                if value < best:
                    best, weights = value, copy.deepcopy(model.state_dict())
            for name, value in sums.items():
                curves.setdefault(name, []).append(value)
            log.info("epoch %d: %s", epoch, sums)
        model.load_state_dict(weights)
        model.eval()
        return curves

    @torch.no_grad()
    def scores(self, images: Sequence[GroundingImage], batch: int = 64) -> list[np.ndarray]:
        """a_ij of every image: a list of [E, V] float32; one without entities or regions gives an empty array."""
        found = [np.zeros((len(i.embeddings), len(i.features)), np.float32) for i in images]
        full = [k for k, f in enumerate(found) if f.size]
        self.model.eval()
        for start in range(0, len(full), batch):
            rows = full[start : start + batch]
            values = self.model.score(pad([images[k] for k in rows])).float().numpy()
            for k, value in zip(rows, values, strict=True):
                found[k] = value[: found[k].shape[0], : found[k].shape[1]].copy()
        return found

    def save(self, folder: str | Path) -> None:
        """Write model.safetensors and grounder.json (sizes and configuration) into a folder."""
        folder = Path(folder)
        text = json.dumps({"sizes": self.sizes, "config": self.config.model_dump(mode="json")}, indent=1)
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items()}, folder / "model.safetensors.tmp")
        (folder / "grounder.json.tmp").write_text(text + "\n", encoding="utf-8")
        for name in ("model.safetensors", "grounder.json"):
            os.replace(folder / f"{name}.tmp", folder / name)

    def load(self, folder: str | Path) -> Learned:
        """Read what `save` wrote; raises ValueError naming the file where it is missing or of another grounder."""
        path = Path(folder) / "grounder.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            self.config = GroundingConfig(**record["config"])
            self.sizes = tuple(record["sizes"])
            self.model = self.kind(*self.sizes, self.config)
            path = path.with_name("model.safetensors")
            self.model.load_state_dict(load_file(path))
        except Exception as error:  # each library raises its own kind for a damaged file
            raise ValueError(f"{path}: no stored grounder of this kind ({error}); train it again") from error
        self.model.eval()
        return self


def steps_an_epoch(data: PaddedSet, config: GroundingConfig) -> int:
    """How many steps `batches` gives."""
    if config.scheme == "entities":
        return max(1, -(-int(data.entities.sum()) // config.batch))
    return max(1, len(data) // config.images)


def batches(data: PaddedSet, config: GroundingConfig, epoch: int, generator: torch.Generator) -> Iterator[Step]:
    """One epoch's steps in random order.

    "images": every image once, both losses on the same batch. "entities" (released): every entity once for KD, and
    beside each such batch `images` images that have at least `least_entities` for MIL (of all images, where too few
    have). An entity is drawn once a batch, where the released code draws short images' entities repeatedly.
    """
    if config.scheme == "images":
        for images in torch.randperm(len(data), generator=generator).chunk(steps_an_epoch(data, config)):
            batch = data.sample(images, config.entities, generator)
            yield Step(batch, batch, epoch)
        return
    rows = data.entities.nonzero()
    rich = (data.entities.sum(1) >= config.least_entities).nonzero()[:, 0]
    rich = rich if len(rich) >= 2 else torch.arange(len(data))
    for part in torch.randperm(len(rows), generator=generator).split(config.batch):
        drawn = rich[torch.randperm(len(rich), generator=generator)[: config.images]]
        yield Step(data.sample(drawn, config.entities, generator), data.of_entities(rows[part]), epoch)


@torch.no_grad()
def validation_loss(model: nn.Module, data: PaddedSet, config: GroundingConfig, epoch: int) -> float:
    """The sum of the loss terms over a set in fixed batches, without dropout; without "mil" where so configured."""
    model.eval()
    total, generator = 0.0, torch.Generator().manual_seed(0)  # a fixed draw, so that looks can be compared
    for images in torch.arange(len(data)).split(config.images):
        batch = data.sample(images, config.entities, None)
        terms = model.losses(Step(batch, batch, epoch), generator)
        kept = [v for k, v in terms.items() if config.validate_mil or k != "mil" or len(terms) == 1]
        total += torch.stack(kept).sum().item() * len(images)
    return total / len(data)
