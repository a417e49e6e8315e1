"""The batches that grounders are trained on: of images, or of images for MIL and of entities for KD."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingSet, PaddedSet
from groundgraph.training.processes import ALONE, Ranks


class Step(NamedTuple):
    """What one training step is given: a batch of images, a batch of entities (often the same object), the epoch.

    epoch  None: no step, but a validation, whose loss is to be of one definition whenever it is taken; so what changes
           over the epochs (the weight of L_MIL, an average before the learnt weights) is left out of it
    """

    images: PaddedSet
    entities: PaddedSet
    epoch: int | None

    def to(self, device: torch.device) -> Step:
        """The same on another device."""
        images = self.images.to(device)
        return Step(images, images if self.entities is self.images else self.entities.to(device), self.epoch)


def steps_an_epoch(data: GroundingSet, config: GroundingConfig) -> int:
    """How many steps `batches` gives."""
    if config.scheme == "entities":
        return max(1, -(-int(data.entities.sum()) // config.entity_batch_size))
    return max(1, len(data) // config.batch_size)


def shuffled(data: GroundingSet, config: GroundingConfig, generator: torch.Generator) -> Tensor:
    """An epoch's order: a permutation of the images, or of the entities, as the scheme has it."""
    count = len(data) if config.scheme == "images" else int(data.entities.sum())
    return torch.randperm(count, generator=generator)


def batches(
    data: GroundingSet,
    config: GroundingConfig,
    epoch: int,
    generator: torch.Generator,
    order: Tensor | None = None,
    done: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[Step]:
    """One epoch's steps in random order.

    Scheme "images": every image once, both losses on the same batch. "entities" (released): every entity once for KD,
    and beside each such batch `batch_size` images that have at least `least_entities` for MIL (of all images, where too
    few have). An entity is drawn once a batch, where the released code draws short images' entities repeatedly.

    Args:
        data: the training set.
        config: its `scheme`, and the sizes of batches.
        epoch: the epoch's number, from 0.
        generator: of all draws; these are the same in all processes.
        order: what `shuffled` gave.
        done: how many of the steps are past.
        ranks: the processes, of which each gets its share of a step's images.
    """
    order = shuffled(data, config, generator) if order is None else order
    if config.scheme == "images":
        for chosen in order.tensor_split(steps_an_epoch(data, config))[done:]:
            batch = data.sample(chosen, config.entities, generator, ranks)
            yield Step(batch, batch, epoch)
        return
    rows = data.entities.nonzero()
    rich = (data.entities.sum(1) >= config.least_entities).nonzero()[:, 0]
    rich = rich if len(rich) >= 2 else torch.arange(len(data))
    for part in torch.split(order, config.entity_batch_size)[done:]:
        drawn = rich[torch.randperm(len(rich), generator=generator)[: config.batch_size]]
        images = data.sample(drawn, config.entities, generator, ranks)
        yield Step(images, data.of_entities(rows[part], ranks), epoch)
