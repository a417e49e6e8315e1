"""L_SGG = L_obj + L_rel (Eq. 16): cross-entropy on objects and on the predicates of sampled pairs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from groundgraph.sgg.batch import Batch, Outputs, box_iou


class LossConfig(BaseModel):
    """How pairs are sampled and objects weighted.

    background_weight: weight of class 0 in the object loss, since most regions are background. pairs_per_image:
    relations and background pairs together (official for captions: 16). foreground_fraction: the most of these that
    may be relations. overlapping: train only on pairs whose boxes overlap, where the data set's evaluation says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    background_weight: float = Field(0.1, ge=0)
    pairs_per_image: int = Field(16, gt=0)
    foreground_fraction: float = Field(0.5, gt=0, le=1)
    overlapping: bool = False


class Losses(NamedTuple):
    """total = objects + predicates, scalars; a term without a single example is 0."""

    total: Tensor
    objects: Tensor
    predicates: Tensor


def sample_pairs(
    batch: Batch, relations: Tensor, config: LossConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose the pairs to train on: all at random, so call it anew at each step.

    relations [R, 4] int64 (image, subject, object, predicate 1..P); batch.targets [B, V] -> pairs [Q, 3] (image,
    subject, object) and their predicates [Q], 0 = background. An image gives at most pairs_per_image x
    foreground_fraction of its relations and is filled up with pairs that have none: first pairs of two labelled
    regions (which say most: both things are there and do not interact), then others. An image without a relation gives
    no pair: silence about it is no evidence that its things do not interact. A relation counts once, however often it
    is listed.
    """
    images, width = batch.mask.shape
    relations = torch.unique(relations.reshape(-1, 4), dim=0)
    open_ = batch.mask[:, :, None] & batch.mask[:, None] & ~torch.eye(width, dtype=torch.bool)
    if config.overlapping:
        open_ &= box_iou(batch.boxes) > 0
        relations = relations[open_[relations[:, 0], relations[:, 1], relations[:, 2]]]
    shuffled = relations[torch.randperm(len(relations), generator=generator)]
    shuffled = shuffled[shuffled[:, 0].argsort(stable=True)]
    count = torch.bincount(shuffled[:, 0], minlength=images)
    place = torch.arange(len(shuffled)) - (count.cumsum(0) - count)[shuffled[:, 0]]
    most = max(1, round(config.pairs_per_image * config.foreground_fraction))
    chosen = shuffled[place < most]

    taken = torch.bincount(chosen[:, 0], minlength=images)
    wanted = torch.where(taken > 0, config.pairs_per_image - taken, 0)
    open_[relations[:, 0], relations[:, 1], relations[:, 2]] = False
    labelled = batch.targets > 0
    both = labelled[:, :, None] & labelled[:, None]
    key = torch.rand(open_.shape, generator=generator) + both
    key = key.masked_fill(~open_, -1).flatten(1)
    best, index = key.topk(min(int(wanted.max()), key.shape[1]), dim=1)
    image, column = ((best >= 0) & (torch.arange(index.shape[1]) < wanted[:, None])).nonzero(as_tuple=True)
    index = index[image, column]
    background = torch.stack([image, index // width, index % width], 1)
    pairs = torch.cat([chosen[:, :3], background])
    return pairs, torch.cat([chosen[:, 3], chosen.new_zeros(len(background))])


def sgg_loss(outputs: Outputs, batch: Batch, predicates: Tensor, config: LossConfig) -> Losses:
    """Eq. 16, each term a mean: over all real regions (class 0 where no entity took one, weighted) and over the pairs.

    batch.targets [B, V] and predicates [Q] are the labels of outputs.objects and outputs.predicates.
    """
    logits = outputs.objects[batch.mask]
    weight = logits.new_ones(logits.shape[1])
    weight[0] = config.background_weight
    targets = batch.targets[batch.mask]
    # Dividing by the total weight is what makes it a mean; with weight 0 and nothing but background there is no weight.
    objects = cross_entropy(logits, targets, weight, reduction="sum") / weight[targets].sum().clamp(min=1e-6)
    relations = cross_entropy(outputs.predicates, predicates, reduction="sum") / max(1, len(predicates))
    return Losses(objects + relations, objects, relations)
