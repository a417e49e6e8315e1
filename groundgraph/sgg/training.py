"""What the trainer needs to know of scene-graph models: their settings, batches, losses and validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from groundgraph.data.store import counts_of
from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.sgg.batch import Batch, SggModel, Unions
from groundgraph.sgg.examples import Draw, Examples
from groundgraph.sgg.losses import LossConfig, Weights, sgg_loss
from groundgraph.sgg.pairs import FrequencyBias
from groundgraph.sgg.reweighting import inverse_frequency
from groundgraph.training.config import OptimConfig
from groundgraph.training.processes import ALONE, Ranks, divide
from groundgraph.training.task import ImagesTask
from groundgraph.training.trainer import Curves, Progress, seeded, train


class TrainingConfig(OptimConfig):
    """How a scene-graph model is trained; the defaults fit MiniGenome."""

    learning_rate: float = Field(4e-3, gt=0, description="the highest learning rate, which the schedule lowers")
    max_grad_norm: float | None = Field(5.0, gt=0, description="longest gradient, longer ones are scaled; null: any")
    micro_batches: int = Field(
        1, ge=1, description="parts in which a process goes through its images of a step, to save memory; same numbers"
    )
    loss: LossConfig = LossConfig()


Part = tuple[Batch, Tensor, Weights]
"""Some images of a step with their pairs, the pairs' predicates, and the weights of the whole step's targets."""


class SggTask(ImagesTask[Part]):
    """A scene-graph model and the images it learns from.

    Args:
        model: what is trained.
        examples: regions and their labels.
        images: places [N] of the images with regions.
        config: the batches and the loss.
        seed: of all draws.
        ranks: the processes that share each batch.
        figure: what `validate` asks of the model, higher is better; the first process asks.

    Attributes:
        predicate_weights: [1 + P], of `sgg_loss`; None: of 1.
    """

    model: SggModel
    predicate_weights: Tensor | None = None

    def __init__(
        self,
        model: SggModel,
        examples: Examples,
        images: np.ndarray,
        config: TrainingConfig,
        seed: int,
        ranks: Ranks,
        figure: Callable[[SggModel], float] | None,
    ) -> None:
        settings = {"model_config": model.config.model_dump(mode="json"), "sizes": asdict(model.sizes)}
        steps = math.ceil(len(images) / config.batch_size)
        super().__init__(model, steps, {"model": model.name, **settings}, images, seed, ranks, figure)
        self.examples, self.config = examples, config

    def batches(self, epoch: int, order: list[int], done: int) -> Iterator[list[Part]]:
        """The epoch's steps, this process's share of each in `micro_batches` parts."""
        for chosen in np.array_split(order, self.steps)[done:]:
            shares = divide(self.ranks.part(len(chosen)), self.config.micro_batches)
            rows = [share for share in shares if share.start < share.stop]
            parts, weights = self.examples.parts(chosen.tolist(), self.config.loss, self.rng, self.generator, rows)
            yield [(batch, predicates, weights) for batch, predicates in parts]

    def losses(self, batch: Part) -> dict[str, Tensor]:
        """L_obj and L_rel of Eq. 16."""
        images, predicates, weights = batch
        images = images.to(self.device)
        predicates, predicate_weights = predicates.to(self.device), self.predicate_weights
        losses = sgg_loss(self.model(images), images, predicates, self.config.loss, weights, predicate_weights)
        return {"objects": losses.objects, "predicates": losses.predicates}


def train_sgg(
    model: SggModel,
    regions: Sequence[Regions],
    draw: Draw,
    config: TrainingConfig | None = None,
    validate: Callable[[SggModel], float] | None = None,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    reweight: bool = False,
    unions: Unions | None = None,
    checkpoint: str | Path | None = None,
    interval: int = 200,
    ranks: Ranks = ALONE,
) -> Curves:
    """Train a scene-graph model on images' regions with labels that are drawn anew at each step.

    Args:
        model: on the device where it trains; it keeps the weights that are best on `validate`, or the last.
        regions: an image's each; images without any are left out.
        draw: called as draw(i, rng) for image i: labels [V] in 0..C (0 = background) and relations [R, 3] (subject
            region, object region, predicate 1..P), or `SoftLabels`; an image without a relation still trains objects.
        config: the optimisation and the loss.
        validate: a figure of the model, higher is better (recall, say).
        seed: of dropout and all draws; torch's global generators are left as they were.
        reweight: each predicate's loss weighs as `inverse_frequency` of a draw's counts says.
        unions: the detector's features of the boxes around pairs, for a model with `union: visual`.
        progress: see `trainer.train`.
        checkpoint: see `trainer.train`.
        interval: see `trainer.train`.
        ranks: see `trainer.train`.

    Returns:
        Curves: the mean "objects" and "predicates" loss of each epoch; "validation".

    Raises:
        InputError: where no image has a region, where drawn labels are out of range, where a step has fewer images than
            there are processes, or as `trainer.train` does.
    """
    config = config or TrainingConfig()
    images = np.flatnonzero(counts_of(regions))
    if not len(images):
        raise InputError("no training image has a region: check the detector's output")
    if validate is None and (config.patience or config.schedule == "plateau"):
        what = "patience" if config.patience else "schedule plateau"
        raise InputError(f"{what} needs a validation figure: give `validate`, or leave it out")
    task = SggTask(model, Examples(regions, draw, model.sizes, unions), images, config, seed, ranks, validate)
    least = len(images) // task.steps
    if least < ranks.world:
        raise InputError(f"a step of {least} images for {ranks.world} processes: raise batch_size")
    frequency = getattr(model, "frequency", None)
    if isinstance(frequency, FrequencyBias) or reweight:
        counts = task.examples.predicate_counts(images.tolist(), task.rng)
        if isinstance(frequency, FrequencyBias):
            frequency.count(counts)
        if reweight:
            weights = inverse_frequency(counts.sum((0, 1))[1:])
            task.predicate_weights = torch.cat([torch.ones(1), weights]).to(task.device)
    with seeded(seed, task.device):
        return train(task, config, progress, checkpoint=checkpoint, interval=interval, ranks=ranks)
