"""The contrast that keeps a system without a teacher from depending on its first weights (ours)."""

from __future__ import annotations

from torch import Tensor

from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.systems.text_graphs import SystemBatch


def category_contrast(logits: Tensor, batch: SystemBatch) -> Tensor:
    """Which of the step's images each entity belongs to: `grounding.losses.entity_contrast` over categories.

    An image's score for a category is log mean_v exp(logit of region v). An entity's own image is set against those
    that nobody says to show its category, by cross-entropy.

    Args:
        logits: [b, V, C] of this process's images.
        batch: With the text graphs.

    Returns:
        A scalar, the mean over all the step's entities; 0 in a step of one image.
    """
    share, regions = batch.share, batch.regions
    scores = logits.masked_fill(~regions[..., None], MASKED_LOGIT).logsumexp(1)
    scores = share.gather(scores - regions.sum(1, keepdim=True).clamp(min=1).log())  # [B, C]
    others = scores.masked_fill(batch.mentioned, MASKED_LOGIT).logsumexp(0)  # [C]
    own = scores[share.rows].gather(1, batch.categories)
    rest = others[batch.categories]
    losses = rest.logaddexp(own) - own
    return (losses * batch.entities).sum() / share.sum(batch.entities.sum()).clamp(min=1)
