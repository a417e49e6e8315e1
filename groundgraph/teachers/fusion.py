"""How two teachers' targets become one (Eq. 9; or a product), and how far each is trusted on an entity (Eq. 10, 11)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

FLOOR = 1e-3  # what a region that the detector calls something else keeps of the other teacher's say in a product


def fuse(object_target: Tensor, interaction_target: Tensor, weights: Tensor) -> Tensor:
    """Return the fused target q_i = w^(o) a^(o)_i + w^(r) a^(r)_i (Eq. 9).

    The weights are made to sum to 1 over the teachers that have a say in the row: where no region matches the entity,
    the interaction-aware one counts alone, and the reverse. A row on which both are silent stays empty.

    Args:
        object_target: [..., E, V], the object-aware teacher's (Eq. 6).
        interaction_target: [..., E, V], the interaction-aware teacher's (Eq. 8).
        weights: [..., E, 2].

    Returns:
        [..., E, V].
    """
    speaks = torch.stack([object_target.sum(-1) > 0, interaction_target.sum(-1) > 0], -1)
    shares = weights * speaks
    shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-12)
    return shares[..., :1] * object_target + shares[..., 1:] * interaction_target


def fuse_product(object_target: Tensor, interaction_target: Tensor, temperature: float) -> Tensor:
    """Return a target proportional to (a^(o)_i + FLOOR) (a^(r)_i)^(1 / temperature): not in the paper.

    Where the object-aware teacher is silent the interaction-aware one counts alone, as it is, and the reverse; a row on
    which both are stays empty. Of two alike things that the detector names, the other teacher tells which is meant.

    Args:
        object_target: [..., E, V], the object-aware teacher's (Eq. 6).
        interaction_target: [..., E, V], the interaction-aware teacher's (Eq. 8).
        temperature: That Eq. 8's scores are divided by here, over their own: below 1 is sharper.

    Returns:
        [..., E, V].
    """
    peak = interaction_target.amax(-1, keepdim=True)
    # Over its peak, a small share that becomes 0 leaves the row something.
    sharpened = (interaction_target / peak.clamp(min=1e-12)) ** (1 / temperature)
    product = (object_target + FLOOR) * sharpened
    product = product / product.sum(-1, keepdim=True).clamp(min=1e-12)
    named = object_target.sum(-1, keepdim=True) > 0
    return torch.where(named, torch.where(peak > 0, product, object_target), interaction_target)


def expert_weights(
    object_target: Tensor, interaction_target: Tensor, regions: Tensor, entities: Tensor, temperature: float
) -> Tensor:
    """Return how reliable each teacher is to a model of pictures and words (Eq. 10-11, expert-guided).

    The softmax of the two cosines, since dividing them by their sum breaks on negative values. A silent teacher's
    cosine counts as 0; `fuse` gives it nothing anyway.

    Args:
        object_target: [..., E, V].
        interaction_target: [..., E, V].
        regions: [..., V, d], features of the regions' crops (CLIP's).
        entities: [..., E, d], features of the entities' prompts in the same space.
        temperature: Divides the cosines.

    Returns:
        [..., E, 2], rows sum to 1.
    """
    cosines = [cosine_similarity(t @ regions, entities, dim=-1) for t in (object_target, interaction_target)]
    return (torch.stack(cosines, -1) / temperature).softmax(-1)


def smooth(target: Tensor, regions: Tensor, share: float) -> Tensor:
    """Return a target of which the regions without mass got a share in equal parts, as released.

    Args:
        target: [..., E, V]; a row that is empty, or has mass on every region, stays as it is.
        regions: [..., V] bool: which are regions and no padding.
        share: What they get together, in 0 to 1.

    Returns:
        [..., E, V].
    """
    mass = target > 0
    free = regions.unsqueeze(-2) & ~mass
    count = free.sum(-1, keepdim=True)
    apply = mass.any(-1, keepdim=True) & (count > 0)
    spread = target * (1 - share) + free * (share / count.clamp(min=1))
    return torch.where(apply, spread, target)
