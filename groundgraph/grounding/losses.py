"""What the grounder learns from: multiple instances and its teachers (Eq. 4-5, 14)."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.training.processes import WHOLE, Share


def bag_similarity(
    scores: Tensor, entities: Tensor, regions: Tensor, sigmoid: bool = True, padding: bool = False
) -> Tensor:
    """S(C, I) of Eq. 4 for every caption C and image I of a batch.

    scores [B, Ne, B', Nv] (every entity of every caption against every region of every image), entities [B, Ne] bool
    and regions [B', Nv] bool say what is real -> [B, B']. The sigmoid is monotone, so it is taken after the maximum;
    released: none, and padding takes part in the maximum.
    """
    best = (scores if padding else scores.masked_fill(~regions, float("-inf"))).amax(-1)
    best = best.sigmoid() if sigmoid else best
    weight = entities.unsqueeze(-1).to(best.dtype)
    return (best * weight).sum(1) / weight.sum(1).clamp(min=1)


def mil_loss(similarity: Tensor, margin: float = 0.2, diagonal: bool = False) -> Tensor:
    """L_MIL of Eq. 5 as a mean: S [B, B], own images on the diagonal -> scalar; 0 for a batch of one.

    The paper sums over (C, I, I'); the mean keeps the balance of the losses independent of the batch size. diagonal:
    the mean is over all B x B with an own score of 0 in place of S(C, C), as released: a pull of every own score up to
    the margin.
    """
    size = len(similarity)
    if size < 2:
        return similarity.sum() * 0.0
    own = torch.eye(size, dtype=torch.bool, device=similarity.device)
    rivals = similarity.masked_fill(own, 0.0)
    hinge = (rivals - similarity.diagonal().unsqueeze(1) + margin).clamp(min=0)
    return hinge.mean() if diagonal else hinge[~own].mean()


def mil_weight(epoch: int) -> float:
    """The released decay of L_MIL's weight: 1 in epochs 0 to 4, then .2 less an epoch, 0 from epoch 9 on."""
    return min(1.0, max(0.0, 1.0 - 0.2 * (epoch - 4)))


def distillation_loss(scores: Tensor, targets: Tensor, regions: Tensor, share: Share = WHOLE) -> Tensor:
    """L_KD of Eq. 14 as a mean over the entities whose fused target has any mass: KL(q_i || softmax(a_i)).

    scores, targets [..., Ne, Nv]; regions [..., Nv] bool -> scalar. An entity with an empty row (no teacher knows it,
    or padding) gives no loss. share: of the images, where several processes have them, whose losses add up to the mean.
    """
    log_p = scores.masked_fill(~regions.unsqueeze(-2), torch.finfo(scores.dtype).min).log_softmax(-1)
    divergence = (torch.xlogy(targets, targets) - targets * log_p.masked_fill(targets == 0, 0.0)).sum(-1)
    known = targets.sum(-1) > 0
    return (divergence * known).sum() / share.sum(known.sum()).clamp(min=1)
