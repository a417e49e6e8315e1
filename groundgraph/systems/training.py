"""What the trainer needs to know of systems: their batches, losses and validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.store import counts_of
from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.sgg.reweighting import inverse_frequency
from groundgraph.systems.model import SystemModel
from groundgraph.systems.text_graphs import SystemBatch, TextGraph, system_batch
from groundgraph.training.processes import ALONE, Ranks, Share
from groundgraph.training.task import ImagesTask
from groundgraph.training.trainer import Curves, Progress, seeded, train

SAMPLE = 500  # images whose regions tell the features' mean and scale


class SystemTask(ImagesTask[SystemBatch]):
    """A system and the images it learns from.

    Args:
        model: What is trained.
        regions: Of all images.
        graphs: Their text graphs.
        images: Places [N] of the images that have both.
        seed: Of all draws.
        ranks: The processes that share each batch.
        figure: What `validate` asks of the model, higher is better; the first process asks.

    Attributes:
        predicate_weights: [P], what each predicate's losses are multiplied by.
    """

    model: SystemModel

    def __init__(
        self,
        model: SystemModel,
        regions: Sequence[Regions],
        graphs: Sequence[TextGraph],
        images: np.ndarray,
        seed: int,
        ranks: Ranks,
        figure: Callable[[SystemModel], float] | None,
    ) -> None:
        settings = {"model_config": model.config.model_dump(mode="json"), "sizes": asdict(model.sizes)}
        # Of few images, steps of about the size: the contrast needs more than one.
        steps = max(1, round(len(images) / model.config.training.batch_size))
        super().__init__(model, steps, {"model": model.name, **settings}, images, seed, ranks, figure)
        self.regions, self.graphs = regions, graphs
        self.predicate_weights = torch.ones(model.sizes.predicates)

    def batches(self, epoch: int, order: list[int], done: int) -> Iterator[tuple[SystemBatch]]:
        """The epoch's steps, each in one part."""
        for chosen in np.array_split(order, self.steps)[done:]:
            share = Share(self.ranks, len(chosen))
            own, graphs = [self.regions[int(i)] for i in chosen[share.rows]], [self.graphs[int(i)] for i in chosen]
            yield (system_batch(own, graphs, self.model.sizes.categories, self.predicate_weights, share),)

    def losses(self, batch: SystemBatch) -> dict[str, Tensor]:
        """The system's own terms."""
        return self.model.losses(batch.to(self.device))


def teaching_images(regions: Sequence[Regions], graphs: Sequence[TextGraph]) -> np.ndarray:
    """Places [N] of the images that a system learns from: those with a region and an entity of the vocabulary."""
    entities = np.array([len(graph.categories) for graph in graphs])
    return np.flatnonzero((counts_of(regions) > 0) & (entities > 0))


def train_system(
    model: SystemModel,
    regions: Sequence[Regions],
    graphs: Sequence[TextGraph],
    names: tuple[np.ndarray, np.ndarray],
    validate: Callable[[SystemModel], float] | None = None,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    reweight: bool = False,
    checkpoint: str | Path | None = None,
    interval: int = 200,
    ranks: Ranks = ALONE,
) -> Curves:
    """Train a system on images' regions and text graphs.

    Args:
        model: On the device where it trains; it keeps the weights that are best on `validate`, or the last.
        regions: Of each image.
        graphs: Likewise; images without a region or an entity are left out.
        names: Text embeddings of the categories [C, d] and predicates [P, d], with which the model starts.
        validate: A figure of the model, higher is better (recall, say).
        progress: See `trainer.train`.
        seed: Of dropout and all draws; torch's global generators are left as they were.
        reweight: Each predicate's losses weigh as `inverse_frequency` of the text graphs' triplets says.
        checkpoint: See `trainer.train`.
        interval: See `trainer.train`.
        ranks: See `trainer.train`.

    Returns:
        Curves: the mean of each loss of each epoch; "validation".

    Raises:
        InputError: No image has both a region and an entity of the vocabulary, a step has fewer images than there are
            processes, or as `trainer.train` does.
    """
    images = teaching_images(regions, graphs)
    if not len(images):
        raise InputError(
            "no training image has both a region and an entity of the vocabulary: check captions and regions"
        )
    config = model.config.training
    if validate is None and (config.patience or config.schedule == "plateau"):
        raise InputError("patience and schedule plateau need a validation figure: leave them out")
    task = SystemTask(model, regions, graphs, images, seed, ranks, validate)
    if reweight:
        predicates = np.concatenate([graphs[int(i)].triplets[:, 2] for i in images])
        task.predicate_weights = inverse_frequency(
            torch.bincount(torch.from_numpy(predicates), minlength=model.sizes.predicates)
        )
    if len(images) // task.steps < ranks.world:
        raise InputError(f"a step of {len(images) // task.steps} images for {ranks.world} processes: raise batch_size")
    sample = images[np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round().astype(int)]
    features = np.concatenate([regions[int(i)].features for i in sample])
    model.start(*(torch.from_numpy(part).to(task.device) for part in (features, *names)))
    with seeded(seed, task.device):
        return train(task, config, progress, checkpoint=checkpoint, interval=interval, ranks=ranks)
