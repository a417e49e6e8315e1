"""One label a box: non-maximum suppression, and labels committed best first."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.sgg.batch import box_iou


def suppress(boxes: Tensor, labels: Tensor, scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within each label, for a batch of images: which boxes stay, [B, V] bool.

    boxes [B, V, 4], labels and scores [B, V], mask [B, V] (padding never stays). A box falls where a better one of its
    label that stays has IoU > threshold with it; of equal scores the earlier is better.
    """
    order = scores.masked_fill(~mask, -1).argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand_as(boxes))
    labels, mask = labels.gather(1, order), mask.gather(1, order)
    rivals = (box_iou(boxes) > threshold) & (labels[:, :, None] == labels[:, None])
    rivals = torch.triu(rivals & mask[:, :, None], diagonal=1).float()
    # "Stays unless one that stays is better" has one solution; every round settles one more place of the ranking.
    stays = mask
    while True:
        fallen = torch.bmm(stays[:, None].float(), rivals)[:, 0] > 0
        settled = mask & ~fallen
        if torch.equal(settled, stays):
            return torch.zeros_like(mask).scatter(1, order, stays)
        stays = settled


@torch.no_grad()
def commit_labels(probabilities: Tensor, boxes: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Every box's label when the surest is committed first: [B, V] in 1..C (Zellers et al. 2018, decoding at test).

    probabilities [B, V, 1 + C] (column 0, background, is not looked at), boxes [B, V, 4], mask [B, V]; padding gets 0.
    Round after round the largest probability of an image gives its box its label, and takes that label from the boxes
    whose IoU with it is at least the threshold. A box that has lost every label gets the best of those it has lost.
    """
    taken = -2.0  # a lost label is left at its probability - 1, in -1..0, so that it comes after all others
    left = probabilities[..., 1:].float().masked_fill(~mask[..., None], taken)
    overlap = box_iou(boxes) >= threshold
    labels = torch.zeros_like(mask, dtype=torch.int64)
    rows, categories = torch.arange(len(mask), device=mask.device), left.shape[-1]
    for _ in range(mask.shape[1]):
        value, place = left.flatten(1).max(1)
        region, category = place // categories, place % categories
        labels[rows, region] = torch.where(value > taken, category + 1, labels[rows, region])
        column = left[rows, :, category]
        left[rows, :, category] = torch.where(overlap[rows, region] & (column > 0), column - 1, column)
        left[rows, region] = taken
    return labels
