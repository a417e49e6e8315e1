"""The contrast that keeps a system without a teacher from depending on its first weights (ours)."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.systems.text_graphs import SystemBatch


def exclusive_log_p(logits: Tensor) -> Tensor:
    """Log probability of each category at each region, which shows one of them or none, whose logit is 0.

    As the classes of a region compete in weakly supervised detection (Bilen and Vedaldi, CVPR 2016). Where this, and
    not the logits, is taught by `category_contrast`, what explains a region is taken from all else that could: shirts
    are said of no image without the shirt, and pants of none without both, so that pants are where no shirt is. By
    logits alone nearly all pants went to the shirts.

    Args:
        logits: [b, V, C].

    Returns:
        [b, V, C].
    """
    total = logits.logsumexp(-1, keepdim=True)
    return logits - total.logaddexp(torch.zeros_like(total))


def own_log_p(logits: Tensor, batch: SystemBatch, nothing: float = MASKED_LOGIT) -> Tensor:
    """Log probability of each entity's category at each region, among the categories that its image's text names.

    What the contrast raises for an image's entities it need not lower for their rivals: two things that come together
    are both likely where either is, and only beside each other is it plain which region is which.

    Args:
        logits: [b, V, C], or log probabilities.
        batch: With the text graphs.
        nothing: The logit of being none of them.

    Returns:
        [b, E, V].
    """
    named = batch.mentioned[batch.share.rows]
    total = logits.masked_fill(~named[:, None], MASKED_LOGIT).logsumexp(-1, keepdim=True)
    return batch.of_entities(logits - total.logaddexp(total.new_tensor(nothing)))


@torch.no_grad()
def evidence(logits: Tensor, batch: SystemBatch) -> Tensor:
    """How much more each region looks like each category than regions do where nobody says that it is shown.

    The contrast leaves open what may be added to all logits of a category; this is without it.

    Args:
        logits: [b, V, C], which `category_contrast` teaches.
        batch: With the text graphs.

    Returns:
        [b, V, C]: the logits, less log mean exp of those of the regions of the step's images that do not name the
        category (where all do, of all).
    """
    scores = image_scores(logits, batch)
    silent = ~batch.mentioned | batch.mentioned.all(0)
    return logits - (scores.masked_fill(~silent, MASKED_LOGIT).logsumexp(0) - silent.sum(0).log())


def image_scores(logits: Tensor, batch: SystemBatch) -> Tensor:
    """Log mean exp of each category's logits [b, V, C] over an image's regions: [B, C], of all the step's images."""
    regions = batch.regions
    scores = logits.masked_fill(~regions[..., None], MASKED_LOGIT).logsumexp(1)
    return batch.share.gather(scores - regions.sum(1, keepdim=True).clamp(min=1).log())


def category_contrast(logits: Tensor, batch: SystemBatch) -> Tensor:
    """Which of the step's images each entity belongs to: `grounding.losses.entity_contrast` over categories.

    An image's score for a category is `image_scores`. An entity's own image is set against those that nobody says to
    show its category, by cross-entropy.

    Args:
        logits: [b, V, C] of this process's images.
        batch: With the text graphs.

    Returns:
        A scalar, the mean over all the step's entities; 0 in a step of one image.
    """
    share, scores = batch.share, image_scores(logits, batch)
    others = scores.masked_fill(batch.mentioned, MASKED_LOGIT).logsumexp(0)  # [C]
    own = scores[share.rows].gather(1, batch.categories)
    rest = others[batch.categories]
    losses = rest.logaddexp(own) - own
    return (losses * batch.entities).sum() / share.sum(batch.entities.sum()).clamp(min=1)
