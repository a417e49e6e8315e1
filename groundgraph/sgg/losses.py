"""L_SGG = L_obj + L_rel (Eq. 16): cross-entropy on objects and on the predicates of sampled pairs, hard or soft."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from groundgraph.sgg.batch import Batch, Outputs, overlaps


class LossConfig(BaseModel):
    """How pairs are sampled and objects weighted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    background_weight: float = Field(
        0.1, ge=0, description="weight of class 0 in the object loss, since most regions are background"
    )
    unmentioned: Literal["detector", "background"] = Field(
        "detector",
        description="what a region that no entity takes is, where sgg.start is detector: as the detector says, since "
        "captions are silent about most things; or background",
    )
    unmentioned_pairs: Literal["background", "unknown"] = Field(
        "background",
        description="what a pair that no caption relates is: background; or unknown, related or not "
        "(positive-unlabelled learning), since captions mention a few of many relations",
    )
    related_prior: float = Field(
        0.05, ge=0, lt=1, description="share of the unmentioned pairs that are related, where they are unknown"
    )
    pairs_per_image: int = Field(
        16, gt=0, description="relations and background pairs together (official for captions: 16)"
    )
    foreground_fraction: float = Field(0.5, gt=0, le=1, description="the most of these that may be relations")
    overlapping: bool = Field(
        False, description="train only on pairs whose boxes overlap, where the data set's evaluation says so"
    )


class Weights(NamedTuple):
    """By what the terms of Eq. 16 are divided.

    Attributes:
        objects: Total weight of the regions.
        predicates: Number of pairs.
    """

    objects: float
    predicates: int


class Losses(NamedTuple):
    """total = objects + predicates, scalars; a term without a single example is 0."""

    total: Tensor
    objects: Tensor
    predicates: Tensor


def sample_pairs(
    batch: Batch, relations: Tensor, config: LossConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose the pairs to train on: all at random, so call it anew at each step.

    An image gives at most pairs_per_image x foreground_fraction of its relations and is filled up with pairs that have
    none: first pairs of two labelled regions (which say most: both things are there and do not interact), then others.
    An image without a relation gives no pair: silence about it is no evidence that its things do not interact.

    Args:
        batch: With targets.
        relations: [R, 4] int64 (image, subject, object, predicate 1..P); one counts once, however often it is listed.
            Predicate -1: related in a way that is not to be learnt, so neither a relation nor background.
        config: How many.
        generator: Of the draws.

    Returns:
        Pairs [Q, 3] (image, subject, object) and their predicates [Q], 0 = background.
    """
    relations = torch.unique(relations.reshape(-1, 4), dim=0)
    learnt = (relations[:, 3] > 0).nonzero()[:, 0]
    order = learnt[torch.randperm(len(learnt), generator=generator)]
    chosen, background = _choose(batch, relations[:, :3], order, config, generator)
    predicates = torch.cat([relations[chosen, 3], relations.new_zeros(len(background))])
    return torch.cat([relations[chosen, :3], background]), predicates


def sample_soft_pairs(
    batch: Batch, pairs: Tensor, predicates: Tensor, config: LossConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`sample_pairs` of soft labels.

    A pair is drawn in proportion to its share of predicates (all but background): where that is 1 for every pair, this
    is the hard rule. A pair that is nothing but background is never drawn.

    Args:
        batch: With targets.
        pairs: [R, 3] int64 (image, subject, object).
        predicates: [R, 1 + P], their distributions.
        config: How many.
        generator: Of the draws.

    Returns:
        The same of Q chosen pairs.
    """
    share = 1 - predicates[:, 0]
    related = share > 1e-6
    pairs, predicates, share = pairs[related], predicates[related], share[related]
    # The order of waiting times of a race with these rates is a draw without replacement in proportion to them.
    order = (torch.empty(len(pairs)).exponential_(generator=generator) / share).argsort()
    chosen, background = _choose(batch, pairs, order, config, generator)
    nothing = predicates.new_zeros(len(background), predicates.shape[1])
    nothing[:, 0] = 1
    return torch.cat([pairs[chosen], background]), torch.cat([predicates[chosen], nothing])


def _choose(
    batch: Batch, pairs: Tensor, order: Tensor, config: LossConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which of the pairs [R, 3] to train on, taken in `order` [R], and the background pairs [G, 3] beside them."""
    images, width = batch.mask.shape
    free = batch.mask[:, :, None] & batch.mask[:, None] & ~torch.eye(width, dtype=torch.bool)
    if config.overlapping:
        free &= overlaps(batch.boxes) > 0
        order = order[free[tuple(pairs[order].T)]]
    owner = pairs[order, 0]
    order, owner = (x[owner.argsort(stable=True)] for x in (order, owner))
    count = torch.bincount(owner, minlength=images)
    place = torch.arange(len(order)) - (count.cumsum(0) - count)[owner]
    chosen = order[place < max(1, round(config.pairs_per_image * config.foreground_fraction))]

    foreground = torch.bincount(pairs[chosen, 0], minlength=images)
    background = torch.where(foreground > 0, config.pairs_per_image - foreground, 0)
    free[tuple(pairs.T)] = False
    if batch.targets is None:
        raise ValueError("the batch has no targets to draw pairs by")
    labelled = batch.targets > 0
    both = labelled[:, :, None] & labelled[:, None]
    key = torch.rand(free.shape, generator=generator) + both
    key = key.masked_fill(~free, -1).flatten(1)
    best, index = key.topk(min(int(background.max()), key.shape[1]), dim=1)
    image, column = ((best >= 0) & (torch.arange(index.shape[1]) < background[:, None])).nonzero(as_tuple=True)
    index = index[image, column]
    return chosen, torch.stack([image, index // width, index % width], 1)


def loss_weights(batch: Batch, predicates: Tensor, classes: int, config: LossConfig) -> Weights:
    """The weights of a batch's targets, of `classes` with the background, and of its pairs' predicates [Q]."""
    weight = torch.ones(classes)
    weight[0] = config.background_weight
    targets = _targets(batch)
    total = (targets * weight).sum() if targets.is_floating_point() else weight[targets].sum()
    return Weights(total.item(), len(predicates))


def sgg_loss(
    outputs: Outputs,
    batch: Batch,
    predicates: Tensor,
    config: LossConfig,
    whole: Weights | None = None,
    predicate_weights: Tensor | None = None,
) -> Losses:
    """Eq. 16, each term a mean: over all real regions (class 0 where no entity took one, weighted) and over the pairs.

    Where the model starts from the detector's answer, a region that no entity took is what the detector says it is,
    since captions are silent about most things (`unmentioned: background` keeps class 0). Of a label that contradicts
    the detector (tree, on a television of score s) only 1 - s is true, and the rest is what the detector says; of one
    that the detector would have used (man, on a television) nothing is.

    The cross-entropy of a distribution p is sum_c weight_c p_c (-log softmax_c), which for a decided p is the hard one.

    Args:
        outputs: The model's.
        batch: Its soft labels, else its targets, are the objects' labels.
        predicates: [Q] int64 or distributions [Q, 1 + P].
        config: The background's weight.
        whole: `loss_weights` of the batch of which this is a part, whose losses then add up to the batch's.
        predicate_weights: [1 + P], what a pair's loss is multiplied by; None: by 1. The mean stays one over the pairs.
    """
    logits = outputs.objects[batch.mask].float()
    whole = whole or loss_weights(batch, predicates, logits.shape[1], config)
    weight = logits.new_ones(logits.shape[1])
    weight[0] = config.background_weight
    targets = _targets(batch)
    if outputs.detected is not None:
        silent = config.unmentioned == "detector"
        doubt = None if outputs.doubt is None else outputs.doubt[batch.mask]
        if doubt is not None and not silent:  # annotations contradict the detector, but not what it cannot unlearn
            doubt = (doubt >= 1).to(doubt)
        targets = _with_detected(targets, outputs.detected[batch.mask], doubt, config.background_weight, silent)
        objects = -(targets * logits.log_softmax(1)).sum()
    else:
        objects = cross_entropy(logits, targets, weight, reduction="sum")
    # Dividing by the total weight is what makes it a mean; with weight 0 and nothing but background there is no weight.
    objects = objects / max(whole.objects, 1e-6)
    scores = outputs.predicates.float()
    relations = (
        related_loss(scores, predicates, config.related_prior, predicate_weights)
        if config.unmentioned_pairs == "unknown"
        else cross_entropy(scores, predicates, predicate_weights, reduction="sum")
    ) / max(1, whole.predicates)
    return Losses(objects + relations, objects, relations)


def related_loss(logits: Tensor, predicates: Tensor, prior: float, predicate_weights: Tensor | None = None) -> Tensor:
    """The predicates' loss where unmentioned pairs may be related or not: summed over the pairs.

    A pair is related with r = 1 - softmax_0. Mentioned pairs (p of them) give the cross-entropy, in which r is; the u
    others the non-negative risk of being unrelated, u / (1 - prior) x max(0, mean_u(-log(1 - r)) - prior x mean_p(-log(
    1 - r))): what unmentioned pairs would lose as background, less what the related ones among them add to it. With
    prior 0 this is the cross-entropy with background.
    Source: Kiryo et al. 2017, with the mentioned pairs' own weight.

    Args:
        logits: [Q, 1 + P].
        predicates: [Q] in 0..P, or distributions [Q, 1 + P], of which column 0 is the unmentioned part of a pair.
        prior: Share of related pairs among the unmentioned.
        predicate_weights: [1 + P], as of `sgg_loss`; of the mentioned pairs alone.
    """
    logs = logits.log_softmax(1)
    soft = predicates if predicates.is_floating_point() else one_hot(predicates, logits.shape[1]).to(logs)
    weighted = soft if predicate_weights is None else soft * predicate_weights
    mentioned = -(weighted[:, 1:] * logs[:, 1:]).sum()
    unknown, unrelated = soft[:, 0], -logs[:, 0]
    known = 1 - unknown
    count = unknown.sum()
    of_related = (known * unrelated).sum() / known.sum().clamp(min=1e-6)
    risk = (unknown * unrelated).sum() - prior * count * of_related
    return mentioned + risk.clamp(min=0) / (1 - prior)


def _with_detected(
    targets: Tensor, detected: Tensor, doubt: Tensor | None, background_weight: float, silent: bool
) -> Tensor:
    """Weighted targets [R, 1 + C] in which the doubted labels' part is what the detector says.

    Args:
        targets: [R] or distributions [R, 1 + C].
        detected: [R, 1 + C].
        doubt: [R, 1 + C], the share of a label that is not believed; None: of none.
        background_weight: Of the background.
        silent: The background's part, too, is what the detector says.
    """
    soft = targets if targets.is_floating_point() else one_hot(targets, detected.shape[1]).to(detected)
    unmentioned = background_weight * soft[:, :1]
    labels = torch.cat([torch.zeros_like(unmentioned), soft[:, 1:]], 1)
    doubted = labels * (0 if doubt is None else doubt)
    believed = labels - doubted + doubted.sum(1, keepdim=True) * detected
    if silent:
        return believed + unmentioned * detected
    return torch.cat([believed[:, :1] + unmentioned, believed[:, 1:]], 1)


def _targets(batch: Batch) -> Tensor:
    """The real regions' labels [R], or distributions [R, 1 + C] where labels are soft."""
    labels = batch.targets if batch.soft is None else batch.soft
    if labels is None:
        raise ValueError("the batch has no targets: nothing to learn from")
    return labels[batch.mask]
