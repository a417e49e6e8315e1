"""How two teachers become one target (Eq. 9), and how far each is trusted on an entity (Eq. 10-13)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from groundgraph.training.processes import WHOLE, Share


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


def random_attention(
    regions: Tensor, entities: int, generator: torch.Generator | None = None, share: Share = WHOLE
) -> Tensor:
    """A random attention an entity (Eq. 13's negative): regions [B, Nv] bool -> [B, entities, Nv], rows sum to 1.

    Uniform on the simplex: exponential draws, normalised; padding has none. share: of the batch, where several
    processes have it.
    """
    draws = share.draw(torch.rand, (len(regions), entities, regions.shape[1]), generator, regions.device).clamp(
        1e-9, 1 - 1e-9
    )
    draws = -draws.log() * regions.unsqueeze(1)
    return draws / draws.sum(-1, keepdim=True)


def lowest_attention(
    target: Tensor, regions: Tensor, generator: torch.Generator | None = None, share: Share = WHOLE
) -> Tensor:
    """Equal shares on 0 to 4 of an entity's 10 lowest regions, as released: [B, Ne, Nv] -> the same shape.

    Ties among the lowest fall at random; a draw of none gives a row of zeros. Padding is never among them. share: of
    the batch, where several processes have it.
    """
    noise = share.draw(torch.rand, target.shape, generator, target.device) * 1e-6
    ranked = (target + noise).masked_fill(~regions.unsqueeze(-2), torch.inf).argsort(-1)
    pool = ranked[..., :10]
    keys = share.draw(torch.rand, pool.shape, generator, target.device)
    real = regions.unsqueeze(-2).expand_as(target).gather(-1, pool)
    rank = keys.masked_fill(~real, 2.0).argsort(-1).argsort(-1)
    count = share.draw(partial(torch.randint, 0, 5), (*target.shape[:-1], 1), generator, target.device)
    taken = ((rank < count) & real).to(target.dtype)
    shares = taken / taken.sum(-1, keepdim=True).clamp(min=1)
    return torch.zeros_like(target).scatter(-1, pool, shares)


def adaptor_loss(
    positive: Tensor,
    negative: Tensor,
    says: Tensor,
    margin: float = 0.2,
    crossed: bool = False,
    sigmoid: bool = False,
    share: Share = WHOLE,
) -> Tensor:
    """L_adp of Eq. 13 as a mean over entities, summed over the two teachers.

    positive, negative [..., Ne, 2] adaptor outputs (Eq. 12) of the attended and of the randomly attended features, says
    [..., Ne, 2] bool (a teacher silent on an entity gives nothing) -> scalar. crossed: each positive against the OTHER
    teacher's negative; sigmoid: both pass through it before the hinge (both as released). share: of the entities,
    where several processes have them, whose losses add up to the mean.
    """
    if crossed:
        negative = negative.flip(-1)
    if sigmoid:
        positive, negative = positive.sigmoid(), negative.sigmoid()
    hinge = (negative - positive + margin).clamp(min=0) * says
    return (hinge.flatten(0, -2).sum(0) / share.sum(says.flatten(0, -2).sum(0)).clamp(min=1)).sum()
