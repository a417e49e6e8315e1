"""How two teachers become one target (Eq. 9), and how far each is trusted on an entity (Eq. 10-11)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity


def fuse(object_target: Tensor, interaction_target: Tensor, weights: Tensor) -> Tensor:
    """q_i = w^(o) a^(o)_i + w^(r) a^(r)_i (Eq. 9): two [..., Ne, Nv] and weights [..., Ne, 2] -> [..., Ne, Nv].

    The weights are made to sum to 1 over the teachers that have a say in the row: where no region matches the entity,
    the interaction-aware one counts alone, and the reverse. A row on which both are silent stays empty.
    """
    says = torch.stack([object_target.sum(-1) > 0, interaction_target.sum(-1) > 0], -1)
    shares = weights * says
    shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-12)
    return shares[..., :1] * object_target + shares[..., 1:] * interaction_target


def expert_weights(
    object_target: Tensor, interaction_target: Tensor, regions: Tensor, entities: Tensor, temperature: float
) -> Tensor:
    """How reliable each teacher is to a model that has seen both pictures and words (Eq. 10-11, expert-guided).

    object_target, interaction_target [..., Ne, Nv]; regions [..., Nv, d] and entities [..., Ne, d], features in one
    space (CLIP's, of crops and of prompts) -> [..., Ne, 2], rows sum to 1: the softmax of the two cosines over the
    temperature, since dividing them by their sum breaks on negative values. A silent teacher's cosine counts as 0;
    `fuse` gives it nothing anyway.
    """
    alike = [cosine_similarity(t @ regions, entities, dim=-1) for t in (object_target, interaction_target)]
    return (torch.stack(alike, -1) / temperature).softmax(-1)


def smooth(target: Tensor, regions: Tensor, share: float) -> Tensor:
    """Give `share` of a target to the regions without mass, in equal parts, as released: [..., Ne, Nv].

    regions [..., Nv] bool. A row that is empty, or has mass on every region, stays as it is.
    """
    mass = target > 0
    free = regions.unsqueeze(-2) & ~mass
    count = free.sum(-1, keepdim=True)
    apply = mass.any(-1, keepdim=True) & (count > 0)
    spread = target * (1 - share) + free * (share / count.clamp(min=1))
    return torch.where(apply, spread, target)
