"""What the grounder learns from: multiple instances and its teachers (Eq. 4-5, 14-15)."""

from __future__ import annotations

import torch
from torch import Tensor


def bag_similarity(scores: Tensor, entities: Tensor, regions: Tensor) -> Tensor:
    """S(C, I) of Eq. 4 for every caption C and image I of a batch.

    scores [B, Ne, B, Nv] (every entity of every caption against every region of every image), entities [B, Ne] bool and
    regions [B, Nv] bool say what is real -> [B, B]. The sigmoid is monotone, so it is taken after the maximum.
    """
    best = scores.masked_fill(~regions, float("-inf")).amax(-1).sigmoid()
    weight = entities.unsqueeze(-1).to(best.dtype)
    return (best * weight).sum(1) / weight.sum(1).clamp(min=1)


def mil_loss(similarity: Tensor, margin: float = 0.2) -> Tensor:
    """L_MIL of Eq. 5 as a mean: S [B, B], own images on the diagonal -> scalar; 0 for a batch of one.

    The paper sums over (C, I, I'); the mean keeps the balance of the losses independent of the batch size.
    """
    size = len(similarity)
    if size < 2:
        return similarity.sum() * 0.0
    hinge = (similarity - similarity.diagonal().unsqueeze(1) + margin).clamp(min=0)
    others = ~torch.eye(size, dtype=torch.bool, device=similarity.device)
    return hinge[others].mean()


def distillation_loss(scores: Tensor, targets: Tensor, regions: Tensor) -> Tensor:
    """L_KD of Eq. 14 as a mean over the entities whose fused target has any mass: KL(q_i || softmax(a_i)).

    scores, targets [..., Ne, Nv]; regions [..., Nv] bool -> scalar. An entity with an empty row (no teacher knows it,
    or padding) gives no loss.
    """
    log_p = scores.masked_fill(~regions.unsqueeze(-2), torch.finfo(scores.dtype).min).log_softmax(-1)
    divergence = (torch.xlogy(targets, targets) - targets * log_p.masked_fill(targets == 0, 0.0)).sum(-1)
    known = targets.sum(-1) > 0
    return (divergence * known).sum() / known.sum().clamp(min=1)
