"""One label a box: non-maximum suppression of boxes, and of labels."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.sgg.batch import overlaps


def suppress(
    boxes: Tensor, labels: Tensor, scores: Tensor, mask: Tensor, threshold: float, settled: Tensor | None = None
) -> Tensor:
    """Non-maximum suppression within each label, for a batch of images.

    A box falls where a better one of its label that stays has IoU > threshold with it; of equal scores the earlier is
    better.

    Args:
        boxes: [B, V, 4].
        labels: [B, V].
        scores: [B, V].
        mask: [B, V] bool; padding never stays.
        threshold: Of the IoU.
        settled: [B, V] bool, boxes that stay, better than all others; None: none.

    Returns:
        Which boxes stay, [B, V] bool.
    """
    ranks = scores if settled is None else scores + 2 * settled
    order = ranks.masked_fill(~mask, -1).argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand_as(boxes))
    labels, mask = labels.gather(1, order), mask.gather(1, order)
    rivals = (overlaps(boxes) > threshold) & (labels[:, :, None] == labels[:, None])
    if settled is not None:
        rivals &= ~settled.gather(1, order)[:, None]
    rivals = torch.triu(rivals & mask[:, :, None], diagonal=1).float()
    # "Stays unless one that stays is better" has one solution; every round settles one more place of the ranking.
    stays = mask
    while True:
        fallen = torch.bmm(stays[:, None].float(), rivals)[:, 0] > 0
        left = mask & ~fallen
        if torch.equal(left, stays):
            return torch.zeros_like(mask).scatter(1, order, stays)
        stays = left


@torch.no_grad()
def decode_labels(probabilities: Tensor, boxes: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Every box's label by non-maximum suppression of labels (Zellers et al. 2018, decoding at test).

    Round after round the largest probability of an image gives its box its label, and takes that label from the boxes
    whose IoU with it is at least the threshold. A box that has lost every label gets the best of those it has lost.

    Args:
        probabilities: [B, V, 1 + C]; column 0, background, is not looked at.
        boxes: [B, V, 4].
        mask: [B, V] bool.
        threshold: Of the IoU.

    Returns:
        [B, V] int64 in 1..C; padding gets 0.
    """
    decided = -2.0  # a lost label is left at its probability - 1, in -1..0, so that it comes after all others
    left = probabilities[..., 1:].float().masked_fill(~mask[..., None], decided)
    near = overlaps(boxes) >= threshold
    labels = torch.zeros_like(mask, dtype=torch.int64)
    rows, categories = torch.arange(len(mask), device=mask.device), left.shape[-1]
    for _ in range(mask.shape[1]):
        value, place = left.flatten(1).max(1)
        region, category = place // categories, place % categories
        labels[rows, region] = torch.where(value > decided, category + 1, labels[rows, region])
        column = left[rows, :, category]
        left[rows, :, category] = torch.where(near[rows, region] & (column > 0), column - 1, column)
        left[rows, region] = decided
    return labels
