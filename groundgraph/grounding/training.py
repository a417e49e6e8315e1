"""Training the grounder: L_GD = L_MIL + L_KD (Eq. 15; without an adaptor lambda is 0)."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from groundgraph.grounding.data import GroundingImage, PaddedSet, pad
from groundgraph.grounding.grounder import Grounder, GrounderConfig
from groundgraph.grounding.losses import bag_similarity, distillation_loss, mil_loss

log = logging.getLogger(__name__)


class GrounderTraining(BaseModel):
    """How the grounder is trained; the defaults are the official code's where the paper is silent, but for one.

    The official weight decay, 1e-3, goes with h and v of unit length; on the paper's form it shrinks a grounder without
    teachers to nothing, so ours is a tenth. A step takes `images` images with at most `entities` entities of each, for
    both losses. The learning rate halves when the validation loss has not fallen by .5 % for `patience` epochs; the
    best epoch's weights are kept.
    """

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(15, ge=1)
    images: int = Field(24, ge=2)
    entities: int = Field(10, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    margin: float = 0.2  # alpha_1 of Eq. 5
    patience: int = Field(1, ge=0)


def losses(model: Grounder, batch: PaddedSet, margin: float) -> tuple[Tensor, Tensor]:
    """(L_MIL, L_KD) of a batch: both encoders run once, every score is a matrix product."""
    h, v = model.encode_text(batch.embeddings), model.encode_regions(batch.features)
    size, entities, d = h.shape
    own = model.scores(h, v)
    everywhere = model.scores(h.reshape(size * entities, d), v.reshape(-1, d)).view(size, entities, size, -1)
    mil = mil_loss(bag_similarity(everywhere, batch.entities, batch.regions), margin)
    return mil, distillation_loss(own, batch.targets, batch.regions)


def train_grounder(
    train: Sequence[GroundingImage],
    validation: Sequence[GroundingImage],
    config: GrounderConfig,
    training: GrounderTraining,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Grounder, dict[str, list[float]]]:
    """Train a grounder and give it with its curves ("mil", "kd", "validation": one value an epoch).

    Images whose targets are all empty train by MIL alone, so passing empty targets everywhere is the MIL baseline.
    `progress(done, total)` is called after each step. Raises ValueError where there is nothing to learn from.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = pad(train)
    check = pad(validation) if any(len(i.embeddings) and len(i.features) for i in validation) else data
    model = Grounder(data.embeddings.shape[-1], data.features.shape[-1], config)
    optimiser = torch.optim.Adam(model.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=training.patience, threshold=5e-3, min_lr=training.learning_rate / 500
    )
    curves: dict[str, list[float]] = {"mil": [], "kd": [], "validation": []}
    best, weights = float("inf"), copy.deepcopy(model.state_dict())
    steps = max(1, len(data) // training.images)
    for epoch in range(training.epochs):
        model.train()
        totals = np.zeros(2)
        for step, images in enumerate(torch.randperm(len(data), generator=generator).chunk(steps)):
            mil, kd = losses(model, data.sample(images, training.entities, generator), training.margin)
            optimiser.zero_grad(set_to_none=True)
            (mil + kd).backward()
            optimiser.step()
            totals += [mil.item(), kd.item()]
            if progress:
                progress(epoch * steps + step + 1, training.epochs * steps)
        value = validation_loss(model, check, training)
        plateau.step(value)
        for name, figure in zip(curves, (*totals / steps, value), strict=True):
            curves[name].append(float(figure))
        log.info("epoch %d: mil %.4f kd %.4f validation %.4f", epoch, *(c[-1] for c in curves.values()))
        if value < best:
            best, weights = value, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return model.eval(), curves


@torch.no_grad()
def validation_loss(model: Grounder, data: PaddedSet, training: GrounderTraining) -> float:
    """L_MIL + L_KD over a set in fixed batches, without dropout."""
    model.eval()
    chunks = torch.arange(len(data)).split(training.images)
    values = [
        sum(losses(model, data.sample(c, training.entities, None), training.margin)).item() * len(c) for c in chunks
    ]
    return sum(values) / len(data)


@torch.no_grad()
def grounder_scores(model: Grounder, images: Sequence[GroundingImage], batch: int = 64) -> list[np.ndarray]:
    """a_ij of every image: a list of [E, V] float32; an image without entities or regions gives an empty array."""
    model.eval()
    found = [np.zeros((len(i.embeddings), len(i.features)), np.float32) for i in images]
    full = [k for k, f in enumerate(found) if f.size]
    for start in range(0, len(full), batch):
        rows = full[start : start + batch]
        data = pad([images[k] for k in rows])
        for k, values in zip(rows, model(data.embeddings, data.features).numpy(), strict=True):
            found[k] = values[: found[k].shape[0], : found[k].shape[1]].copy()
    return found
